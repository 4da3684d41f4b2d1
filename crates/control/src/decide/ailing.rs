//! Which instance is replaced because it has been unready for too long: what App Service's health check does, so only where an app
//! limits how many may be out of rotation.

use pillion_engine::ObservedInstance;
use pillion_model::RevisionNumber;

use super::{Decision, Desired, Seen};

/// An instance that was unready for so long is replaced.
const REPLACED_AFTER_MS: u64 = 60 * 60 * 1000;
/// No second one of an app is replaced within this.
const PAUSE_MS: u64 = 60 * 60 * 1000;
/// No more than so many of an app are replaced in a day: if that did not help, more of it will not.
const DAILY: usize = 3;
pub(crate) const DAY_MS: u64 = 24 * PAUSE_MS;

/// Picks, of the living instances of `current`, the one to replace now; where one has to wait, asks to be woken.
pub(super) fn pick<'a>(
    desired: &Desired,
    seen: &Seen<'_>,
    current: RevisionNumber,
    live: &[&'a ObservedInstance],
    now: u64,
    decision: &mut Decision,
) -> Option<&'a ObservedInstance> {
    let checked = desired.definitions.get(&current).is_some_and(|app| app.unhealthy_limit < 100);
    if !checked {
        return None;
    }
    let since = |one: &&ObservedInstance| seen.unready.get(&one.status.id).copied();
    let (first, since) =
        live.iter().filter_map(|one| Some((*one, since(one)?))).min_by_key(|(one, at)| (*at, one.status.id.clone()))?;
    let due = (since + REPLACED_AFTER_MS).max(free_from(&seen.replaced, now));
    if now < due {
        decision.wake(due);
        return None;
    }
    Some(first)
}

/// Returns from when on another one may be replaced; `replaced` holds the times of those before, oldest first.
fn free_from(replaced: &[u64], now: u64) -> u64 {
    let after_last = replaced.last().map_or(0, |last| last + PAUSE_MS);
    let lately: Vec<u64> = replaced.iter().copied().filter(|at| now < at + DAY_MS).collect();
    let within_a_day = lately.len().checked_sub(DAILY).and_then(|nth| lately.get(nth)).map_or(0, |at| at + DAY_MS);
    after_last.max(within_a_day)
}
