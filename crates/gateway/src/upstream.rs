//! Connections to an instance: over a socket made inside its network namespace, to its own loopback.

use std::{
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::{Arc, atomic::Ordering::Relaxed},
    time::{Duration, Instant},
};

use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::{
    net::{TcpSocket, TcpStream},
    time::timeout,
};

use crate::{
    body::RequestBody,
    compact::Compact,
    gate::{Family, GateError},
    instance::Instance,
};

pub type Sender = http1::SendRequest<RequestBody>;

/// How long a connection that just served may take to be ready again before it is closed.
const SETTLE: Duration = Duration::from_secs(2);

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    #[error(transparent)]
    Gate(#[from] GateError),
    #[error("nothing accepts connections on port {port}: {source}")]
    Refused { port: u16, source: io::Error },
    #[error("port {port} did not accept a connection within {waited:?}")]
    Slow { port: u16, waited: Duration },
}

/// Opens a new connection: IPv4 loopback first, then IPv6, or as it last worked.
pub async fn connect(instance: &Instance, limit: Duration) -> Result<Sender, ConnectError> {
    let port = instance.port;
    let mut refused = None;
    for family in instance.family_order() {
        let socket = match instance.gate.take(family).await {
            Ok(socket) => socket,
            // Without IPv6 there are no such sockets; the refusal on IPv4 is the news then.
            Err(failure) => match refused {
                Some(source) => return Err(ConnectError::Refused { port, source }),
                None => return Err(failure.into()),
            },
        };
        match timeout(limit, open(socket, family, port)).await {
            Err(_) => return Err(ConnectError::Slow { port, waited: limit }),
            Ok(Ok(stream)) => {
                let v6 = family == Family::V6;
                if instance.prefers_v6.load(Relaxed) != v6 {
                    instance.prefers_v6.store(v6, Relaxed);
                }
                return handshake(stream).await.map_err(|source| ConnectError::Refused { port, source });
            }
            // The first refusal is the one to tell: the second family may simply be absent.
            Ok(Err(source)) => refused = Some(refused.unwrap_or(source)),
        }
    }
    let source = refused.unwrap_or_else(|| io::Error::from(io::ErrorKind::ConnectionRefused));
    Err(ConnectError::Refused { port, source })
}

/// Keeps a connection for the next request once it is ready for one.
pub fn give_back(instance: Arc<Instance>, mut sender: Sender, now: Instant) {
    if sender.is_ready() {
        instance.give_back(sender, now);
    } else if !sender.is_closed()
        && let Ok(runtime) = tokio::runtime::Handle::try_current()
    {
        // The body's end reached us before the connection's own task has seen it.
        runtime.spawn(async move {
            if let Ok(Ok(())) = timeout(SETTLE, sender.ready()).await {
                instance.give_back(sender, Instant::now());
            }
        });
    }
}

async fn open(socket: std::os::fd::OwnedFd, family: Family, port: u16) -> io::Result<TcpStream> {
    rustix::io::ioctl_fionbio(&socket, true)?;
    let socket = TcpSocket::from_std_stream(socket.into());
    socket.set_nodelay(true)?;
    let address: SocketAddr = match family {
        Family::V4 => (Ipv4Addr::LOCALHOST, port).into(),
        Family::V6 => (Ipv6Addr::LOCALHOST, port).into(),
    };
    socket.connect(address).await
}

async fn handshake(stream: TcpStream) -> io::Result<Sender> {
    let (sender, connection) = http1::Builder::new().handshake(TokioIo::new(Compact(stream))).await.map_err(io::Error::other)?;
    // Ends when the sender and every body of the connection are dropped, or the instance closes it.
    tokio::spawn(connection.with_upgrades());
    Ok(sender)
}
