//! The TLS endpoint: accepts connections, proves the server to them, and hands their requests to the front.
//!
//! The certificate can be exchanged while connections go on. Everything a stranger can hold open has an end: the handshake,
//! a request's head, the number of connections.

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, RwLock},
    time::Duration,
};

use axum::body::Body;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use rustix::net::sockopt;
use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Semaphore, watch},
    task::JoinSet,
};
use tokio_rustls::TlsAcceptor;

use crate::front::Front;

/// Connections at once; further ones wait in the kernel's backlog.
const CONNECTIONS: usize = 1024;
const HANDSHAKE: Duration = Duration::from_secs(10);
/// For a request's head, and for the next request on a connection.
const HEAD: Duration = Duration::from_secs(60);
const MOST_HEADERS: usize = 100;
const HEAD_BYTES: usize = 64 * 1024;
/// How long answers under way may go on once the server is to stop.
const LINGER: Duration = Duration::from_secs(2);
/// After an accept that failed for want of files or memory.
const BREATH: Duration = Duration::from_millis(100);
/// A peer that answers nothing for so long is gone: neither what was sent to it, nor whether it is still there.
const GONE: Duration = Duration::from_secs(60);
/// Between the questions whether it is still there.
const PROBE: Duration = Duration::from_secs(15);

/// Why a certificate cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    #[error("the certificate is not PEM")]
    Chain(#[source] rustls::pki_types::pem::Error),
    #[error("the text holds no certificate")]
    Empty,
    #[error("the key is not PEM")]
    Key(#[source] rustls::pki_types::pem::Error),
    #[error("the certificate and the key cannot be used together")]
    Pair(#[source] rustls::Error),
}

/// The certificate in use; cheap to clone.
#[derive(Debug, Clone)]
pub struct ServerCertificate {
    current: Arc<RwLock<Arc<CertifiedKey>>>,
}

impl ServerCertificate {
    /// Takes a chain and its key, both PEM.
    ///
    /// # Errors
    /// They cannot be read or do not belong together.
    pub fn new(chain: &str, key: &str) -> Result<ServerCertificate, CertificateError> {
        Ok(ServerCertificate { current: Arc::new(RwLock::new(Arc::new(certified(chain, key)?))) })
    }

    /// New connections get this one from now on.
    ///
    /// # Errors
    /// As [`ServerCertificate::new`]; then the old one stays.
    pub fn exchange(&self, chain: &str, key: &str) -> Result<(), CertificateError> {
        let fresh = Arc::new(certified(chain, key)?);
        *self.current.write().unwrap_or_else(|poisoned| poisoned.into_inner()) = fresh;
        Ok(())
    }
}

impl ResolvesServerCert for ServerCertificate {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current.read().unwrap_or_else(|poisoned| poisoned.into_inner()).clone())
    }
}

/// What the endpoint needs to answer.
#[derive(Clone)]
pub struct Endpoint {
    pub front: Front,
    pub certificate: ServerCertificate,
    /// The names with port that clients may call it by.
    pub hosts: watch::Receiver<Vec<String>>,
}

/// Serves until `stop` says so, then lets answers under way end for a moment.
///
/// # Errors
/// TLS cannot be set up.
pub async fn serve_tls(listener: TcpListener, endpoint: Endpoint, mut stop: watch::Receiver<bool>) -> io::Result<()> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(endpoint.certificate.clone()));
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let room = Arc::new(Semaphore::new(CONNECTIONS));
    let mut connections = JoinSet::new();
    loop {
        // Accepting and acquiring are cancel-safe: a connection not taken stays in the backlog.
        let (place, accepted) = tokio::select! {
            () = asked(&mut stop) => break,
            Some(_) = connections.join_next(), if !connections.is_empty() => continue,
            accepted = accept(&listener, &room) => accepted,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "a connection could not be accepted");
                tokio::time::sleep(BREATH).await;
                continue;
            }
        };
        let (acceptor, endpoint, stop) = (acceptor.clone(), endpoint.clone(), stop.clone());
        connections.spawn(async move {
            converse(stream, peer, &acceptor, endpoint, stop).await;
            drop(place);
        });
    }
    drop(listener);
    // Dropping what is left closes it: followers of streams see their end.
    let _ = tokio::time::timeout(LINGER, async { while connections.join_next().await.is_some() {} }).await;
    Ok(())
}

/// Is done when the server is to stop; a dropped sender means the same.
async fn asked(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|&stop| stop).await;
}

async fn accept(
    listener: &TcpListener,
    room: &Arc<Semaphore>,
) -> (Option<tokio::sync::OwnedSemaphorePermit>, io::Result<(TcpStream, SocketAddr)>) {
    // Only a closed semaphore refuses, and this one is never closed.
    let place = room.clone().acquire_owned().await.ok();
    (place, listener.accept().await)
}

async fn converse(
    stream: TcpStream,
    peer: SocketAddr,
    acceptor: &TlsAcceptor,
    endpoint: Endpoint,
    mut stop: watch::Receiver<bool>,
) {
    let _ = stream.set_nodelay(true);
    if let Err(error) = drop_when_gone(&stream) {
        tracing::debug!(%peer, %error, "a connection's peer is not watched");
    }
    let stream = match tokio::time::timeout(HANDSHAKE, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => {
            tracing::debug!(%peer, error = &error as &dyn std::error::Error, "no TLS");
            return;
        }
        Err(_) => return,
    };
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let endpoint = endpoint.clone();
        async move {
            let hosts = endpoint.hosts.borrow().clone();
            Ok::<_, std::convert::Infallible>(endpoint.front.answer(request.map(Body::new), peer, &hosts).await)
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_headers(MOST_HEADERS)
        .max_buf_size(HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    tokio::pin!(connection);
    // The connection is only polled; shutting it down lets the answer under way end.
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = asked(&mut stop) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%peer, error = &error as &dyn std::error::Error, "a connection ended early");
    }
}

/// Has the kernel end a connection whose peer vanished without a word, for it holds a place among the connections.
fn drop_when_gone(stream: &TcpStream) -> rustix::io::Result<()> {
    sockopt::set_socket_keepalive(stream, true)?;
    sockopt::set_tcp_keepidle(stream, GONE)?;
    sockopt::set_tcp_keepintvl(stream, PROBE)?;
    sockopt::set_tcp_user_timeout(stream, u32::try_from(GONE.as_millis()).unwrap_or(u32::MAX))
}

fn certified(chain: &str, key: &str) -> Result<CertifiedKey, CertificateError> {
    let chain: Vec<CertificateDer<'static>> =
        CertificateDer::pem_slice_iter(chain.as_bytes()).collect::<Result<_, _>>().map_err(CertificateError::Chain)?;
    if chain.is_empty() {
        return Err(CertificateError::Empty);
    }
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(CertificateError::Key)?;
    let provider = rustls::crypto::ring::default_provider();
    let certified = CertifiedKey::from_der(chain, key, &provider).map_err(CertificateError::Pair)?;
    match certified.keys_match() {
        Ok(()) | Err(rustls::Error::InconsistentKeys(rustls::InconsistentKeys::Unknown)) => Ok(certified),
        Err(error) => Err(CertificateError::Pair(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_peer_that_vanishes_is_dropped_after_a_minute() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let _client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        drop_when_gone(&stream).unwrap();
        assert!(sockopt::socket_keepalive(&stream).unwrap());
        assert_eq!(sockopt::tcp_keepidle(&stream).unwrap(), GONE);
        assert_eq!(sockopt::tcp_user_timeout(&stream).unwrap(), 60_000);
    }
}
