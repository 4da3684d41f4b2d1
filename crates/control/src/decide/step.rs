//! What decisions are: the steps to take, and when to look again.

use pillion_fault::Diagnosis;
use pillion_model::{ContainerName, InstanceId, RevisionNumber};

/// One thing to do.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// Make the revision's images present.
    Prepare {
        revision: RevisionNumber,
    },
    StartInstances {
        revision: RevisionNumber,
        count: u32,
    },
    /// Change an instance to the revision; only `containers` are replaced, others keep their process.
    UpdateInPlace {
        instance: InstanceId,
        revision: RevisionNumber,
        containers: Vec<ContainerName>,
    },
    /// Undo [`Step::UpdateInPlace`] after the revision failed.
    RollBackInPlace {
        instance: InstanceId,
        revision: RevisionNumber,
    },
    /// Take it out of the routes and let its requests finish.
    Drain {
        instance: InstanceId,
        because: Because,
    },
    StopInstance {
        instance: InstanceId,
        because: Because,
    },
    Promote {
        revision: RevisionNumber,
    },
    FailRevision {
        revision: RevisionNumber,
        diagnosis: Box<Diagnosis>,
    },
    /// Nothing runs any more: remove what is kept, the record last.
    Forget,
}

/// Why an instance is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Because {
    AppStopped,
    AppDeleted,
    TooMany,
    /// Another revision takes its place.
    Replaced,
    RevisionFailed,
    InstanceFailed,
    /// Its readiness probe failed for an hour.
    Unready,
}

/// The steps to do now, and when to ask again even if nothing changes.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Decision {
    pub steps: Vec<Step>,
    pub wake_at: Option<u64>,
}

impl Decision {
    /// Asks to be woken at `at`, unless that happens earlier anyway.
    pub(super) fn wake(&mut self, at: u64) {
        self.wake_at = Some(self.wake_at.map_or(at, |other| other.min(at)));
    }
}
