//! Limits on memory, CPU and processes.

use std::{fs, io, path::Path};

use super::{At, Cgroup, CgroupError, Mode};
use crate::spec::Limits;

/// Microseconds; the period over which the kernel counts CPU time.
const PERIOD: u64 = 100_000;

impl Cgroup {
    /// Sets the limits; those that are none become unlimited.
    pub fn set_limits(&self, limits: &Limits) -> Result<(), CgroupError> {
        match self.mode() {
            Mode::V2 => self.set_limits_v2(limits),
            Mode::V1 => self.set_limits_v1(limits),
        }
    }

    fn set_limits_v2(&self, limits: &Limits) -> Result<(), CgroupError> {
        self.set("memory", "memory.max", limits.memory, &or_max(limits.memory))?;
        let swap = if limits.memory.is_some() { "0" } else { "max" };
        self.set_where_present("memory", "memory.swap.max", swap)?;
        let cpu = limits.cpu_millis.map_or("max".into(), |millis| quota(millis).to_string());
        self.set("cpu", "cpu.max", limits.cpu_millis, &format!("{cpu} {PERIOD}"))?;
        self.set("pids", "pids.max", limits.pids, &or_max(limits.pids))
    }

    fn set_limits_v1(&self, limits: &Limits) -> Result<(), CgroupError> {
        let memory = limits.memory.map_or("-1".into(), |bytes| bytes.to_string());
        // The limit of memory and swap together may never be below that of memory: which goes first depends on the
        // direction. Unlimited first always works.
        self.set_where_present("memory", "memory.memsw.limit_in_bytes", "-1")?;
        self.set("memory", "memory.limit_in_bytes", limits.memory, &memory)?;
        self.set_where_present("memory", "memory.memsw.limit_in_bytes", &memory)?;
        let cpu = limits.cpu_millis.map_or("-1".into(), |millis| quota(millis).to_string());
        self.set_where_present("cpu", "cpu.cfs_period_us", &PERIOD.to_string())?;
        self.set("cpu", "cpu.cfs_quota_us", limits.cpu_millis, &cpu)?;
        self.set("pids", "pids.max", limits.pids, &or_max(limits.pids))
    }

    /// Writes a limit; a missing controller is an error only if a limit is wanted.
    fn set(&self, controller: &'static str, file: &str, wanted: Option<u64>, value: &str) -> Result<(), CgroupError> {
        let missing = || CgroupError::ControllerMissing { controller, path: self.path() };
        let Some(dir) = self.dir(controller) else {
            return if wanted.is_some() { Err(missing()) } else { Ok(()) };
        };
        match write(&dir.join(file), value) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && dir.is_dir() => {
                if wanted.is_some() {
                    Err(missing())
                } else {
                    Ok(())
                }
            }
            other => other.at("set a limit", &dir.join(file)),
        }
    }

    fn set_where_present(&self, controller: &str, file: &str, value: &str) -> Result<(), CgroupError> {
        let Some(path) = self.dir(controller).map(|dir| dir.join(file)) else { return Ok(()) };
        match write(&path, value) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other.at("set a limit", &path),
        }
    }
}

fn or_max(limit: Option<u64>) -> String {
    limit.map_or("max".into(), |value| value.to_string())
}

/// The kernel refuses a quota below one millisecond.
fn quota(millis: u64) -> u64 {
    (millis * PERIOD / 1000).max(1000)
}

fn write(path: &Path, value: &str) -> io::Result<()> {
    io::Write::write_all(&mut fs::OpenOptions::new().write(true).open(path)?, value.as_bytes())
}
