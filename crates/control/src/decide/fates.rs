//! What is to become of each instance while the current revision is kept as it should be.

use pillion_engine::ObservedInstance;
use pillion_model::RevisionNumber;

use super::{Desired, Seen, ailing, alive, compatible};

/// The instances of an app that no rollout has in its hands.
pub(super) struct Fates<'a> {
    /// They count.
    pub(super) live: Vec<&'a ObservedInstance>,
    /// They have ended, or never came.
    pub(super) dead: Vec<&'a ObservedInstance>,
    /// They have been unready for too long, and are on their way out.
    pub(super) ailing: Vec<&'a ObservedInstance>,
    /// They are of a revision that cannot become the current one, or on their way out.
    pub(super) foreign: Vec<&'a ObservedInstance>,
}

impl<'a> Fates<'a> {
    /// Looks at all instances but those of `rolling`.
    pub(super) fn of(
        desired: &Desired,
        seen: &Seen<'a>,
        current: RevisionNumber,
        rolling: Option<RevisionNumber>,
        now: u64,
    ) -> Fates<'a> {
        let mut fates = Fates { live: Vec::new(), dead: Vec::new(), ailing: Vec::new(), foreign: Vec::new() };
        for one in seen.instances.iter().copied().filter(|one| Some(one.status.revision) != rolling) {
            let fate = if !alive(one) {
                &mut fates.dead
            } else if !compatible(desired, one.status.revision, current) {
                &mut fates.foreign
            } else if !seen.leaving(&one.status.id) {
                &mut fates.live
            } else if ailing::overdue(seen, one, now) {
                &mut fates.ailing
            } else {
                &mut fates.foreign
            };
            fate.push(one);
        }
        fates
    }

    /// Counts on a living one no longer: it has been unready for too long.
    pub(super) fn give_up(&mut self, one: &'a ObservedInstance) {
        self.live.retain(|other| other.status.id != one.status.id);
        self.ailing.push(one);
    }
}
