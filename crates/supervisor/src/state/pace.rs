//! How fast to ask again: checks that begin a few milliseconds apart, restarts that back off.

use super::{Ms, Pulse};

/// The pause before the first restart.
pub const BACK_OFF_BASE: Ms = 100;
/// No pause between restarts is longer: a start costs this host little, so it is shorter than a cluster's five minutes.
pub const BACK_OFF_MAX: Ms = 60_000;

/// Returns the pause before the restart that follows `streak` deaths in a row (1 is the first): it doubles from
/// [`BACK_OFF_BASE`] and is lengthened by up to a quarter by chance, which keeps it rising; never above [`BACK_OFF_MAX`].
pub fn back_off(streak: u32, chance: u64) -> Ms {
    let doubled = BACK_OFF_BASE.saturating_mul(1 << streak.saturating_sub(1).min(20));
    let jitter = doubled / 4 * (chance % 257) / 256;
    (doubled + jitter).min(BACK_OFF_MAX)
}

/// The longest pause between two checks of a container that is still starting.
const STARTING_MAX: Ms = 1_000;

impl Pulse {
    /// The first check at `due`.
    pub(super) fn at(due: Ms) -> Self {
        Self { due: Some(due), round: 0, failures: 0, alone_since: None }
    }

    /// Plans the next check while starting: 2, 3, 5, 8, … ms, up to `interval` or a second, whichever is less.
    pub(super) fn again_soon(&mut self, now: Ms, interval: Ms) {
        let (mut pause, mut next) = (2, 3);
        for _ in 0..self.round.min(32) {
            (pause, next) = (next, pause + next);
        }
        self.round += 1;
        self.due = Some(now + pause.min(interval.max(2)).min(STARTING_MAX));
    }

    /// Plans the next check once up.
    pub(super) fn again(&mut self, now: Ms, interval: Ms) {
        self.due = Some(now + interval.max(10));
    }
}
