//! Kills for want of memory, told apart: by the container's own limit, or by the host's memory.

use pillion_fault::OomScope;

use super::{Cgroup, Mode};

/// A reading of the counters; compare a later one with an earlier one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct OomCounters {
    /// Processes killed, whoever ran out of memory.
    kills: u64,
    /// How often the group's own limit could not be kept otherwise (v2), or was reached (v1).
    own_limit: u64,
    /// The limit, if there is one; bytes.
    limit: Option<u64>,
    /// v1 only: the highest usage ever, in bytes.
    peak: Option<u64>,
}

impl OomCounters {
    /// Says whether memory killed a process since `before`, and whose.
    ///
    /// v2 counts "allocation would exceed this group's limit" apart from kills (`oom`, `oom_kill` in `memory.events`). v1 counts
    /// only how often the limit was reached, which reclaiming may have cured; the peak must have reached it too.
    pub fn since(&self, before: &OomCounters) -> Option<OomScope> {
        if self.kills <= before.kills {
            return None;
        }
        let reached = match (self.peak, self.limit) {
            (Some(peak), Some(limit)) => peak >= limit - limit / 20,
            (None, _) | (_, None) => true,
        };
        match self.limit {
            Some(bytes) if self.own_limit > before.own_limit && reached => Some(OomScope::Limit { bytes }),
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
                own_limit: self.field("memory", "memory.events", "oom").unwrap_or(0),
                limit: limit("memory.max"),
                peak: None,
            },
            Mode::V1 => OomCounters {
                kills: self.field("memory", "memory.oom_control", "oom_kill").unwrap_or(0),
                own_limit: self.number("memory", "memory.failcnt").unwrap_or(0),
                limit: limit("memory.limit_in_bytes"),
                peak: self.number("memory", "memory.max_usage_in_bytes"),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRESH: OomCounters = OomCounters { kills: 0, own_limit: 0, limit: Some(1000), peak: None };

    #[test]
    fn a_kill_at_the_own_limit_names_the_limit() {
        let after = OomCounters { kills: 1, own_limit: 1, ..FRESH };
        assert_eq!(after.since(&FRESH), Some(OomScope::Limit { bytes: 1000 }));
    }

    #[test]
    fn a_kill_without_reaching_the_own_limit_is_the_hosts() {
        let after = OomCounters { kills: 1, ..FRESH };
        assert_eq!(after.since(&FRESH), Some(OomScope::Host));
        let never_near = OomCounters { kills: 1, own_limit: 3, peak: Some(500), ..FRESH };
        assert_eq!(never_near.since(&FRESH), Some(OomScope::Host));
    }

    #[test]
    fn no_kill_is_no_kill_however_often_the_limit_was_reached() {
        let after = OomCounters { own_limit: 9, ..FRESH };
        assert_eq!(after.since(&FRESH), None);
    }
}
