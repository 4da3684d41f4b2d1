//! What is to become of each instance while the current revision is kept as it should be.

use pillion_engine::ObservedInstance;
use pillion_model::RevisionNumber;

use super::{Because, Desired, Seen, alive, compatible};

/// The instances of an app that no rollout has in its hands.
pub(super) struct Fates<'a> {
    /// They count.
    pub(super) live: Vec<&'a ObservedInstance>,
    /// They have ended or failed.
    pub(super) dead: Vec<&'a ObservedInstance>,
    /// They live and are to go, each for its own reason.
    pub(super) going: Vec<(&'a ObservedInstance, Because)>,
}

impl<'a> Fates<'a> {
    /// Looks at all instances but those of `rolling`.
    pub(super) fn of(desired: &Desired, seen: &Seen<'a>, current: RevisionNumber, rolling: Option<RevisionNumber>) -> Fates<'a> {
        let mut fates = Fates { live: Vec::new(), dead: Vec::new(), going: Vec::new() };
        for one in seen.instances.iter().copied().filter(|one| Some(one.status.revision) != rolling) {
            if !alive(one) {
                fates.dead.push(one);
            } else if let Some(because) = seen.leaving(&one.status.id) {
                fates.going.push((one, because));
            } else if !compatible(desired, one.status.revision, current) {
                let failed = desired.failed.contains(&one.status.revision);
                fates.going.push((one, if failed { Because::RevisionFailed } else { Because::Replaced }));
            } else {
                fates.live.push(one);
            }
        }
        fates
    }

    /// Returns true where one goes for this reason already.
    pub(super) fn any_goes(&self, because: Because) -> bool {
        self.going.iter().any(|(_, why)| *why == because)
    }

    /// Counts on a living one no longer.
    pub(super) fn goes(&mut self, one: &'a ObservedInstance, because: Because) {
        self.live.retain(|other| other.status.id != one.status.id);
        self.going.push((one, because));
    }
}
