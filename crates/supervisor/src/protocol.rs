//! The wire between an engine and a supervisor: `<dir>/control.sock` (SOCK_STREAM, 0600).
//!
//! Frame: u32 little-endian length (at most 16 MiB), then one JSON object. The first frame each way is a
//! [`Hello`]; peers speak the lower of the two versions, and a reader ignores fields it does not know, so a newer
//! `serve` adopts an older supervisor. A connection carries one request; `Watch`, `Logs` and `Exec` answer with a
//! stream of frames until either side closes. The gate (`<dir>/gate.sock`, owned by the gateway) is apart: one byte
//! N asks for N TCP sockets made inside the instance's network namespace, answered with one byte per batch and
//! SCM_RIGHTS: first N/2 AF_INET, then AF_INET6 likewise — see [`crate::spec::InstanceSpec::gate_owner`].

use pillion_fault::Fault;
use serde::{Deserialize, Serialize};

use crate::{
    spec::{Check, InstanceSpec},
    status::{Event, InstanceStatus},
};

/// 2: [`Request::Check`].
pub const VERSION: u32 = 2;

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Hello {
    pub pillion_supervisor: u32,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "request", rename_all_fields = "camelCase")]
pub enum Request {
    /// Status now, then after every change, with the events since `after_event`.
    Watch {
        after_event: u64,
    },
    /// Move to this spec: containers whose spec is unchanged keep their process; others are stopped and started
    /// (new image layers must already be unpacked). Answered when accepted, not when done.
    Update {
        spec: Box<InstanceSpec>,
    },
    Restart {
        container: Option<String>,
    },
    StopContainer {
        container: String,
    },
    StartContainer {
        container: String,
    },
    /// Stop everything in order, remove every trace, exit. Answered when done.
    Stop,
    /// Kill everything at once, remove every trace, exit.
    Kill,
    /// Run one check against a running container now, as its readiness probe would.
    Check {
        container: String,
        check: Check,
        timeout_ms: u64,
    },
    Exec {
        container: String,
        exec: pillion_runtime::spec::ExecSpec,
        tty_size: Option<(u16, u16)>,
    },
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "reply", rename_all_fields = "camelCase")]
pub enum Reply {
    Ok,
    Refused {
        reason: String,
        /// Where the reason is one that can be told apart; supervisors of before say none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        fault: Option<Box<Fault>>,
    },
    State {
        status: Box<InstanceStatus>,
        events: Vec<Event>,
    },
    /// Exec, both ways: bytes as base64.
    Stdin {
        data: String,
    },
    StdinClosed,
    Resize {
        columns: u16,
        rows: u16,
    },
    Stdout {
        data: String,
    },
    Stderr {
        data: String,
    },
    Exit {
        exit: pillion_fault::Exit,
    },
}
