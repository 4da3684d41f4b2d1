//! An endpoint on a port of its own, in front of a resource manager that only says who asks.

use std::{net::SocketAddr, sync::Arc};

use axum::{Extension, Router};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Request, header::HOST};
use hyper_util::rt::TokioIo;
use pillion_api::{Endpoint, Front, ServerCertificate, serve_tls};
use pillion_identity::{Caller, Created, Grant, Identity, NewPrincipal, PrincipalKind, Role, Scope};
use pillion_store::Store;
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use serde_json::Value;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::world::PATIENCE;

pub struct World {
    pub identity: Identity,
    pub certificate: ServerCertificate,
    pub address: SocketAddr,
    pub stop: watch::Sender<bool>,
    _directory: tempfile::TempDir,
    _hosts: watch::Sender<Vec<String>>,
}

/// An answer, read whole.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: hyper::HeaderMap,
    pub body: Value,
}

impl Answer {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}

pub fn names() -> Vec<String> {
    ["127.0.0.1", "localhost"].map(str::to_owned).to_vec()
}

impl World {
    pub async fn new() -> World {
        let directory = tempfile::tempdir().expect("a directory");
        let store = Store::open(directory.path()).expect("the store opens");
        let identity = Identity::open(store, &directory.path().join("keys")).await.expect("identities are kept");
        let leaf = identity.certificates().leaf(&names(), identity.now_ms()).expect("a certificate");
        let certificate = ServerCertificate::new(&leaf.chain, &leaf.key).expect("it can be served");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let who = Router::new().fallback(|Extension(caller): Extension<Caller>| async move { caller.display_name });
        let front = Front::new(&identity, who, Router::new());
        let hosts = watch::Sender::new(vec![address.to_string(), format!("localhost:{}", address.port())]);
        let endpoint = Endpoint { front, certificate: certificate.clone(), hosts: hosts.subscribe() };
        let stop = watch::Sender::new(false);
        tokio::spawn(serve_tls(listener, endpoint, stop.subscribe()));
        World { identity, certificate, address, stop, _directory: directory, _hosts: hosts }
    }

    pub fn url(&self) -> String {
        format!("https://{}", self.address)
    }

    pub async fn principal(&self, name: &str, kind: PrincipalKind, password: Option<&str>) -> Created {
        let grants = vec![Grant { role: Role::Owner, scope: Scope::root() }];
        let new = NewPrincipal { name: name.to_owned(), kind, password: password.map(str::to_owned), grants };
        self.identity.create(&Caller::machine(), new).await.expect("a principal")
    }

    /// Connects as a client that trusts the authority and nothing else.
    pub async fn connect(&self) -> std::io::Result<TlsStream<TcpStream>> {
        let ca = self.identity.certificates().authority(self.identity.now_ms()).expect("an authority");
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(ca.as_bytes()).expect("PEM")).expect("a root");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().expect("versions");
        let config = config.with_root_certificates(roots).with_no_client_auth();
        let stream = TcpStream::connect(self.address).await?;
        let name = ServerName::try_from("127.0.0.1").expect("a name");
        TlsConnector::from(Arc::new(config)).connect(name, stream).await
    }

    pub async fn send(&self, request: Request<Full<Bytes>>) -> Answer {
        let stream = self.connect().await.expect("TLS");
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.expect("HTTP");
        tokio::spawn(connection);
        let response = tokio::time::timeout(PATIENCE, sender.send_request(request)).await.expect("in time").expect("an answer");
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.expect("a body").to_bytes();
        let body = serde_json::from_slice(&bytes).unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&bytes).into()));
        Answer { status: parts.status.as_u16(), headers: parts.headers, body }
    }

    pub async fn get(&self, path: &str, token: Option<&str>) -> Answer {
        let mut request = Request::builder().uri(path).header(HOST, self.address.to_string());
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        self.send(request.body(Full::default()).expect("a request")).await
    }

    /// Posts a form, as MSAL does.
    pub async fn form(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.extend_pairs(fields);
        let request = Request::post(path)
            .header(HOST, self.address.to_string())
            .header("content-type", "application/x-www-form-urlencoded")
            .body(Full::from(form.finish()));
        self.send(request.expect("a request")).await
    }

    pub async fn token(&self, fields: &[(&str, &str)]) -> Answer {
        self.form("/adfs/oauth2/token", fields).await
    }
}
