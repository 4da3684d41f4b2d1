//! What is checked on a machine that systemd runs, from the installation over a reboot to a power cut; the machine is
//! emulated by `cargo xtask test --vm`, and this is a service of it.
//!
//! ```text
//! boot 1  fresh::CHECKS     install, apply, restart, crash, …   then `systemctl reboot`
//! boot 2  rebooted::CHECKS  everything is back; apply           then the power is cut
//! boot 3  cut::CHECKS       what was acknowledged is there      then off
//! ```
//! For each check a line `vm-test SUITE NAME CODE` goes to the console. Each builds on those before it, so the first that
//! fails is the last.

mod app;
mod cut;
mod fresh;
mod machine;
mod memory;
mod rebooted;

use std::panic;

use self::{
    machine::{Power, console},
    memory::{Boot, Memory},
};

/// A behaviour as a sentence, and what shows it.
type Check = (&'static str, fn(&mut Memory));

fn main() {
    let mut memory = Memory::recall();
    let (checks, power) = match memory.boot {
        Boot::Fresh => (fresh::CHECKS, Power::Reboot),
        Boot::Rebooted => (rebooted::CHECKS, Power::Cut),
        Boot::Cut => (cut::CHECKS, Power::Off),
    };
    for (name, check) in checks {
        let done = panic::catch_unwind(panic::AssertUnwindSafe(|| check(&mut memory)));
        let code = if done.is_ok() { 0 } else { 101 };
        if code != 0 {
            machine::show_what_happened();
        }
        console(&format!("vm-test systemd-{} {name} {code}", machine::systemd_version()));
        if code != 0 {
            return machine::turn(Power::Off);
        }
    }
    memory.boot = match memory.boot {
        Boot::Fresh => Boot::Rebooted,
        Boot::Rebooted | Boot::Cut => Boot::Cut,
    };
    memory.keep();
    match power {
        Power::Reboot | Power::Off => {}
        // Everything is kept by now, so that nothing stands between the acknowledgement and the cut.
        Power::Cut => app::apply(&app::LAST),
    }
    machine::turn(power);
}
