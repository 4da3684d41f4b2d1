//! What a control group uses.

use std::fs;

use super::{Cgroup, Mode};

/// A reading; a value the kernel does not tell is none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Bytes, without the page cache that the kernel could drop at once.
    pub memory: Option<u64>,
    /// CPU time used so far, in microseconds.
    pub cpu_usec: Option<u64>,
    pub pids: Option<u64>,
    /// How often a fork was refused for the limit of processes.
    pub pids_refused: Option<u64>,
}

impl Cgroup {
    /// Reads the usage.
    pub fn usage(&self) -> Usage {
        let (memory, inactive, cpu_usec) = match self.mode() {
            Mode::V2 => (
                self.number("memory", "memory.current"),
                self.field("memory", "memory.stat", "inactive_file"),
                self.field("cpu", "cpu.stat", "usage_usec"),
            ),
            Mode::V1 => (
                self.number("memory", "memory.usage_in_bytes"),
                self.field("memory", "memory.stat", "total_inactive_file"),
                self.number("cpuacct", "cpuacct.usage").map(|nanoseconds| nanoseconds / 1000),
            ),
        };
        Usage {
            memory: memory.map(|bytes| bytes.saturating_sub(inactive.unwrap_or(0))),
            cpu_usec,
            pids: self.number("pids", "pids.current"),
            pids_refused: self.field("pids", "pids.events", "max"),
        }
    }

    pub(super) fn number(&self, controller: &str, file: &str) -> Option<u64> {
        fs::read_to_string(self.dir(controller)?.join(file)).ok()?.trim().parse().ok()
    }

    /// Reads the line `key value` of a file.
    pub(super) fn field(&self, controller: &str, file: &str, key: &str) -> Option<u64> {
        let text = fs::read_to_string(self.dir(controller)?.join(file)).ok()?;
        text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' ')?.trim().parse().ok())
    }
}
