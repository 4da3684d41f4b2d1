//! Descriptors that the loop waits on.

use std::{io, os::fd::OwnedFd};

use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use tokio::io::{Interest, unix::AsyncFd};

/// Makes a descriptor non-blocking and registers it with the loop.
pub(crate) fn watched(fd: OwnedFd, interest: Interest) -> io::Result<AsyncFd<OwnedFd>> {
    fcntl_setfl(&fd, fcntl_getfl(&fd)? | OFlags::NONBLOCK)?;
    // tokio deprecates it for types that may close their descriptor behind its back; an `OwnedFd` cannot.
    #[expect(deprecated)]
    AsyncFd::with_interest(fd, interest)
}
