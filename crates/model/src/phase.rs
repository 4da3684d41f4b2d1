//! Where a container or an instance stands: what `status` shows.

use pillion_fault::{Diagnosis, Exit, Listener};
use serde::{Deserialize, Serialize};

use crate::{ContainerName, InstanceId};

/// A monotonic count of an app's definitions; 1 is the first.
pub type RevisionNumber = u64;

/// Where an instance stands as a whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "phase")]
pub enum InstancePhase {
    /// Its images are being pulled.
    Pulling,
    /// Its containers are on their way up; it has never been ready.
    Starting,
    /// Main is ready and takes traffic.
    Ready,
    /// It was ready once and main is not ready now (a failed probe, a restart).
    Unready,
    /// It is being stopped in order.
    Stopping,
    /// Every container has ended as asked.
    Stopped,
    /// It cannot go on; the diagnosis says why.
    Failed { diagnosis: Box<Diagnosis> },
}

/// Where one container stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "phase", rename_all_fields = "camelCase")]
pub enum ContainerPhase {
    /// It waits for others: `on` names each container and the condition not yet met.
    Waiting {
        on: Vec<String>,
    },
    Starting,
    /// Its process runs; `ready` is the readiness probe's word (true where there is none).
    Running {
        pid: i32,
        ready: bool,
    },
    /// It ended and starts again after a pause.
    BackOff {
        until_ms: u64,
        last: Box<Diagnosis>,
    },
    /// A run-once container that ended with 0.
    Completed,
    /// It ended and does not start again by itself.
    Failed {
        last: Box<Diagnosis>,
    },
    /// Stopped because somebody asked.
    Stopped,
}

/// One container of an instance, as observed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ContainerStatus {
    pub name: ContainerName,
    #[serde(flatten)]
    pub phase: ContainerPhase,
    pub restarts: u32,
    pub last_exit: Option<Exit>,
    /// What the container is seen to listen on.
    pub listeners: Vec<Listener>,
    /// Bytes of memory in use, as its cgroup counts them; none if unknown.
    pub memory_bytes: Option<u64>,
    pub memory_limit_bytes: Option<u64>,
    /// Microseconds of CPU used since its start.
    pub cpu_usec: Option<u64>,
    /// Milliseconds since the epoch of the last start.
    pub started_at_ms: Option<u64>,
}

/// One instance, as observed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct InstanceStatus {
    pub id: InstanceId,
    pub revision: RevisionNumber,
    #[serde(flatten)]
    pub phase: InstancePhase,
    /// Main's port: the declared one, or the detected one.
    pub port: Option<u16>,
    pub containers: Vec<ContainerStatus>,
}
