//! Pillion as a service of a real systemd, through a reboot and a power cut, on two releases of Debian.
//!
//! ```text
//! debian   a minimal root file system with a kernel's modules; kept, since it takes long to make
//! payload  what is to be installed there, a registry with images, and the program that checks
//! ```
//! What is checked is the program `on-systemd` of `pillion-e2e`, a service of the machine.

mod debian;
mod payload;

use std::{path::Path, thread, time::Duration};

use self::debian::Release;
use super::{
    guest::{Guest, Reset, Tally},
    kernel::{self, Kernel},
    ramdisk,
};
use crate::run::Outcome;

/// The name by which a filter chooses this part.
pub const NAME: &str = "systemd";

/// Debian's releases with their own kernels: the one before `DelegateSubgroup=` and the one after.
const RELEASES: &[Release] = &[
    Release { name: "bookworm", kernel: "linux-image-cloud-amd64" },
    Release { name: "trixie", kernel: "linux-image-6.12-cloud-amd64" },
];

const WITHIN: Duration = Duration::from_secs(15 * 60);

/// Systemd's own lines and a login would fall between those of the checks.
const OPTIONS: &str = "rw systemd.show_status=false systemd.mask=getty.target systemd.mask=serial-getty@ttyS0.service";

/// Everything that is made before a machine can start.
pub struct Prepared {
    kernels: Vec<Kernel>,
    payload: std::path::PathBuf,
}

/// Makes what depends on this checkout and gets what comes from apt.
///
/// # Errors
/// Something cannot be downloaded or packed.
pub fn prepare() -> Outcome<Prepared> {
    let kernels = RELEASES.iter().map(|release| kernel::get(release.kernel)).collect::<Outcome<_>>()?;
    Ok(Prepared { kernels, payload: payload::make()? })
}

impl Prepared {
    /// Runs the machines side by side: they wait more than they compute.
    ///
    /// # Errors
    /// A root file system could not be made, or a machine broke.
    pub fn run(&self) -> Outcome<Tally> {
        let tallies: Vec<Outcome<Tally>> = thread::scope(|scope| {
            let run = |(release, kernel)| scope.spawn(move || boot(release, kernel, &self.payload));
            let machines: Vec<_> = RELEASES.iter().zip(&self.kernels).map(run).collect();
            machines.into_iter().map(|machine| machine.join().unwrap_or_else(|_| Err("a thread panicked".into()))).collect()
        });
        tallies.into_iter().try_fold(Tally::default(), |total, tally| Ok(total.and(tally?)))
    }
}

fn boot(release: &Release, kernel: &Kernel, payload: &Path) -> Outcome<Tally> {
    let root = debian::root(release, kernel)?;
    let ramdisk = ramdisk::make(release.name, kernel, ramdisk::DISK)?;
    let guest = Guest {
        name: release.name,
        kernel,
        ramdisk: &ramdisk,
        disks: &[&root, payload],
        goto: "/sbin/init",
        options: OPTIONS,
        memory: "1G",
        processors: "1",
        reset: Reset::Boots,
        within: WITHIN,
    };
    guest.run().map_err(|error| format!("{}: {error}", release.name))
}
