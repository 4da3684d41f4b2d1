//! Every test there is: licences, then all crates' tests and the end-to-end tests in one run of the test runner.

use clap::Args;

use crate::{
    licences, packages,
    run::{Outcome, cargo, output, run},
    vm,
};

/// Check licences, then run every test.
#[derive(Args)]
pub struct Test {
    /// Only tests whose name holds this
    filter: Option<String>,
    /// Test runtime, supervisor and a smoke of the whole in emulated machines instead, on other kernels and cgroup v2, and
    /// the service under systemd through a reboot and a power cut (filter: `systemd`)
    #[arg(long)]
    vm: bool,
}

impl Test {
    pub fn run(self) -> Outcome {
        if self.vm {
            return vm::test(self.filter.as_deref());
        }
        packages::install(packages::EVERYTHING)?;
        packages::install_az()?;
        licences::check()?;
        // The end-to-end tests drive the programs, which the test runner does not build by itself.
        run(cargo().args(["build", "--locked", "--workspace", "--bins"]))?;
        let runner: &[&str] = if output(cargo().args(["nextest", "--version"])).is_ok() {
            &["nextest", "run", "--locked", "--workspace", "--no-fail-fast"]
        } else {
            eprintln!("cargo-nextest is not installed; using `cargo test`, one crate after another");
            &["test", "--locked", "--workspace", "--no-fail-fast"]
        };
        run(cargo().args(runner).args(self.filter))
    }
}
