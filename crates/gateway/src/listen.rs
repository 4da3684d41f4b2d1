//! Listening sockets and what comes out of them: a byte stream and a peer.
//!
//! [`serve_connection`] takes any byte stream, so that TLS (and tests) are just other callers.

use std::{
    io,
    net::SocketAddr,
    os::fd::OwnedFd,
    sync::{
        Arc,
        atomic::{
            AtomicU64,
            Ordering::{Relaxed, SeqCst},
        },
    },
    task::Poll,
    time::Duration,
};

use http::HeaderValue;
use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use pillion_model::Cidr;
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
    time::Instant,
};

use crate::{compact::Compact, forward, headers::Trust, pressure::Pressed, protocol::ListenerSpec, state::Gateway};

/// The client end of a connection.
#[derive(Debug, Clone)]
pub struct Peer {
    pub address: SocketAddr,
    /// The address as it goes into X-Forwarded-For, made once a connection.
    pub forwarded_for: HeaderValue,
    pub scheme: HeaderValue,
    pub trust: Trust,
    /// The listener's own app, if it has one.
    pub app: Option<Arc<str>>,
}

impl Peer {
    pub fn new(address: SocketAddr, app: Option<Arc<str>>, trusted: &[Cidr]) -> Self {
        let ip = address.ip().to_canonical();
        Self {
            address,
            // An address's text is always a valid value.
            forwarded_for: HeaderValue::from_str(&ip.to_string()).unwrap_or(HeaderValue::from_static("unknown")),
            scheme: HeaderValue::from_static("http"),
            trust: if trusted.iter().any(|network| network.contains(ip)) { Trust::Proxy } else { Trust::Stranger },
            app,
        }
    }
}

/// One open client connection, counted until its last user drops it.
pub struct Connection {
    pub gateway: Arc<Gateway>,
    pub peer: Peer,
    opened: Instant,
    /// Milliseconds after `opened` since when no request is under way; [`BUSY`] while one is.
    waiting_since: AtomicU64,
    /// Milliseconds after `opened` since when the client takes no bytes of its answer; [`BUSY`] while it does.
    blocked_since: AtomicU64,
}

const BUSY: u64 = u64::MAX;

impl Connection {
    /// Counts a connection in; none beyond the limit.
    pub fn new(gateway: &Arc<Gateway>, peer: Peer) -> Option<Arc<Self>> {
        let before = gateway.connections.fetch_add(1, SeqCst);
        let connection = Self {
            gateway: gateway.clone(),
            peer,
            opened: Instant::now(),
            waiting_since: AtomicU64::new(0),
            blocked_since: AtomicU64::new(BUSY),
        };
        (before < gateway.limits.connections).then(|| Arc::new(connection))
    }

    /// Notes that a request's head has come.
    pub fn begin_request(&self) {
        self.waiting_since.store(BUSY, Relaxed);
    }

    /// Notes that a request is answered.
    pub fn end_request(&self, now: std::time::Instant) {
        self.waiting_since.store(now.saturating_duration_since(self.opened.into_std()).as_millis() as u64, Relaxed);
    }

    /// Notes that the client's socket took bytes.
    pub fn takes_bytes(&self) {
        if self.blocked_since.load(Relaxed) != BUSY {
            self.blocked_since.store(BUSY, Relaxed);
        }
    }

    /// Notes that the client's socket is full.
    pub fn takes_nothing(&self) {
        if self.blocked_since.load(Relaxed) == BUSY {
            self.blocked_since.store(self.opened.elapsed().as_millis() as u64, Relaxed);
        }
    }

