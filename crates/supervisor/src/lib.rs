//! The process that owns one instance: start order, probes, restarts, logs, stop. Knows no app.
//!
//! ```text
//!  control.sock ─▶ server ─asks─▶ ┌────────────┐ ─commands─▶ life (one per incarnation) ─▶ machine ─▶ runtime
//!                   ▲             │ supervisor │                 │         │
//!                   └── board ◀── │  + state   │ ◀─── facts ─────┘         └─▶ logs
//!  gate.sock ─────▶ gate          └────────────┘
//! ```
//! Everything runs on one thread; [`state`] decides and does no I/O.

mod board;
mod client;
mod clock;
pub mod diagnosis;
mod door;
mod gate;
mod life;
pub mod logs;
mod machine;
mod persist;
mod probe;
pub mod protocol;
mod readiness;
mod run;
mod server;
mod session;
pub mod spec;
pub mod state;
pub mod status;
mod supervisor;
#[doc(hidden)]
pub mod testing;
mod warden;
mod wire;

pub use client::{Client, ClientError, ExecInput, ExecOutput, ExecSession, Watch};
pub use door::{VERB, VERSION, door};
pub use run::{RunError, UP, run};
pub use wire::WireError;

/// Files of an instance's directory.
pub const SPEC_FILE: &str = "spec.json";
pub const CONTROL_SOCKET: &str = "control.sock";
pub const GATE_SOCKET: &str = "gate.sock";
pub const PID_FILE: &str = "supervisor.pid";
