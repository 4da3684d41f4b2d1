//! TCP sockets made in the current network namespace, and file descriptors sent from process to process.
//!
//! A socket stays in the network namespace it was made in: a supervisor inside an instance's namespace makes them,
//! the unprivileged gateway outside connects them.

use std::{
    io::{self, IoSlice, IoSliceMut},
    mem::MaybeUninit,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
    SocketFlags, SocketType, recvmsg, sendmsg, socket_with, sockopt,
};

/// The most file descriptors that one message can carry (`SCM_MAX_FD`).
pub const MOST: usize = 253;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    V4,
    V6,
}

/// Makes an unconnected TCP socket: non-blocking, closed on exec, without Nagle's delay.
///
/// # Errors
/// `EAFNOSUPPORT` for [`Family::V6`] on a kernel without IPv6.
pub fn tcp_socket(family: Family) -> io::Result<OwnedFd> {
    let family = match family {
        Family::V4 => AddressFamily::INET,
        Family::V6 => AddressFamily::INET6,
    };
    let socket = socket_with(family, SocketType::STREAM, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC, None)?;
    sockopt::set_tcp_nodelay(&socket, true)?;
    Ok(socket)
}

/// Sends `bytes`, at least one, with `fds` beside them, at most [`MOST`]. A non-blocking `channel` may answer `WouldBlock`.
pub fn send_fds(channel: BorrowedFd<'_>, bytes: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if bytes.is_empty() || (!fds.is_empty() && !control.push(SendAncillaryMessage::ScmRights(fds))) {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    loop {
        match sendmsg(channel, &[IoSlice::new(bytes)], &mut control, SendFlags::NOSIGNAL) {
            Err(rustix::io::Errno::INTR) => {}
            Ok(sent) if sent < bytes.len() => return Err(io::ErrorKind::WriteZero.into()),
            other => return other.map(|_| ()).map_err(io::Error::from),
        }
    }
}

/// Receives into `bytes` and returns how many came (0: the other side closed), with the descriptors beside them.
///
/// # Errors
/// `InvalidData` when the kernel had to cut the list of descriptors; those that came are closed.
pub fn receive_fds(channel: BorrowedFd<'_>, bytes: &mut [u8]) -> io::Result<(usize, Vec<OwnedFd>)> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let received = loop {
        match recvmsg(channel, &mut [IoSliceMut::new(bytes)], &mut control, RecvFlags::CMSG_CLOEXEC) {
            Err(rustix::io::Errno::INTR) => {}
            other => break other?,
        }
    };
    let mut fds = Vec::new();
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = message {
            fds.extend(rights);
        }
    }
    if received.flags.contains(rustix::net::ReturnFlags::CTRUNC) {
        return Err(io::ErrorKind::InvalidData.into());
    }
    Ok((received.bytes, fds))
}

/// Makes `per_family` IPv4 sockets and as many IPv6 ones and sends them over `channel` beside one byte, `per_family`.
///
/// On a kernel without IPv6 the second half is missing.
pub fn send_tcp_sockets(channel: BorrowedFd<'_>, per_family: u8) -> io::Result<()> {
    let per_family = per_family.min((MOST / 2) as u8);
    let mut sockets = Vec::with_capacity(usize::from(per_family) * 2);
    for family in [Family::V4, Family::V6] {
        for _ in 0..per_family {
            match tcp_socket(family) {
                Err(error) if family == Family::V6 && error.raw_os_error() == Some(libc::EAFNOSUPPORT) => break,
                socket => sockets.push(socket?),
            }
        }
    }
    let fds: Vec<_> = sockets.iter().map(AsFd::as_fd).collect();
    send_fds(channel, &[per_family], &fds)
}

#[cfg(test)]
mod tests {
    use std::{net::TcpListener, os::unix::net::UnixStream};

    use super::*;

    #[test]
    fn a_batch_arrives_with_v4_first_and_the_sockets_connect() {
        let (near, far) = UnixStream::pair().expect("a channel");
        let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");

        send_tcp_sockets(near.as_fd(), 8).expect("sent");
        let mut byte = [0];
        let (count, sockets) = receive_fds(far.as_fd(), &mut byte).expect("received");

        assert_eq!((count, byte, sockets.len()), (1, [8], 16));
        let families: Vec<_> = sockets.iter().map(|s| sockopt::socket_domain(s).expect("a family")).collect();
        assert!(families[..8].iter().all(|family| *family == AddressFamily::INET));
        assert!(families[8..].iter().all(|family| *family == AddressFamily::INET6));
        let address = listener.local_addr().expect("an address");
        match rustix::net::connect(&sockets[0], &address) {
            Ok(()) | Err(rustix::io::Errno::INPROGRESS) => {}
            Err(error) => panic!("{error}"),
        }
        listener.accept().expect("a connection");
    }

    #[test]
    fn a_closed_channel_gives_nothing_and_an_oversized_batch_is_refused() {
        let (near, far) = UnixStream::pair().expect("a channel");
        let fds = vec![near.as_fd(); MOST + 1];
        assert!(send_fds(near.as_fd(), b"x", &fds).is_err());
        drop(near);
        let (count, sockets) = receive_fds(far.as_fd(), &mut [0]).expect("received");
        assert_eq!((count, sockets.len()), (0, 0));
    }
}
