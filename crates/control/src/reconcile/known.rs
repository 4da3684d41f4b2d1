//! What the reconciler knows of one app: its record, its revisions, and what it did about them.

use std::{collections::BTreeMap, sync::Arc};

use pillion_model::{App, RevisionNumber};
use pillion_store::{Etag, Outcome, Revision};

use crate::{
    decide::{Desired, Target},
    memory::Memory,
    record::Record,
};

/// What is known of one app.
pub(super) struct Known {
    pub(super) record: Record,
    pub(super) etag: Etag,
    pub(super) revisions: BTreeMap<RevisionNumber, Stored>,
    pub(super) memory: Memory,
}

#[derive(Clone)]
pub(crate) struct Stored {
    pub(crate) definition: Arc<App>,
    pub(crate) images: Option<BTreeMap<pillion_model::ContainerName, String>>,
    pub(crate) outcome: Outcome,
}

impl Known {
    /// Returns true where nothing changes in the store without the record's etag changing, too.
    pub(super) fn at_rest(&self) -> bool {
        self.revisions.get(&self.record.target).is_some_and(|stored| stored.outcome != Outcome::Pending)
    }

    pub(super) fn desired(&self, settle_ms: u64) -> Desired {
        let target = self.revisions.get(&self.record.target);
        let newest = target.or_else(|| self.record.current.and_then(|current| self.revisions.get(&current)));
        let pending =
            target.filter(|stored| Some(self.record.target) != self.record.current && stored.outcome == Outcome::Pending);
        // A failed definition's number of instances does not count.
        let counted = match (target.map(|stored| &stored.outcome), self.record.current) {
            (Some(Outcome::Failed { .. }), Some(current)) => self.revisions.get(&current).or(newest),
            (Some(_) | None, _) => newest,
        };
        Desired {
            intent: self.record.intent,
            scale: self.record.scale.or(counted.map(|stored| stored.definition.scale)).unwrap_or(1),
            current: self.record.current,
            target: pending.map(|stored| Target {
                revision: self.record.target,
                prepared: stored.images.is_some(),
                ready_within_ms: stored.definition.ready_within.saturating_mul(1000),
            }),
            settle_ms,
            failed: self.revisions.iter().filter(|(_, stored)| stored.failed()).map(|(number, _)| *number).collect(),
            definitions: self.revisions.iter().map(|(number, stored)| (*number, stored.definition.clone())).collect(),
        }
    }
}

impl Stored {
    fn failed(&self) -> bool {
        matches!(self.outcome, Outcome::Failed { .. })
    }

    /// Keeps the definition that is in memory already: it never changes.
    pub(super) fn of(revision: Revision, known: Option<Stored>) -> Stored {
        let definition = known.map_or_else(|| Arc::new(revision.definition), |known| known.definition);
        Stored { definition, images: revision.images, outcome: revision.outcome }
    }
}
