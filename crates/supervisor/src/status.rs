//! What an instance is: the facts a supervisor publishes after every change.

use pillion_fault::{Diagnosis, Exit, Listener};
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct InstanceStatus {
    pub id: String,
    /// The spec generation this status speaks of.
    pub generation: u64,
    /// Counts every published change.
    pub serial: u64,
    pub labels: serde_json::Value,
    pub supervisor_pid: u32,
    pub phase: InstancePhase,
    /// Main's port, once known.
    pub port: Option<u16>,
    pub containers: Vec<ContainerStatus>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "phase")]
pub enum InstancePhase {
    Starting,
    Ready,
    Unready,
    Stopping,
    Stopped,
    Failed { diagnosis: Box<Diagnosis> },
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ContainerStatus {
    pub name: String,
    pub phase: ContainerPhase,
    pub restarts: u32,
    pub last_exit: Option<Exit>,
    /// The newest diagnosis, kept until the container is ready again.
    pub diagnosis: Option<Box<Diagnosis>>,
    pub listeners: Vec<Listener>,
    pub memory_bytes: Option<u64>,
    pub cpu_usec: Option<u64>,
    pub started_at_ms: Option<u64>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "phase", rename_all_fields = "camelCase")]
pub enum ContainerPhase {
    Waiting { on: Vec<String> },
    Starting,
    Running { pid: i32, ready: bool },
    BackOff { until_ms: u64 },
    Completed,
    Failed,
    Stopped,
}

/// Something that happened, for the event log; kept in a bounded ring and streamed to whoever watches.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Event {
    pub serial: u64,
    pub at_ms: u64,
    pub container: Option<String>,
    pub what: EventKind,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "kind", rename_all_fields = "camelCase")]
pub enum EventKind {
    Started { pid: i32 },
    Ready,
    Unready { diagnosis: Box<Diagnosis> },
    Ended { exit: Exit, after_ms: u64 },
    Restarting { in_ms: u64, because: String },
    Replaced { generation: u64 },
    StopRequested,
    Killed { after_grace_ms: u64 },
    PortDetected { port: u16 },
    Failed { diagnosis: Box<Diagnosis> },
}
