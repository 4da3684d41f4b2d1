//! The gate: hands TCP sockets made in the instance's network namespace to the gateway, which may not enter it.
//!
//! One byte N asks for N sockets, N/2 IPv4 and the rest IPv6 (all IPv4 on a kernel without IPv6). Each answer is one
//! byte, the number of sockets that came with it; a large N is answered in several.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::Path,
    time::Duration,
};

use pillion_runtime::sockets::{Family, send_fds, tcp_socket};
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
    if !v4 {
        match tcp_socket(Family::V6) {
            Err(error) if error.raw_os_error() == Some(rustix::io::Errno::AFNOSUPPORT.raw_os_error()) => {}
            other => return other,
        }
    }
    tcp_socket(Family::V4)
}

async fn send(stream: &UnixStream, sockets: &[OwnedFd]) -> io::Result<()> {
    let count = [u8::try_from(sockets.len()).unwrap_or(u8::MAX)];
    let sockets: Vec<BorrowedFd<'_>> = sockets.iter().map(AsFd::as_fd).collect();
    stream.async_io(Interest::WRITABLE, || send_fds(stream.as_fd(), &count, &sockets)).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use pillion_runtime::sockets::receive_fds;
    use rustix::net::{AddressFamily, sockopt};
    use tokio::io::AsyncWriteExt;

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
                    let (_, more) =
                        ours.async_io(Interest::READABLE, || receive_fds(ours.as_fd(), &mut [0])).await.expect("received");
                    sockets.extend(more);
                }
                let v4 = sockets.iter().filter(|s| sockopt::socket_domain(s).expect("a domain") == AddressFamily::INET);
                assert_eq!((sockets.len(), v4.count()), (200, 100));
            })
            .await;
    }
}
