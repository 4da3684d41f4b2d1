//! Waiting for what no event announces: looking again and again, with a deadline that names what was awaited.

use std::{
    thread,
    time::{Duration, Instant},
};

/// How many times longer than usual to wait: on an emulated machine everything takes longer.
const PATIENCE: &str = "PILLION_TEST_PATIENCE";

/// Looks until `look` gives something.
///
/// # Panics
/// After `within`, or as many times that as `PILLION_TEST_PATIENCE` says, saying what was awaited.
pub fn until<T>(what: &str, within: Duration, mut look: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    let within = within * std::env::var(PATIENCE).ok().and_then(|times| times.parse().ok()).unwrap_or(1);
    let mut pause = Duration::from_millis(2);
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(began.elapsed() < within, "{what}: not seen within {within:?}");
        thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(100));
    }
}

/// Looks until `look` is true, for at most 30 seconds.
pub fn eventually(what: &str, mut look: impl FnMut() -> bool) {
    until(what, Duration::from_secs(30), || look().then_some(()));
}
