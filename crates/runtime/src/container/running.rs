//! A running process of a container: wait for its end, signal it, remove what it leaves.

use std::{
    io,
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
    sync::Arc,
    time::{Duration, Instant},
};

use pillion_fault::Exit;
use rustix::process::{Pid, PidfdFlags, WaitId, WaitIdOptions, pidfd_open, waitid};
use tokio::io::{Interest, unix::AsyncFd};

use super::Terminal;
use crate::{
    cgroup::{Cgroup, CgroupError, OomWatch, Usage},
    spec::{ContainerSpec, SandboxSpec},
};

/// What a running process was made from.
#[derive(Debug, Clone)]
pub(super) struct Facts {
    pub sandbox: SandboxSpec,
    pub container: ContainerSpec,
}

/// A process of a container: its first, or one that was started beside it.
#[derive(Debug)]
pub struct Running {
    pid: i32,
    pidfd: AsyncFd<OwnedFd>,
    cgroup: Cgroup,
    oom: OomWatch,
    facts: Arc<Facts>,
    terminal: Option<Terminal>,
}

/// How long a container's last processes may take to go.
const REMOVAL: Duration = Duration::from_secs(10);

impl Running {
    pub(super) fn new(pid: i32, facts: Arc<Facts>) -> io::Result<Self> {
        let id = Pid::from_raw(pid).ok_or(io::ErrorKind::InvalidData)?;
        let pidfd = pidfd_open(id, PidfdFlags::NONBLOCK)?;
        // SAFETY: the descriptor is owned, and stays open inside the `AsyncFd` for as long as it is registered.
        let pidfd = unsafe { AsyncFd::register_with_interest(pidfd, Interest::READABLE) }?;
        let cgroup = Cgroup::at(&facts.sandbox.cgroup.join(&facts.container.name)).map_err(io::Error::other)?;
        let oom = cgroup.watch_oom();
        Ok(Self { pid, pidfd, cgroup, oom, facts, terminal: None })
    }

    /// The process id as the host numbers it.
    pub fn pid(&self) -> i32 {
        self.pid
    }

    pub fn pidfd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }

    /// Takes the master of the process's terminal, if it was started with one.
    pub fn take_terminal(&mut self) -> Option<Terminal> {
        self.terminal.take()
    }

    pub(super) fn set_terminal(&mut self, terminal: Terminal) {
        self.terminal = Some(terminal);
    }

    pub(super) fn facts(&self) -> &Arc<Facts> {
        &self.facts
    }

    /// Waits for the process to end and reaps it. Cancel-safe; the exit is told once, to one caller.
    ///
    /// # Errors
    /// `ECHILD` when it was reaped before.
    pub async fn wait(&self) -> io::Result<Exit> {
        let status = loop {
            let mut ready = self.pidfd.readable().await?;
            match waitid(WaitId::PidFd(self.pidfd.as_fd()), WaitIdOptions::EXITED | WaitIdOptions::NOHANG) {
                Ok(Some(status)) => break status,
                Ok(None) | Err(rustix::io::Errno::AGAIN) => ready.clear_ready(),
                Err(error) => return Err(error.into()),
            }
        };
        if let Some(code) = status.exit_status() {
            let exit = Exit::Code { code };
            // A shell that ran the program reports its child's SIGKILL as 137.
            return Ok(if code == 137 { self.oom_exit().unwrap_or(exit) } else { exit });
        }
        let signal = status.terminating_signal().unwrap_or(libc::SIGKILL);
        let exit = Exit::Signal { signal, core: status.dumped() };
        Ok(if signal == libc::SIGKILL { self.oom_exit().unwrap_or(exit) } else { exit })
    }

    /// Sends a signal to this process alone. One that already ended is no error.
    pub fn kill(&self, signal: i32) -> io::Result<()> {
        // SAFETY: pidfd_send_signal takes an open descriptor, numbers and a null pointer for the default siginfo.
        let sent = unsafe {
            libc::syscall(libc::SYS_pidfd_send_signal, self.pidfd.as_raw_fd(), signal, std::ptr::null::<libc::siginfo_t>(), 0)
        };
        if sent == 0 {
            return Ok(());
        }
        match io::Error::last_os_error() {
            gone if gone.raw_os_error() == Some(libc::ESRCH) => Ok(()),
            error => Err(error),
        }
    }

    /// What the container's processes use together.
    pub fn usage(&self) -> Usage {
        self.cgroup.usage()
    }

    /// Kills what is left of the container and removes its cgroup; its mounts end with its processes.
    pub async fn remove(&self) -> Result<(), CgroupError> {
        let deadline = Instant::now() + REMOVAL;
        let mut pause = Duration::from_micros(500);
        loop {
            // Processes that the kernel is still tearing down hold a cgroup for a moment.
            let error = match self.cgroup.remove(Duration::ZERO) {
                Ok(()) => return Ok(()),
                Err(error) => error,
            };
            let passing = match &error {
                CgroupError::NotEmpty { .. } => true,
                CgroupError::Io { source, .. } => source.kind() == io::ErrorKind::ResourceBusy,
                CgroupError::NotMounted | CgroupError::ControllerMissing { .. } => false,
            };
            if !passing || Instant::now() >= deadline {
                return Err(error);
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_millis(20));
        }
    }

    /// Kills the process and reaps it.
    pub(super) async fn end_now(&self) {
        let _ = self.kill(libc::SIGKILL);
        reap(self).await;
    }

    fn oom_exit(&self) -> Option<Exit> {
        Some(Exit::Oom { scope: self.oom.verdict()? })
    }
}

/// Waits for a process whose exit interests nobody.
pub(super) async fn reap(running: &Running) {
    if let Err(error) = running.wait().await {
        tracing::debug!(pid = running.pid, %error, "a failed process was reaped by someone else");
    }
}
