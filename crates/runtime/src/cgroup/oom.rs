//! Kills for want of memory, told apart: by the container's own limit, or by the host's memory.

use pillion_fault::OomScope;

use super::{Cgroup, Mode};

/// A reading of the counters; compare a later one with an earlier one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct OomCounters {
    /// Processes killed, whoever ran out of memory.
    kills: u64,
    /// The limit, if there is one; bytes.
    limit: Option<u64>,
    at_limit: AtLimit,
}

/// How a kernel tells that a group was at its own limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum AtLimit {
    /// v2 counts the allocations that would exceed this group's limit whatever is reclaimed (`oom` in `memory.events`).
    Counted(u64),
    /// v1 tells the highest usage ever only, in bytes (its `failcnt` stays 0 on kernels of 2025).
    Peak(u64),
}

impl Default for AtLimit {
    fn default() -> Self {
        AtLimit::Counted(0)
    }
}

impl OomCounters {
    /// Says whether memory killed a process since `before`, and whose.
    ///
    /// On v1 a container whose page cache once filled its limit is said to have died of it even if the host killed it.
    pub fn since(&self, before: &OomCounters) -> Option<OomScope> {
        if self.kills <= before.kills {
            return None;
        }
        let reached = |limit: u64| match (self.at_limit, before.at_limit) {
            (AtLimit::Counted(now), AtLimit::Counted(then)) => now > then,
            (AtLimit::Counted(now), AtLimit::Peak(_)) => now > 0,
            // The kernel charges in batches, so the peak may stay a little below.
            (AtLimit::Peak(bytes), _) => bytes >= limit - limit / 20,
        };
        match self.limit {
            Some(bytes) if reached(bytes) => Some(OomScope::Limit { bytes }),
            Some(_) | None => Some(OomScope::Host),
        }
    }
}

impl Cgroup {
    /// Reads the counters; all zero where the group or the controller does not exist.
    pub fn oom_counters(&self) -> OomCounters {
        // v1 reports "no limit" as the largest multiple of a page; nothing has an exabyte.
        let unlimited = 1 << 60;
        let limit = |file| self.number("memory", file).filter(|bytes| *bytes < unlimited);
        match self.mode() {
            Mode::V2 => OomCounters {
                kills: self.field("memory", "memory.events", "oom_kill").unwrap_or(0),
                limit: limit("memory.max"),
                at_limit: AtLimit::Counted(self.field("memory", "memory.events", "oom").unwrap_or(0)),
            },
            Mode::V1 => OomCounters {
                kills: self.field("memory", "memory.oom_control", "oom_kill").unwrap_or(0),
                limit: limit("memory.limit_in_bytes"),
                at_limit: AtLimit::Peak(self.number("memory", "memory.max_usage_in_bytes").unwrap_or(0)),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRESH: OomCounters = OomCounters { kills: 0, limit: Some(1000), at_limit: AtLimit::Counted(0) };

    #[test]
    fn a_kill_at_the_own_limit_names_the_limit() {
        for at_limit in [AtLimit::Counted(1), AtLimit::Peak(990)] {
            let after = OomCounters { kills: 1, at_limit, ..FRESH };
            assert_eq!(after.since(&FRESH), Some(OomScope::Limit { bytes: 1000 }));
        }
    }

    #[test]
    fn a_kill_without_reaching_the_own_limit_is_the_hosts() {
        for at_limit in [AtLimit::Counted(0), AtLimit::Peak(500)] {
            let after = OomCounters { kills: 1, at_limit, ..FRESH };
            assert_eq!(after.since(&FRESH), Some(OomScope::Host));
        }
    }

    #[test]
    fn no_kill_is_no_kill_however_often_the_limit_was_reached() {
        let after = OomCounters { at_limit: AtLimit::Counted(9), ..FRESH };
        assert_eq!(after.since(&FRESH), None);
    }
}
