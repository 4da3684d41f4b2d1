//! A listening TCP socket seen inside an instance's network namespace.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

/// A listening TCP socket and the container that holds it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Listener {
    pub address: SocketAddr,
    /// The container whose process holds the socket; none if it could not be found out.
    pub container: Option<String>,
    /// The command name (`/proc/PID/comm`) of that process.
    pub process: Option<String>,
}
