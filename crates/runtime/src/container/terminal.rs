//! Pseudo-terminals: made inside the container, held by the supervisor.

use std::{
    io,
    os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd},
};

use rustix::{
    fs::{Mode, OFlags},
    process::ioctl_tiocsctty,
    termios::{Winsize, tcsetwinsize},
};
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TerminalSize {
    pub columns: u16,
    pub rows: u16,
}

/// The master side of a process's pseudo-terminal: its output is read from it, its input written to it.
#[derive(Debug)]
pub struct Terminal {
    master: OwnedFd,
}

impl Terminal {
    pub(super) fn new(master: OwnedFd) -> Self {
        Self { master }
    }

    /// Tells the foreground process about a new size (SIGWINCH).
    pub fn resize(&self, size: TerminalSize) -> io::Result<()> {
        set_size(self.master.as_fd(), size)
    }

    pub fn try_clone(&self) -> io::Result<Terminal> {
        Ok(Self { master: self.master.try_clone()? })
    }

    pub fn into_fd(self) -> OwnedFd {
        self.master
    }
}

impl AsFd for Terminal {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.master.as_fd()
    }
}

/// Makes a terminal of the `/dev/pts` in sight the controlling terminal and standard streams of this process,
/// which must lead a session without one; returns the master.
///
/// Called as the user the process runs as: devpts gives the slave to the opener.
pub(super) fn take_over(size: TerminalSize) -> io::Result<OwnedFd> {
    let master = rustix::fs::open("/dev/ptmx", OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty())?;
    let unlock: libc::c_int = 0;
    // SAFETY: TIOCSPTLCK reads one int through a valid pointer.
    if unsafe { libc::ioctl(master.as_raw_fd(), libc::TIOCSPTLCK, &unlock) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: TIOCGPTPEER takes open flags by value and returns a descriptor or -1.
    let slave = unsafe { libc::ioctl(master.as_raw_fd(), libc::TIOCGPTPEER, libc::O_RDWR | libc::O_NOCTTY | libc::O_CLOEXEC) };
    if slave < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor was just made by the kernel for us and nobody else knows it.
    let slave = unsafe { OwnedFd::from_raw_fd(slave) };
    ioctl_tiocsctty(&slave)?;
    set_size(slave.as_fd(), size)?;
    rustix::stdio::dup2_stdin(&slave)?;
    rustix::stdio::dup2_stdout(&slave)?;
    rustix::stdio::dup2_stderr(&slave)?;
    Ok(master)
}

fn set_size(terminal: BorrowedFd<'_>, size: TerminalSize) -> io::Result<()> {
    let size = Winsize { ws_row: size.rows, ws_col: size.columns, ws_xpixel: 0, ws_ypixel: 0 };
    Ok(tcsetwinsize(terminal, size)?)
}
