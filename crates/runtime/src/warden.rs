//! The warden: a tiny process that outlives its supervisor just long enough to kill what it supervised.
//!
//! ```text
//! watching ──▶ supervisor died ──▶ cgroup killed ──▶ gone
//!     └──────▶ dismissed (a byte on the pipe) ─────▶ gone
//! ```
//!
//! It is a plain fork, so its pages stay shared with the supervisor's, and after that it only polls.

use std::{
    io::{self, Read, Write},
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
    time::Duration,
};

use nix::{
    sys::{
        signal::{SigHandler, SigSet, SigmaskHow, Signal, signal, sigprocmask},
        wait::waitpid,
    },
    unistd::{ForkResult, Pid, fork, setsid},
};
use rustix::{
    event::{PollFd, PollFlags, poll},
    io::Errno,
    process::{PidfdFlags, getpid, pidfd_open},
};

use crate::cgroup::Cgroup;

/// The supervisor's hold on its warden. Dropping it changes nothing: only the supervisor's death does, or [`Warden::dismiss`].
#[derive(Debug)]
pub struct Warden {
    pid: Pid,
    pipe: std::io::PipeWriter,
}

#[derive(Debug, thiserror::Error)]
#[error("cannot start the warden: {doing}")]
pub struct WardenError {
    doing: &'static str,
    #[source]
    source: io::Error,
}

impl Warden {
    pub fn pid(&self) -> i32 {
        self.pid.as_raw()
    }

    /// Ends the warden: the instance's end is orderly, nothing is to be killed.
    pub fn dismiss(mut self) -> io::Result<()> {
        match self.pipe.write_all(&[1]) {
            // It was killed; there is nothing left to dismiss.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
            other => other?,
        }
        match waitpid(self.pid, None) {
            // Somebody else of this process reaped it.
            Ok(_) | Err(nix::errno::Errno::ECHILD) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

/// Forks the warden of the calling process, which kills everything in `cgroup` when that process dies.
///
/// # Errors
/// Also when the calling process has more than one thread: the fork would inherit their locks, held for ever.
pub fn spawn_warden(cgroup: &Cgroup) -> Result<Warden, WardenError> {
    let failed = |doing| move |source| WardenError { doing, source };
    let threads = std::fs::read_dir("/proc/self/task").map_err(failed("counting threads"))?.count();
    if threads != 1 {
        return Err(failed("it must be forked before any thread starts")(io::ErrorKind::InvalidInput.into()));
    }
    let supervisor = pidfd_open(getpid(), PidfdFlags::empty()).map_err(io::Error::from).map_err(failed("opening a pidfd"))?;
    let (reader, pipe) = io::pipe().map_err(failed("making a pipe"))?;
    // SAFETY: this process has one thread, as counted above, so the child finds every lock free.
    match unsafe { fork() }.map_err(io::Error::from).map_err(failed("forking"))? {
        ForkResult::Parent { child } => Ok(Warden { pid: child, pipe }),
        ForkResult::Child => {
            drop(pipe);
            let code = watch(supervisor, reader, cgroup);
            // SAFETY: `_exit` only ends the process; the supervisor's exit handlers are not the child's to run.
            unsafe { libc::_exit(code) }
        }
    }
}

/// The warden's whole life; returns its exit code.
fn watch(supervisor: OwnedFd, mut dismissal: io::PipeReader, cgroup: &Cgroup) -> i32 {
    // A terminal's Ctrl-C and hang-up are for the supervisor, and a service manager's SIGTERM too: it dismisses us.
    let _ = setsid();
    for ignored in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGQUIT, Signal::SIGPIPE] {
        // SAFETY: ignoring runs no code of ours in a handler.
        let _ = unsafe { signal(ignored, SigHandler::SigIgn) };
    }
    let _ = sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None);
    let _ = std::env::set_current_dir("/");
    let _ = rustix::thread::set_name(c"pillion-warden");
    // Sockets and pipes of the supervisor must close when it dies, not when we do.
    close_all_but([supervisor.as_fd(), dismissal.as_fd()]);
    let mut listening = true;
    loop {
        let mut fds = vec![PollFd::from_borrowed_fd(supervisor.as_fd(), PollFlags::IN)];
        if listening {
            fds.push(PollFd::from_borrowed_fd(dismissal.as_fd(), PollFlags::IN));
        }
        match poll(&mut fds, None) {
            Err(Errno::INTR) => continue,
            // Unable to watch is no reason to kill.
            Err(_) => return 1,
            Ok(_) => {}
        }
        let dead = !fds[0].revents().is_empty();
        let word = fds.get(1).is_some_and(|fd| !fd.revents().is_empty());
        drop(fds);
        if word {
            match dismissal.read(&mut [0]) {
                Ok(1) => return 0,
                // The handle was dropped, or the supervisor is just dying: its pidfd will tell.
                Ok(_) | Err(_) => listening = false,
            }
        }
        if dead {
            return end(cgroup);
        }
    }
}

/// Kills until nothing is left: what forked away from one round dies in the next.
fn end(cgroup: &Cgroup) -> i32 {
    for _ in 0..100 {
        if cgroup.kill().is_ok() && cgroup.wait_empty(Duration::from_millis(100)).is_ok() {
            return 0;
        }
    }
    1
}

fn close_all_but(kept: [BorrowedFd<'_>; 2]) {
    let mut kept = kept.map(|fd| fd.as_raw_fd() as libc::c_uint);
    kept.sort_unstable();
    let mut from = 0;
    for keep in kept {
        if keep > from {
            close_range(from, keep - 1);
        }
        from = keep + 1;
    }
    close_range(from, libc::c_uint::MAX);
    // Standard streams exist again, so that no file opened later gets their numbers. Owned by nobody, for ever.
    if let Ok(null) = std::fs::OpenOptions::new().read(true).write(true).open("/dev/null") {
        let number = std::os::fd::IntoRawFd::into_raw_fd(null);
        for stream in (0..3).filter(|stream| *stream != number && !kept.contains(&(*stream as libc::c_uint))) {
            // SAFETY: both are numbers of this single-threaded process; the streams were closed above, by nobody else owned.
            unsafe { libc::dup2(number, stream) };
        }
    }
}

fn close_range(first: libc::c_uint, last: libc::c_uint) {
    // SAFETY: the descriptors belong to the supervisor's copies, whose owners never run in this process: `watch` ends in `_exit`.
    unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) };
}
