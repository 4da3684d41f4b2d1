//! The server and its machine on the wire.

use serde::{Deserialize, Serialize};

/// What the server is and what its machine can do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SystemInfo {
    pub version: String,
    pub pid: u32,
    /// Where state is kept.
    pub state_dir: String,
    /// Where sockets are.
    pub run_dir: String,
    pub settings_file: String,
    /// Where the gateway listens.
    pub gateway: Vec<String>,
    pub gateway_pid: Option<u32>,
    pub kernel: String,
    /// `v1`, `hybrid` or `v2`.
    pub cgroup: String,
    pub apps: u32,
    pub instances: u32,
    /// What is in the way on this machine; empty is good.
    pub warnings: Vec<Warning>,
}

/// Something on the machine that keeps Pillion from working fully.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Warning {
    pub message: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fix: Option<String>,
}

/// The body of `POST /v1/system/stop`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StopRequest {
    /// Leave the apps running; the next server finds them.
    #[serde(default)]
    pub keep_apps: bool,
}

/// The answer to `POST /v1/system/reload`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Reloaded {
    /// Settings that changed and are in force.
    pub applied: Vec<String>,
    /// Settings that changed and need a restart of the server.
    pub needs_restart: Vec<String>,
}
