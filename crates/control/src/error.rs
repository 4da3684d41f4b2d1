//! Why the control plane refuses or cannot do what it was asked.

use pillion_fault::{Diagnosis, Words};
use pillion_model::{AppName, InstanceId, RevisionNumber};
use pillion_store::{Etag, StoreError};

use crate::Problem;

/// A refusal or failure of [`crate::Control`]. [`ControlError::code`] is stable for clients.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    #[error("there is no app `{app}`")]
    AppNotFound { app: AppName },
    #[error("app `{app}` has no revision {revision}")]
    RevisionNotFound { app: AppName, revision: RevisionNumber },
    #[error("app `{app}` has no container `{container}`")]
    ContainerNotFound { app: AppName, container: String, known: Vec<String> },
    #[error("app `{app}` has no instance `{instance}`")]
    InstanceNotFound { app: AppName, instance: InstanceId },
    /// Nothing runs that this could be done to.
    #[error("app `{app}` has no running instance")]
    NothingRuns { app: AppName },
    #[error("the definition of app `{app}` has {} problem{}", problems.len(), if problems.len() == 1 { "" } else { "s" })]
    Invalid { app: AppName, problems: Vec<Problem> },
    /// Somebody else changed the app since `expected` was read.
    #[error("app `{app}` was changed in the meantime")]
    Conflict { app: AppName, expected: Etag, found: Option<Etag> },
    #[error("app `{app}` is being deleted")]
    BeingDeleted { app: AppName },
    /// The app belongs to a resource of the other route.
    #[error("app `{app}` belongs to {owner}, which alone changes it")]
    Owned { app: AppName, owner: String },
    /// An app file made the app; a resource cannot take it over.
    #[error("app `{app}` was made by an app file, so {by} cannot be it")]
    Taken { app: AppName, by: String },
    /// A command was to be run in a container whose image has no such program.
    #[error("the image of container `{container}` of app `{app}` has no program `{program}`")]
    ProgramMissing { app: AppName, container: String, program: String },
    #[error("app `{app}` is stopped")]
    Stopped { app: AppName },
    #[error("an app can have 1 to {max} instances, not {asked}")]
    ScaleOutOfRange { asked: u32, max: u32 },
    #[error("no loopback port is free for app `{app}` (all of {first}-{last} are given to apps)")]
    PortsExhausted { app: AppName, first: u16, last: u16 },
    #[error("app `{app}` did not come to rest within {waited_s} s")]
    NotInTime { app: AppName, waited_s: u64 },
    #[error("{}", .diagnosis.fault)]
    Engine { diagnosis: Box<Diagnosis> },
    #[error("the store cannot do it")]
    Store(#[from] StoreError),
}

