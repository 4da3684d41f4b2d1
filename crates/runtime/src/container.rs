//! A container's life as seen by the supervisor: create, start, wait, signal, exec into, remove.
//!
//! ```text
//!  Launcher::create ──▶ Created ──start──▶ Running ──wait──▶ Exit ──remove──▶ (nothing left)
//!                          └─drop: the waiting init sees its socket close and ends
//! ```
//! One socket joins the supervisor to the helper and, from it, to the container's first process: the request goes
//! in, facts and typed faults come out, and its end of file is the proof that `execve` happened.

mod create;
mod error;
mod exec;
mod helper_process;
mod init;
mod joining;
mod launch;
mod running;
mod spare;
mod stdio;
mod terminal;
mod wire;

pub(crate) use create::role as create_role;
pub use error::StartError;
pub(crate) use error::failed;
pub(crate) use exec::role as exec_role;
pub use launch::Created;
pub use running::Running;
pub(crate) use spare::Spares;
pub use stdio::{Pipes, Stdio};
pub use terminal::{Terminal, TerminalSize};
