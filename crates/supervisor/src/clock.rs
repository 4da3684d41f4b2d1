//! Time that never jumps, counted in milliseconds since the epoch.

use std::time::SystemTime;

use jiff::Timestamp;
use tokio::time::{Duration, Instant};

use crate::state::Ms;

/// The wall clock as it was at the start, moved on by the monotonic one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    wall: Ms,
    start: Instant,
}

impl Clock {
    pub(crate) fn start() -> Self {
        let wall = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_millis());
        Self { wall: u64::try_from(wall).unwrap_or(0), start: Instant::now() }
    }

    pub(crate) fn now(&self) -> Ms {
        self.wall + u64::try_from(self.start.elapsed().as_millis()).unwrap_or(0)
    }

    pub(crate) fn instant(&self, at: Ms) -> Instant {
        // A millisecond that has begun counts as not reached: waking early would be waking twice.
        self.start + Duration::from_millis(at.saturating_sub(self.wall))
    }
}

/// What log lines are stamped with.
pub(crate) fn timestamp() -> Timestamp {
    Timestamp::now()
}