/// What a [`ControlError`] means to who asked, with what there is to say beside its sentence: what answers choose a status by.
#[derive(Debug, Clone, Copy)]
pub enum ErrorKind<'a> {
    /// What was named is not there.
    NotFound,
    /// It cannot be done to the app as it is, or not by this caller.
    InTheWay,
    /// It was changed since it was read.
    Stale,
    /// What was asked is wrong whatever the app is like.
    Invalid(&'a [Problem]),
    /// The engine refused or failed.
    Engine(&'a Diagnosis),
    /// The machine has no more of what it takes.
    Exhausted,
    /// It goes on, and took longer than was waited.
    Late,
    Store(&'a StoreError),
}

impl ControlError {
    /// Sorts the errors by what they mean to who asked.
    pub fn kind(&self) -> ErrorKind<'_> {
        match self {
            ControlError::AppNotFound { .. }
            | ControlError::RevisionNotFound { .. }
            | ControlError::ContainerNotFound { .. }
            | ControlError::InstanceNotFound { .. }
            | ControlError::ProgramMissing { .. } => ErrorKind::NotFound,
            ControlError::NothingRuns { .. }
            | ControlError::BeingDeleted { .. }
            | ControlError::Owned { .. }
            | ControlError::Taken { .. }
            | ControlError::Stopped { .. } => ErrorKind::InTheWay,
            ControlError::Conflict { .. } => ErrorKind::Stale,
            ControlError::Invalid { problems, .. } => ErrorKind::Invalid(problems),
            ControlError::ScaleOutOfRange { .. } => ErrorKind::Invalid(&[]),
            ControlError::Engine { diagnosis } => ErrorKind::Engine(diagnosis),
            ControlError::PortsExhausted { .. } => ErrorKind::Exhausted,
            ControlError::NotInTime { .. } => ErrorKind::Late,
            ControlError::Store(source) => ErrorKind::Store(source),
        }
    }

    /// Returns the stable word for this error.
    pub fn code(&self) -> &'static str {
        match self {
            ControlError::AppNotFound { .. } => "AppNotFound",
            ControlError::RevisionNotFound { .. } => "RevisionNotFound",
            ControlError::ContainerNotFound { .. } => "ContainerNotFound",
            ControlError::InstanceNotFound { .. } => "InstanceNotFound",
            ControlError::NothingRuns { .. } => "NothingRuns",
            ControlError::Invalid { .. } => "DefinitionInvalid",
            ControlError::Conflict { .. } => "Conflict",
            ControlError::BeingDeleted { .. } => "BeingDeleted",
            ControlError::Owned { .. } => "ManagedByResource",
            ControlError::Taken { .. } => "ManagedByAppFile",
            ControlError::ProgramMissing { .. } => "ProgramMissing",
            ControlError::Stopped { .. } => "AppStopped",
            ControlError::ScaleOutOfRange { .. } => "ScaleOutOfRange",
            ControlError::PortsExhausted { .. } => "PortsExhausted",
            ControlError::NotInTime { .. } => "NotInTime",
            ControlError::Engine { .. } => "EngineFailed",
            ControlError::Store(_) => "StoreFailed",
        }
    }

    /// Returns what to do next, where something general can be said, in the words of the app file.
    pub fn hint(&self) -> Option<String> {
        self.hint_in(Words::AppFile)
    }

    /// Returns what to do next, where something general can be said; of an app's containers in these words.
    pub fn hint_in(&self, words: Words) -> Option<String> {
        match self {
            ControlError::AppNotFound { .. } => Some("`pillion list` shows the apps there are".into()),
            ControlError::RevisionNotFound { app, .. } => Some(format!("`pillion show {app}` says which one is current")),
            ControlError::ContainerNotFound { known, .. } => Some(format!("its containers are {}", known.join(", "))),
            ControlError::InstanceNotFound { app, .. } => Some(format!("`pillion status {app}` shows its instances")),
            ControlError::NothingRuns { app } => Some(format!("`pillion status {app}` says why")),
            ControlError::Invalid { .. } => None,
            ControlError::Conflict { app, .. } => {
                Some(format!("read it again (`pillion show {app}`), then apply your change to that"))
            }
            ControlError::BeingDeleted { .. } => Some("wait until it is gone, then apply again".into()),
            ControlError::Owned { app, .. } => Some(format!(
                "change it with az, or delete that resource (`az webapp delete --name {app}`) and apply the file again"
            )),
            ControlError::Taken { app, .. } => {
                Some(format!("choose another name, or delete the app (`pillion delete {app}`) and create the resource again"))
            }
            ControlError::ProgramMissing { .. } => Some("name one that it has, by its full path or a name in its PATH".into()),
            ControlError::Stopped { app } => Some(format!("`pillion start {app}` starts it")),
            ControlError::ScaleOutOfRange { .. } => None,
            ControlError::PortsExhausted { .. } => Some("delete an app that is no longer needed".into()),
            ControlError::NotInTime { app, .. } => Some(format!("`pillion status {app}` shows what it waits for")),
            ControlError::Engine { diagnosis } => diagnosis.fault.hint_in(words),
            ControlError::Store(_) => None,
        }
    }
}

/// What the engine said, as an answer to who asked.
pub(crate) fn engine_error(diagnosis: Diagnosis) -> ControlError {
    ControlError::Engine { diagnosis: Box::new(diagnosis) }
}
