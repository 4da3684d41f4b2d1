//! The seam between deciding and Linux: what the loop asks of the machine it runs on.
//!
//! [`linux::Linux`] is the real one; tests script another and fail its n-th call.

mod linux;

use std::{io, os::fd::OwnedFd, pin::Pin, rc::Rc};

use pillion_fault::{Exit, Fault, Listener, ProbeKind};
use pillion_runtime::spec::ExecSpec;

use crate::spec::{Check, ContainerSpec};
pub(crate) use linux::Linux;

/// A future of the supervisor's only thread.
pub type Local<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;

pub trait Machine: 'static {
    /// Makes a container whose program does not run yet; it will print to `output`.
    fn create<'a>(&'a self, spec: &'a ContainerSpec, output: Output) -> Local<'a, Result<Box<dyn Created>, Fault>>;

    /// What listens in the instance now.
    fn listeners(&self, containers: &[String]) -> Vec<Listener>;

    /// Runs one check against a running container; takes as long as `timeout_ms` at most.
    fn check<'a>(&'a self, process: Rc<dyn Process>, probe: Asked<'a>) -> Local<'a, Result<(), Fault>>;

    /// Makes exactly these names resolve to loopback inside.
    fn set_host_names(&self, names: &[String]) -> io::Result<()>;

    /// Kills whatever runs in the instance, and removes every trace of it.
    fn remove(&self) -> io::Result<()>;
}

/// The write ends of a container's output.
pub struct Output {
    pub stdout: OwnedFd,
    pub stderr: OwnedFd,
}

/// One check to run.
#[derive(Clone, Copy)]
pub struct Asked<'a> {
    pub kind: ProbeKind,
    pub check: &'a Check,
    /// The container's port, declared or detected.
    pub port: Option<u16>,
    pub timeout_ms: u64,
}

/// A container that waits to be let go.
pub trait Created {
    fn start(self: Box<Self>) -> Local<'static, Result<Box<dyn Process>, Fault>>;
    fn discard(self: Box<Self>) -> Local<'static, ()>;
}

/// A running container, or a further process in one.
pub trait Process {
    fn pid(&self) -> i32;

    /// The master of its terminal, if it has one; the second time none.
    fn take_terminal(&self) -> Option<OwnedFd>;

    /// Waits for its end; asked once.
    fn wait(&self) -> Local<'_, Exit>;

    fn signal(&self, signal: i32);

    /// SIGKILL to everything in the container.
    fn kill_all(&self);

    /// Removes what the ended container left behind.
    fn remove(&self) -> Local<'_, ()>;

    fn exec<'a>(&'a self, exec: &'a ExecSpec, stdio: ExecStdio) -> Local<'a, Result<Box<dyn Process>, Fault>>;

    fn usage(&self) -> Usage;
}

/// What a further process gets for its standard streams.
pub enum ExecStdio {
    Given { stdin: OwnedFd, stdout: OwnedFd, stderr: OwnedFd },
    Terminal { columns: u16, rows: u16 },
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    pub memory_bytes: Option<u64>,
    pub cpu_usec: Option<u64>,
    /// Forks refused by the container's own limit.
    pub pids_refused: Option<u64>,
}