    /// Returns when a client that goes on like this has waited too long with its next request, or with reading.
    fn patience_ends(&self) -> Instant {
        let limit = self.gateway.limits.request_head;
        let since = self.waiting_since.load(Relaxed).min(self.blocked_since.load(Relaxed));
        match since {
            BUSY => Instant::now() + limit,
            since => self.opened + Duration::from_millis(since) + limit,
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.gateway.connections.fetch_sub(1, SeqCst);
    }
}

/// Accepts from one socket until dropped; waits for the first table, so that an early client meets no 404.
pub async fn accept(gateway: Arc<Gateway>, socket: OwnedFd, spec: ListenerSpec, stopping: watch::Receiver<bool>) {
    let listener = match listener(socket) {
        Ok(listener) => listener,
        Err(failure) => {
            tracing::error!(address = %spec.address, %failure, "a listening socket cannot be used");
            return;
        }
    };
    let app: Option<Arc<str>> = spec.app.map(Into::into);
    let mut generation = gateway.generation.subscribe();
    // Fails only if the gateway is gone, and this task keeps it.
    let _ = generation.wait_for(|generation| *generation > 0).await;
    loop {
        match listener.accept().await {
            Ok((stream, address)) => {
                let peer = Peer::new(address, app.clone(), &gateway.trusted_proxies);
                seat(&gateway, stream, peer, &stopping);
            }
            Err(failure) if is_of_one_connection(&failure) => {}
            Err(failure) => {
                // Out of descriptors or memory: connections wait in the backlog meanwhile.
                tracing::warn!(address = %spec.address, %failure, "cannot accept connections");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

/// Moves a connection to the worker with the fewest.
fn seat(gateway: &Arc<Gateway>, stream: TcpStream, peer: Peer, stopping: &watch::Receiver<bool>) {
    let Some(connection) = Connection::new(gateway, peer) else {
        tokio::spawn(turn_away(stream));
        return;
    };
    // All of these fail only on a connection that is gone already.
    let (Some(seat), Ok(()), Ok(stream)) = (gateway.workers.seat(), stream.set_nodelay(true), stream.into_std()) else { return };
    let stopping = stopping.clone();
    seat.runtime().clone().spawn(async move {
        // Only here, because a socket belongs to the event queue of the runtime that wraps it.
        if let Ok(stream) = TcpStream::from_std(stream) {
            serve_connection(connection, stream, stopping).await;
        }
        drop(seat);
    });
}

/// Serves one connection to its end. Must be a task of its own: it counts on its waker staying the same.
pub async fn serve_connection<S>(connection: Arc<Connection>, stream: S, mut stopping: watch::Receiver<bool>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut builder = http1::Builder::new();
    builder.max_buf_size(connection.gateway.limits.head_bytes).header_read_timeout(None);
    let service = service_fn({
        let connection = connection.clone();
        move |request| forward::answer(connection.clone(), request)
    });
    let stream = Compact(Pressed { stream, connection: connection.clone() });
    let http = builder.serve_connection(TokioIo::new(stream), service).with_upgrades();
    tokio::pin!(http);
    let mut ended = stopping.clone();
    let stop = async { drop(ended.wait_for(|stopping| *stopping).await) };
    tokio::pin!(stop);
    let patience = tokio::time::sleep_until(connection.patience_ends());
    tokio::pin!(patience);
    let mut armed = false;
    let end = std::future::poll_fn(|cx| {
        if let Poll::Ready(outcome) = http.as_mut().poll(cx) {
            return Poll::Ready(End::Ended(outcome));
        }
        // A task's waker stays the same, so both are registered once and looked at again when they can have fired:
        // polling them at every wake-up, or a timer of hyper's for every request, costs more than parsing.
        if !armed || stopping.has_changed().unwrap_or(true) {
            if stop.as_mut().poll(cx).is_ready() {
                return Poll::Ready(End::Stop);
            }
            stopping.mark_unchanged();
        }
        while (!armed || patience.is_elapsed()) && patience.as_mut().poll(cx).is_ready() {
            let end = connection.patience_ends();
            if end <= Instant::now() {
                return Poll::Ready(End::Slow);
            }
            patience.as_mut().reset(end);
            armed = false;
        }
        armed = true;
        Poll::Pending
    })
    .await;
    let outcome = match end {
        End::Ended(outcome) => outcome,
        End::Stop => {
            http.as_mut().graceful_shutdown();
            http.await
        }
        // No answer: the client may be sending nothing that deserves one.
        End::Slow => Ok(()),
    };
    if let Err(failure) = outcome {
        tracing::debug!(%failure, "a client's connection ended early");
    }
}

/// How serving a connection came to an end.
enum End {
    Ended(hyper::Result<()>),
    Stop,
    Slow,
}

/// Tells a client beyond the limit so, without reading a byte of it.
async fn turn_away<S: AsyncWrite + Unpin>(mut stream: S) {
    const ANSWER: &[u8] =
        b"HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\nretry-after: 1\r\ncontent-type: application/json\r\n\
        content-length: 76\r\n\r\n{\"code\":\"TooManyConnections\",\"message\":\"The gateway has too many clients.\"}\n";
    // The client may be gone; there is nobody to tell.
    let _ = tokio::time::timeout(Duration::from_secs(1), async {
        stream.write_all(ANSWER).await?;
        stream.shutdown().await
    })
    .await;
}

fn listener(socket: OwnedFd) -> io::Result<TcpListener> {
    let socket = std::net::TcpListener::from(socket);
    socket.set_nonblocking(true)?;
    TcpListener::from_std(socket)
}

/// accept(2) also reports errors of the connection it was about to return.
fn is_of_one_connection(failure: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(failure.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

impl Gateway {
    /// Returns how many client connections are open.
    pub fn open_connections(&self) -> usize {
        self.connections.load(Relaxed)
    }
}
