//! The helper as a process: watched while it works, and what it had half made ended with it if it dies in the middle.

use std::{collections::BTreeSet, io, os::fd::OwnedFd, time::Duration};

use nix::{
    sys::wait::{WaitPidFlag, WaitStatus, waitpid},
    unistd::Pid as NixPid,
};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open},
};
use tokio::{
    io::{Interest, unix::AsyncFd},
    process::{Child, Command},
};

use crate::cgroup::Cgroup;

/// How long half-made processes may take to go; after that the sandbox's end removes them.
const GONE_WITHIN: Duration = Duration::from_secs(5);

/// A helper at work, the leader of a process group that everything it makes begins in.
#[derive(Debug)]
pub(super) struct HelperProcess {
    child: Child,
    group: Pid,
    pidfd: AsyncFd<OwnedFd>,
}

impl HelperProcess {
    pub(super) fn spawn(mut command: Command) -> io::Result<Self> {
        let child = command.process_group(0).spawn()?;
        let group = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?)).ok_or(io::ErrorKind::InvalidData)?;
        let pidfd = pidfd_open(group, PidfdFlags::NONBLOCK)?;
        // SAFETY: the descriptor is owned, and stays open inside the `AsyncFd` for as long as it is registered.
        let pidfd = unsafe { AsyncFd::register_with_interest(pidfd, Interest::READABLE) }?;
        Ok(Self { child, group, pidfd })
    }

    /// Whether it has ended; it is left to be reaped.
    pub(super) fn has_ended(&self) -> bool {
        let mut fds = [PollFd::new(self.pidfd.get_ref(), PollFlags::IN)];
        // The descriptor is readable once the process has ended.
        poll(&mut fds, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).is_ok_and(|ready| ready > 0)
    }

    /// Waits until it has ended, and leaves it to be reaped, so that its number stays its group's. Cancel-safe.
    pub(super) async fn ended(&self) {
        // A pidfd that cannot be watched says nothing: then only the socket tells.
        if self.pidfd.readable().await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Reaps it. Only after its end is what it made ours to wait for.
    pub(super) async fn reap(mut self) -> io::Result<()> {
        self.child.wait().await.map(drop)
    }

    /// Ends it and what it had half made: that is in its process group until it is in the container's control group.
    pub(super) async fn end_half_made(mut self, cgroup: Option<Cgroup>) -> io::Result<()> {
        let _ = kill_process_group(self.group, Signal::KILL);
        self.child.wait().await?;
        let mut seen = BTreeSet::new();
        let mut pause = Duration::from_millis(1);
        let deadline = tokio::time::Instant::now() + GONE_WITHIN;
        loop {
            let inside = cgroup.as_ref().map(Cgroup::pids).unwrap_or_default();
            if let (Some(cgroup), false) = (&cgroup, inside.is_empty()) {
                cgroup.kill().map_err(io::Error::other)?;
            }
            seen.extend(inside.iter().copied());
            let _ = kill_process_group(self.group, Signal::KILL);
            while reaped(-self.group.as_raw_nonzero().get()) {}
            // One that is not ours yet is, once its own parent has ended.
            seen.retain(|pid| !reaped(*pid) && std::fs::exists(format!("/proc/{pid}")).unwrap_or(false));
            let group_is_gone = rustix::process::test_kill_process_group(self.group).is_err();
            if group_is_gone && inside.is_empty() && seen.is_empty() {
                break;
            }
            if tokio::time::Instant::now() > deadline {
                return Err(io::ErrorKind::TimedOut.into());
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_millis(50));
        }
        match cgroup {
            Some(cgroup) => cgroup.remove(Duration::from_millis(200)).map_err(io::Error::other),
            None => Ok(()),
        }
    }
}

/// Whether a child, or one of a group, had ended and was reaped now.
fn reaped(pid: i32) -> bool {
    !matches!(waitpid(NixPid::from_raw(pid), Some(WaitPidFlag::WNOHANG)), Ok(WaitStatus::StillAlive) | Err(_))
}
