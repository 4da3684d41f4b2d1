//! Kills for want of memory, told apart: by the container's own limit, or by a limit above it or the host's memory.
//!
//! Both kernels count the kills of a group whoever ran out of memory. Who did is told apart by what reaches the group's limit:
//! v2 counts the allocations that would exceed it whatever is reclaimed (`oom` in `memory.events`, cgroup-v2.rst). v1 notifies by
//! an eventfd of each such end (cgroup-v1/memory.rst, "OOM Control"), and notifies everything below the group that ran out as well: only
//! a notice that the group above did not get is about the own limit. That usage once touched the limit says nothing, since page cache
//! fills it in any group that reads enough files.

use std::{
    fs, io,
    os::fd::{AsRawFd, OwnedFd},
    path::Path,
    sync::atomic::{AtomicU64, Ordering},
};

use pillion_fault::OomScope;
use rustix::event::{EventfdFlags, eventfd};

use super::{Cgroup, Mode};

/// Watches a group from its making on.
#[derive(Debug)]
pub struct OomWatch {
    cgroup: Cgroup,
    before: Reading,
    /// v1: of this group, and of the one above.
    notices: Option<(Notices, Notices)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Reading {
    /// Processes killed, whoever ran out of memory.
    kills: u64,
    /// How often the own limit could not be kept by reclaiming.
    at_limit: u64,
}

impl OomWatch {
    /// Says whether memory killed a process of the group since the watch began, and whose memory it was.
    pub fn verdict(&self) -> Option<OomScope> {
        let now = self.cgroup.oom_reading(self.notices.as_ref());
        if now.kills <= self.before.kills {
            return None;
        }
        match self.cgroup.memory_limit() {
            Some(bytes) if now.at_limit > self.before.at_limit => Some(OomScope::Limit { bytes }),
            Some(_) | None => Some(OomScope::Host),
        }
    }
}

impl Cgroup {
    /// Begins to watch for kills; where the group or the controller does not exist, none is ever told.
    pub fn watch_oom(&self) -> OomWatch {
        let notices = match (self.mode(), self.dir("memory")) {
            (Mode::V1, Some(dir)) => dir.parent().and_then(|above| Some((Notices::of(&dir).ok()?, Notices::of(above).ok()?))),
            (Mode::V1, None) | (Mode::V2, _) => None,
        };
        OomWatch { cgroup: self.clone(), before: self.oom_reading(notices.as_ref()), notices }
    }

    fn oom_reading(&self, notices: Option<&(Notices, Notices)>) -> Reading {
        let field = |file, key| self.field("memory", file, key).unwrap_or(0);
        match self.mode() {
            Mode::V2 => Reading { kills: field("memory.events", "oom_kill"), at_limit: field("memory.events", "oom") },
            Mode::V1 => {
                // The kernel notifies from the top down: what the own group was told is there to be read above.
                let told = |(own, above): &(Notices, Notices)| own.count().saturating_sub(above.count());
                Reading { kills: field("memory.oom_control", "oom_kill"), at_limit: notices.map_or(0, told) }
            }
        }
    }

    fn memory_limit(&self) -> Option<u64> {
        let file = match self.mode() {
            Mode::V1 => "memory.limit_in_bytes",
            Mode::V2 => "memory.max",
        };
        // v1 reports "no limit" as the largest multiple of a page; nothing has an exabyte.
        self.number("memory", file).filter(|bytes| *bytes < 1 << 60)
    }
}

/// Counts the notices that a v1 group ran out of memory, or one above it did.
#[derive(Debug)]
struct Notices {
    signal: OwnedFd,
    counted: AtomicU64,
}

impl Notices {
    fn of(dir: &Path) -> io::Result<Notices> {
        let signal = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        let control = fs::File::open(dir.join("memory.oom_control"))?;
        fs::write(dir.join("cgroup.event_control"), format!("{} {}", signal.as_raw_fd(), control.as_raw_fd()))?;
        Ok(Notices { signal, counted: AtomicU64::new(0) })
    }

    fn count(&self) -> u64 {
        let mut fresh = [0; 8];
        // Nothing new is told as an error, "would block".
        let fresh = match rustix::io::read(&self.signal, &mut fresh) {
            Ok(8) => u64::from_ne_bytes(fresh),
            Ok(_) | Err(_) => 0,
        };
        self.counted.fetch_add(fresh, Ordering::Relaxed) + fresh
    }
}
