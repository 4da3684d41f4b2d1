//! The values of an apply: its options, its outcome and the preview of what it will do.

use pillion_model::{ContainerName, RevisionNumber};
use pillion_store::Etag;
use serde::{Deserialize, Serialize};

use crate::SiteFront;

/// How to apply.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ApplyOptions {
    /// Only compute: nothing is stored, nothing runs.
    pub dry_run: bool,
    /// Refuse with [`crate::ControlError::Conflict`] unless the app's etag is this one.
    pub if_match: Option<Etag>,
    /// Who applies, where it is not an app file: the ARM id of a site. What one owner made, no other changes.
    pub owner: Option<String>,
    /// A new app is stopped from the start.
    pub stopped: bool,
    /// What holds for a new app's public name, from its first request on; later [`crate::Control::set_site_front`] sets it.
    pub site: Option<SiteFront>,
}

/// What an apply did, or would do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ApplyOutcome {
    /// The revision that the app is now asked to be; pass it to [`crate::Control::wait`]. With `dry_run`, the one it would get.
    pub revision: RevisionNumber,
    /// The app's etag after this apply; none after a dry run of an app that does not exist yet.
    pub etag: Option<Etag>,
    /// In the order in which they will happen; empty: the app already is what was asked.
    pub steps: Vec<PreviewStep>,
    pub dry_run: bool,
}

/// One step of an apply, foretold. `Display` is the line that `--dry-run` prints.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "step", rename_all_fields = "camelCase")]
pub enum PreviewStep {
    /// The app is new.
    CreateApp,
    /// The image is made present (nothing is downloaded if it already is).
    PullImage {
        container: ContainerName,
        image: String,
    },
    StartInstances {
        count: u32,
    },
    /// The container appears beside those that run.
    AddContainer {
        container: ContainerName,
    },
    /// The container alone is stopped and started anew in each instance; `changed` names the fields.
    ReplaceContainer {
        container: ContainerName,
        changed: Vec<String>,
    },
    RemoveContainer {
        container: ContainerName,
    },
    /// New instances start beside the old; traffic moves once they are ready, then the old stop.
    ReplaceInstances {
        count: u32,
        because: String,
    },
    /// Instances are drained and stopped.
    StopInstances {
        count: u32,
    },
    /// Only what the gateway or the record knows changes: host names, deadlines, unused settings.
    UpdateRecord {
        changed: Vec<String>,
    },
}

impl std::fmt::Display for PreviewStep {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            PreviewStep::CreateApp => write!(f, "create the app"),
            PreviewStep::PullImage { container, image } => write!(f, "pull {image} for container {container}"),
            PreviewStep::StartInstances { count: 1 } => write!(f, "start 1 instance"),
            PreviewStep::StartInstances { count } => write!(f, "start {count} instances"),
            PreviewStep::AddContainer { container } => write!(f, "start container {container} in each instance"),
            PreviewStep::ReplaceContainer { container, changed } => {
                write!(f, "replace container {container} in each instance ({} changed)", changed.join(", "))
            }
            PreviewStep::RemoveContainer { container } => write!(f, "remove container {container} from each instance"),
            PreviewStep::ReplaceInstances { count: 1, because } => write!(f, "replace 1 instance ({because})"),
            PreviewStep::ReplaceInstances { count, because } => write!(f, "replace {count} instances ({because})"),
            PreviewStep::StopInstances { count: 1 } => write!(f, "drain and stop 1 instance"),
            PreviewStep::StopInstances { count } => write!(f, "drain and stop {count} instances"),
            PreviewStep::UpdateRecord { changed } => write!(f, "update {} (no container is touched)", changed.join(", ")),
        }
    }
}
