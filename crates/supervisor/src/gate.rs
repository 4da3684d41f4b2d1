//! The gate: hands TCP sockets made in the instance's network namespace to the gateway, which may not enter it.
//!
//! One byte N asks for N sockets, N/2 IPv4 and the rest IPv6 (all IPv4 on a kernel without IPv6). Each answer is one
//! byte, the number of sockets that came with it; a large N is answered in several.

use std::{
    io::{self, IoSlice},
    mem::MaybeUninit,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::Path,
    time::Duration,
};

use rustix::net::{
    AddressFamily, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketFlags, SocketType, sendmsg, socket_with,
};
use tokio::{
    io::{AsyncReadExt, Interest},
    net::{UnixListener, UnixStream},
    task::JoinSet,
};

use crate::server;

/// Sockets in one message; the kernel takes 253.
const BATCH: usize = 64;
/// A gateway holds one connection, two while it hands over to another.
const CONNECTIONS: usize = 16;

/// Binds the gate for its owner.
pub(crate) fn bind(path: &Path, (uid, gid): (u32, u32)) -> io::Result<UnixListener> {
    let listener = server::bind(path)?;
    std::os::unix::fs::chown(path, Some(uid), Some(gid))?;
    Ok(listener)
}

/// Hands out sockets until dropped.
pub(crate) async fn run(listener: UnixListener) {
    let mut connections = JoinSet::new();
    loop {
        // Cancel-safe: accepting takes no connection unless it wins.
        tokio::select! {
            accepted = listener.accept(), if connections.len() < CONNECTIONS => match accepted {
                Ok((stream, _)) => {
                    connections.spawn_local(async move {
                        if let Err(error) = serve(stream).await {
                            tracing::debug!(%error, "the gateway's connection broke off");
                        }
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "the gateway was not let in");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn serve(mut stream: UnixStream) -> io::Result<()> {
    loop {
        let mut wanted = [0];
        if stream.read(&mut wanted).await? == 0 {
            return Ok(());
        }
        let wanted = usize::from(wanted[0]);
        let mut made = 0;
        while made < wanted {
            let sockets = (made..wanted.min(made + BATCH)).map(|n| make(n < wanted / 2)).collect::<io::Result<Vec<_>>>()?;
            made += sockets.len();
            send(&stream, &sockets).await?;
        }
    }
}

fn make(v4: bool) -> io::Result<OwnedFd> {
    let make = |family| socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK, None);
    if !v4 {
        match make(AddressFamily::INET6) {
            Err(rustix::io::Errno::AFNOSUPPORT) => {}
            other => return Ok(other?),
        }
    }
    Ok(make(AddressFamily::INET)?)
}

async fn send(stream: &UnixStream, sockets: &[OwnedFd]) -> io::Result<()> {
    let count = [u8::try_from(sockets.len()).unwrap_or(u8::MAX)];
    let sockets: Vec<BorrowedFd<'_>> = sockets.iter().map(AsFd::as_fd).collect();
    stream
        .async_io(Interest::WRITABLE, || {
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(BATCH))];
            let mut ancillary = SendAncillaryBuffer::new(&mut space);
            if !ancillary.push(SendAncillaryMessage::ScmRights(&sockets)) {
                return Err(io::Error::other("a batch of sockets does not fit in one message"));
            }
            sendmsg(stream, &[IoSlice::new(&count)], &mut ancillary, SendFlags::NOSIGNAL)?;
            Ok(())
        })
        .await
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
    use tokio::io::AsyncWriteExt;

    async fn receive(stream: &UnixStream) -> Vec<OwnedFd> {
        let mut byte = [0];
        stream
            .async_io(Interest::READABLE, || {
                let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(BATCH))];
                let mut ancillary = RecvAncillaryBuffer::new(&mut space);
                recvmsg(stream, &mut [std::io::IoSliceMut::new(&mut byte)], &mut ancillary, RecvFlags::CMSG_CLOEXEC)?;
                let rights = ancillary.drain().filter_map(|message| match message {
                    RecvAncillaryMessage::ScmRights(fds) => Some(fds),
                    _ => None,
                });
                Ok(rights.flatten().collect::<Vec<_>>())
            })
            .await
            .expect("received")
    }

    #[tokio::test]
    async fn as_many_sockets_come_as_were_asked_for_half_of_each_family() {
        let (mut ours, theirs) = UnixStream::pair().expect("a pair");
        let local = tokio::task::LocalSet::new();
        local.spawn_local(serve(theirs));
        local
            .run_until(async {
                ours.write_all(&[200]).await.expect("asked");
                let mut sockets = Vec::new();
                while sockets.len() < 200 {
                    sockets.extend(receive(&ours).await);
                }
                let v4 = sockets
                    .iter()
                    .filter(|s| rustix::net::sockopt::socket_domain(s).expect("a domain") == AddressFamily::INET)
                    .count();
                assert_eq!((sockets.len(), v4), (200, 100));
            })
            .await;
    }
}
