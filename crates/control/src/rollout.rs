//! What a person sees of a rollout: the progress of each container, then one ending.

use pillion_fault::Diagnosis;
use pillion_model::{ContainerName, InstanceId, RevisionNumber};
use serde::{Deserialize, Serialize};

/// One piece of news about a revision on its way. The stream ends after `Ready`, `Failed`, `Superseded`, `Stopped` or `Deleted`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "event", rename_all_fields = "camelCase")]
pub enum RolloutEvent {
    /// `instance` is none while the image is fetched, which happens once for all instances.
    Container {
        container: ContainerName,
        instance: Option<InstanceId>,
        progress: ContainerProgress,
    },
    /// So many of the wanted instances have proved themselves.
    Instances {
        ready: u32,
        wanted: u32,
    },
    /// The revision is current: it takes the traffic.
    Ready {
        revision: RevisionNumber,
        millis: u64,
    },
    /// The revision has failed; `serving` is the revision that goes on serving, if any.
    Failed {
        revision: RevisionNumber,
        diagnosis: Box<Diagnosis>,
        serving: Option<RevisionNumber>,
    },
    /// A newer apply took over.
    Superseded {
        by: RevisionNumber,
    },
    /// The app was stopped before the revision was ready.
    Stopped,
    Deleted,
}

/// How far a container has come.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "progress", rename_all_fields = "camelCase")]
pub enum ContainerProgress {
    Resolving {
        image: String,
    },
    /// Compressed bytes, done of all.
    Pulling {
        done: u64,
        total: u64,
    },
    Pulled {
        digest: String,
        millis: u64,
    },
    /// It waits for other containers: each with the condition not yet met.
    Waiting {
        on: Vec<String>,
    },
    Starting,
    /// Its process runs; its probe has not passed yet, and `diagnosis` says why once that is known.
    Running {
        #[serde(default)]
        diagnosis: Option<Box<Diagnosis>>,
    },
    Ready,
    /// A run-once container ended with 0.
    Completed,
    /// It ended and will be started again.
    BackOff {
        diagnosis: Box<Diagnosis>,
        restarts: u32,
    },
    Failed {
        diagnosis: Box<Diagnosis>,
    },
    Stopped,
}
