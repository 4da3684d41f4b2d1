//! The values that cross the engine's border.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc, time::SystemTime};

use bytes::Bytes;
use pillion_fault::{Diagnosis, Exit};
use pillion_model::{App, AppName, ContainerName, InstanceId, InstanceStatus, RevisionNumber};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

/// A definition whose images are to be made present.
#[derive(Debug, Clone)]
pub struct Prepare {
    pub app: AppName,
    pub revision: RevisionNumber,
    pub definition: Arc<App>,
    /// By registry host.
    pub credentials: BTreeMap<String, Credential>,
    /// A revision that proved its right to these images before may use the cache without asking the registry.
    pub proven: Option<Prepared>,
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Credential {
    pub username: String,
    pub password: String,
}

impl std::fmt::Debug for Credential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Credential({}, ***)", self.username)
    }
}

/// What `prepare` found: each container's image as `name@sha256:…`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Prepared {
    pub images: BTreeMap<ContainerName, String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "step", rename_all_fields = "camelCase")]
pub enum Progress {
    Resolving {
        container: ContainerName,
        image: String,
    },
    /// Bytes of compressed layers fetched so far, of all (0 of 0: it was already there).
    Pulling {
        container: ContainerName,
        done: u64,
        total: u64,
    },
    Pulled {
        container: ContainerName,
        digest: String,
        millis: u64,
    },
}

/// One instance to run: complete, secrets resolved.
#[derive(Debug, Clone)]
pub struct Instance {
    pub id: InstanceId,
    pub app: AppName,
    pub revision: RevisionNumber,
    /// 0-based place among the app's instances.
    pub index: u32,
    pub definition: Arc<App>,
    pub prepared: Prepared,
    /// Each container's environment from the definition with settings resolved, in order.
    pub env: BTreeMap<ContainerName, Vec<(String, String)>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Action {
    Restart,
    Stop,
    Start,
}

/// All instances of an engine.
#[derive(Debug, Clone, Default)]
pub struct Observed {
    /// Counts every change.
    pub serial: u64,
    /// False until the engine has found everything that already ran (adoption).
    pub complete: bool,
    pub instances: BTreeMap<InstanceId, ObservedInstance>,
}

#[derive(Debug, Clone)]
pub struct ObservedInstance {
    pub app: AppName,
    pub status: InstanceStatus,
    /// Digest of the definition this instance was last asked to be, as the engine was given it.
    pub generation: u64,
    /// Where the gateway gets connections to it, if this engine is reached that way.
    pub gate: Option<PathBuf>,
    /// The newest diagnosis per container, newest last.
    pub diagnoses: Vec<Diagnosis>,
    /// What happened since the engine began to watch it, oldest first, bounded.
    pub events: Vec<ObservedEvent>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ObservedEvent {
    /// Unique and rising within the instance.
    pub serial: u64,
    pub at_ms: u64,
    pub container: Option<String>,
    /// Stable word: `started`, `ready`, `unready`, `ended`, `restarting`, `replaced`, `failed`, …
    pub kind: String,
    pub text: String,
}

#[derive(Debug, Clone, Default)]
pub struct LogQuery {
    pub app: Option<AppName>,
    pub instance: Option<InstanceId>,
    pub container: Option<String>,
    pub follow: bool,
    pub since: Option<SystemTime>,
    pub tail: Option<usize>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LogLine {
    pub instance: InstanceId,
    pub container: String,
    /// Milliseconds since the epoch.
    pub at_ms: u64,
    pub stream: Stream,
    /// The line without its end. Bytes that are not UTF-8 are shown as U+FFFD here; the file keeps them.
    pub text: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Stream {
    Stdout,
    Stderr,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ExecRequest {
    pub argv: Vec<String>,
    #[serde(default)]
    pub env: Vec<String>,
    #[serde(default)]
    pub tty: Option<TtySize>,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct TtySize {
    pub columns: u16,
    pub rows: u16,
}

/// A process under way in a container.
pub struct ExecSession {
    pub input: mpsc::Sender<ExecInput>,
    pub output: mpsc::Receiver<ExecOutput>,
}

#[derive(Debug, Clone)]
pub enum ExecInput {
    Data(Bytes),
    Close,
    Resize(TtySize),
}

#[derive(Debug, Clone)]
pub enum ExecOutput {
    Stdout(Bytes),
    Stderr(Bytes),
    Exit(Exit),
}
