//! What decisions are made of: what is wanted of an app, and what is seen of it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use pillion_engine::ObservedInstance;
use pillion_fault::Diagnosis;
use pillion_model::{App, InstanceId, RevisionNumber};

use super::Because;
use crate::record::Intent;

/// What is wanted of one app.
#[derive(Debug, Clone)]
pub struct Desired {
    pub intent: Intent,
    pub scale: u32,
    pub current: Option<RevisionNumber>,
    /// The revision on its way; none when the newest is current or has failed.
    pub target: Option<Target>,
    /// Revisions that were given up.
    pub failed: BTreeSet<RevisionNumber>,
    /// Definitions of every revision that may be running.
    pub definitions: BTreeMap<RevisionNumber, Arc<App>>,
    /// How long a container without a probe must run on before it counts as proven: running is all it can show, and one
    /// that ends at once runs, too.
    pub settle_ms: u64,
}

#[derive(Debug, Clone)]
pub struct Target {
    pub revision: RevisionNumber,
    /// Its images are present.
    pub prepared: bool,
    pub ready_within_ms: u64,
}

/// What is seen of one app, and what the executor knows beyond that. Times are milliseconds of a monotonic clock.
#[derive(Debug, Clone, Default)]
pub struct Seen<'a> {
    /// False before the engine has found what already ran; nothing is decided until then.
    pub complete: bool,
    pub instances: Vec<&'a ObservedInstance>,
    /// Asked for and not seen yet.
    pub starting: BTreeMap<InstanceId, RevisionNumber>,
    /// Being changed in place right now.
    pub updating: BTreeSet<InstanceId>,
    /// Out of the routes, with requests still under way; each with the reason for it.
    pub draining: BTreeMap<InstanceId, Because>,
    /// Out of the routes, without requests under way; likewise.
    pub drained: BTreeMap<InstanceId, Because>,
    /// Since when each instance has been well with the processes it has now.
    pub steady: BTreeMap<InstanceId, u64>,
    /// Since when each instance has been without its readiness, without a break.
    pub unready: BTreeMap<InstanceId, u64>,
    /// When instances were replaced for that, within a day, oldest first.
    pub replaced: Vec<u64>,
    pub rollout: RolloutSeen,
    /// No instance of the current revision is started before this: the back-off after failures.
    pub not_before: u64,
    /// The engine refused to start the current revision: its images may have gone, so they are made present again first.
    pub unprepared: bool,
}

impl Seen<'_> {
    /// Returns why an instance's end has begun; from then on it is not counted on. None while it has not.
    pub(crate) fn leaving(&self, instance: &InstanceId) -> Option<Because> {
        self.draining.get(instance).or_else(|| self.drained.get(instance)).copied()
    }
}

/// What is known of the rollout to the target.
#[derive(Debug, Clone, Default)]
pub struct RolloutSeen {
    /// When it last came nearer to its end.
    pub since: Option<u64>,
    pub attempts: u32,
    pub not_before: u64,
    /// The images cannot be made present, or the engine refuses to start it.
    pub refused: Option<Diagnosis>,
}
