//! The container's first process, from the end of libcontainer's set-up to `execve`.

use std::{
    mem::ManuallyDrop,
    os::{
        fd::{AsFd, FromRawFd, RawFd},
        unix::net::UnixStream,
    },
    sync::Arc,
};

use libcontainer::{
    oci_spec::runtime::Spec,
    workload::{Executor, ExecutorError, ExecutorSetEnvsError, ExecutorValidationError},
};
use pillion_fault::Fault;

use super::{
    TerminalSize,
    error::failed,
    terminal,
    wire::{self, GO, Reply},
};
use crate::{exec::Program, seccomp::Filters};

/// What the process does last; libcontainer clones it freely.
#[derive(Clone)]
pub(super) struct Init {
    /// The supervisor's socket, close-on-exec, open in this process since the helper cloned it.
    socket: RawFd,
    argv: Vec<String>,
    env: Vec<String>,
    terminal: Option<TerminalSize>,
    filters: Arc<Filters>,
}

impl Init {
    pub fn new(socket: RawFd, argv: &[String], env: Vec<String>, terminal: Option<TerminalSize>, filters: Arc<Filters>) -> Self {
        Self { socket, argv: argv.to_vec(), env, terminal, filters }
    }
}

impl Executor for Init {
    fn exec(&self, _spec: &Spec) -> Result<(), ExecutorError> {
        // SAFETY: the helper opened this socket and keeps it open in every process cloned from it; `ManuallyDrop`
        // leaves the closing to `execve`.
        let socket = ManuallyDrop::new(unsafe { UnixStream::from_raw_fd(self.socket) });
        run(&socket, &self.argv, &self.env, self.terminal, &self.filters)
    }

    fn validate(&self, _spec: &Spec) -> Result<(), ExecutorValidationError> {
        Ok(())
    }

    /// The environment is handed to `execve`; this process needs none.
    fn setup_envs(&self, _envs: std::collections::HashMap<String, String>) -> Result<(), ExecutorSetEnvsError> {
        Ok(())
    }
}

/// Waits for the supervisor's word, then becomes the program; a failure is told and ends the process.
///
/// Called as the container's user, without a capability it should not have, in its working directory.
pub(super) fn run(socket: &UnixStream, argv: &[String], env: &[String], terminal: Option<TerminalSize>, filters: &Filters) -> ! {
    let mut go = [0];
    // The end of file instead of the word: the supervisor gave up, or died.
    let told = std::io::Read::read(&mut &*socket, &mut go);
    if !matches!(told, Ok(1)) || go != [GO] {
        end(125);
    }
    let fault = match prepare(socket, terminal) {
        Ok(()) => Program::find(argv, env).map_or_else(|fault| fault, |program| program.become_it(env, filters)),
        Err(fault) => fault,
    };
    let _ = wire::send(socket, &Reply::Failed { fault }, &[]);
    end(127);
}

fn prepare(socket: &UnixStream, size: Option<TerminalSize>) -> Result<(), Fault> {
    let Some(size) = size else { return Ok(()) };
    let master = terminal::take_over(size).map_err(|e| failed("making the terminal", e))?;
    wire::send(socket, &Reply::Terminal, &[master.as_fd()]).map_err(|e| failed("handing over the terminal", e))
}

/// Ends the process at once, running nothing of the helper it was cloned from.
pub(super) fn end(code: i32) -> ! {
    // SAFETY: _exit takes a number and does not return.
    unsafe { libc::_exit(code) }
}
