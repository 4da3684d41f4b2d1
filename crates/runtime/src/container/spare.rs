//! Helpers that are up before there is a container to make: starting a process and linking it takes time, and while the
//! sandbox is being made there is a processor with nothing to do.

use std::{
    io,
    os::{fd::OwnedFd, unix::net::UnixStream as StdUnixStream},
    sync::{Mutex, MutexGuard, PoisonError},
};

use rustix::process::{Pid, set_child_subreaper};
use tokio::{net::UnixStream, process::Command};

use super::helper_process::HelperProcess;

/// Helpers of the role `create` that wait for their job.
#[derive(Debug, Default)]
pub(crate) struct Spares(Mutex<Vec<Helper>>);

/// A helper that was started, and the socket to it.
#[derive(Debug)]
pub(crate) struct Helper {
    pub(super) socket: UnixStream,
    pub(super) process: HelperProcess,
}

impl Helper {
    /// Starts one; the calling process becomes a child subreaper, so that what the helper makes becomes its child.
    pub(super) fn start(command: std::process::Command) -> io::Result<Self> {
        set_child_subreaper(Pid::from_raw(1))?;
        let (ours, theirs) = StdUnixStream::pair()?;
        let mut command = Command::from(command);
        command.stdin(std::process::Stdio::from(OwnedFd::from(theirs))).stdout(std::process::Stdio::null());
        // The command keeps the other end open, which would hide the end of file; spawning consumes it.
        let process = HelperProcess::spawn(command)?;
        ours.set_nonblocking(true)?;
        Ok(Self { socket: UnixStream::from_std(ours)?, process })
    }
}

impl Spares {
    pub(super) fn add(&self, helper: Helper) {
        self.lock().push(helper);
    }

    /// Takes one that lives.
    pub(super) fn take(&self) -> Option<Helper> {
        let mut spares = self.lock();
        std::iter::from_fn(|| spares.pop()).find(|helper| !helper.process.has_ended())
    }

    /// Lets all go: their sockets' end is theirs.
    pub(super) fn clear(&self) {
        self.lock().clear();
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Helper>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
