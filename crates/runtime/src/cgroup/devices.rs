//! Which devices a container may use: the harmless ones, whatever nodes its files contain.

use std::{fs, os::fd::AsFd};

use super::{At, Cgroup, CgroupError, Mode, device_program};

/// A character device that is allowed; `minor` none means all of the major number.
#[derive(Debug, Clone, Copy)]
pub(super) struct Allowed {
    pub major: u32,
    pub minor: Option<u32>,
}

/// null, zero, full, random, urandom, tty, console, ptmx, and pseudo-terminals.
pub(super) const ALLOWED: [Allowed; 9] = [
    Allowed { major: 1, minor: Some(3) },
    Allowed { major: 1, minor: Some(5) },
    Allowed { major: 1, minor: Some(7) },
    Allowed { major: 1, minor: Some(8) },
    Allowed { major: 1, minor: Some(9) },
    Allowed { major: 5, minor: Some(0) },
    Allowed { major: 5, minor: Some(1) },
    Allowed { major: 5, minor: Some(2) },
    Allowed { major: 136, minor: None },
];

impl Cgroup {
    /// Denies all devices but the harmless ones to the processes in this group.
    ///
    /// # Errors
    /// [`CgroupError::ControllerMissing`] where the kernel has no way to deny them.
    pub fn restrict_devices(&self) -> Result<(), CgroupError> {
        match self.mode() {
            Mode::V1 => self.restrict_devices_v1(),
            Mode::V2 => self.restrict_devices_v2(),
        }
    }

    fn restrict_devices_v1(&self) -> Result<(), CgroupError> {
        let missing = || CgroupError::ControllerMissing { controller: "devices", path: self.path() };
        let dir = self.dir("devices").ok_or_else(missing)?;
        fs::write(dir.join("devices.deny"), "a").at("deny all devices", &dir)?;
        for Allowed { major, minor } in ALLOWED {
            let minor = minor.map_or("*".into(), |minor| minor.to_string());
            fs::write(dir.join("devices.allow"), format!("c {major}:{minor} rwm")).at("allow a device", &dir)?;
        }
        Ok(())
    }

    fn restrict_devices_v2(&self) -> Result<(), CgroupError> {
        let missing = || CgroupError::ControllerMissing { controller: "devices", path: self.path() };
        let path = self.dirs().into_iter().next().ok_or_else(missing)?;
        let dir = fs::File::open(&path).at("open the directory", &path)?;
        let program = device_program::load(&ALLOWED).at("load the device program", &path)?;
        device_program::attach(dir.as_fd(), program.as_fd()).at("attach the device program", &path)
    }
}
