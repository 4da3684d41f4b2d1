//! What an instance is to be. Written whole to `<dir>/spec.json` before the supervisor starts, and after each change.

use std::path::PathBuf;

use pillion_runtime::spec as runtime;
use serde::{Deserialize, Serialize};

/// One instance.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct InstanceSpec {
    pub id: String,
    /// Counts up with every change of this instance's spec; status carries it back.
    pub generation: u64,
    /// Opaque to the supervisor; given back in the status (an engine keeps app and revision here).
    pub labels: serde_json::Value,
    pub sandbox: runtime::SandboxSpec,
    pub containers: Vec<ContainerSpec>,
    /// `<log_dir>/<container>.log` and its rotated predecessors.
    pub log_dir: PathBuf,
    pub log_limits: LogLimits,
    /// The gateway's uid and gid, which own the socket that hands out connections into the instance.
    pub gate_owner: (u32, u32),
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LogLimits {
    pub file_bytes: u64,
    pub files: u32,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ContainerSpec {
    pub run: runtime::ContainerSpec,
    /// The container whose port is *the* port of the instance. Exactly one.
    pub main: bool,
    /// Declared port; for main, none means: detect it (80, then 8080, then the only listener).
    pub port: Option<u16>,
    pub depends_on: Vec<(String, Condition)>,
    pub startup: Option<Probe>,
    pub readiness: Option<Probe>,
    pub liveness: Option<Probe>,
    pub restart: RestartPolicy,
    /// Its end (when it is not restarted) is the instance's end.
    pub essential: bool,
    pub stop_signal: i32,
    pub stop_grace_ms: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Condition {
    Started,
    Healthy,
    Completed,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum RestartPolicy {
    Always,
    /// Until it ends with 0 once.
    OnFailure,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Probe {
    pub check: Check,
    pub interval_ms: u64,
    pub timeout_ms: u64,
    pub failures: u32,
    /// For startup: how long it may take in all.
    pub within_ms: u64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "kind", rename_all_fields = "camelCase")]
pub enum Check {
    /// `port` none: the container's port (declared or detected). `statuses`: inclusive ranges; empty accepts every answer.
    Http { port: Option<u16>, path: String, headers: Vec<(String, String)>, statuses: Vec<(u16, u16)> },
    Tcp { port: Option<u16> },
    Exec { argv: Vec<String> },
}
