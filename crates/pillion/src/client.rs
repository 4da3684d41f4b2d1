//! The native API's client: HTTP over the server's Unix socket, one connection a request.

mod lines;

use std::{io, path::PathBuf};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{
    Method, Request, Response, StatusCode,
    body::Incoming,
    header::{CONTENT_TYPE, HOST, IF_MATCH},
    upgrade::Upgraded,
};
use hyper_util::rt::TokioIo;
use pillion_api::wire::{EXEC_PROTOCOL, ErrorBody, exec::ExecStart};
use serde::{Serialize, de::DeserializeOwned};
use tokio::net::UnixStream;

pub use lines::Lines;

/// Talks to the server that listens on one socket.
#[derive(Debug, Clone)]
pub struct Client {
    socket: PathBuf,
}

/// Why the server gave no answer, or which refusal it gave.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    #[error("no Pillion server is running: nothing listens on {}", socket.display())]
    Absent { socket: PathBuf },
    #[error("this user may not talk to the Pillion server: {} is closed to it", socket.display())]
    NotPermitted { socket: PathBuf },
    #[error("could not connect to {}", socket.display())]
    Connect { socket: PathBuf, source: io::Error },
    #[error("the server broke off while answering `{request}`")]
    Broken { request: String, source: hyper::Error },
    #[error("the server's answer to `{request}` cannot be read")]
    Unreadable { request: String, source: serde_json::Error },
    #[error("the server ended the answer to `{request}` before it was complete")]
    CutShort { request: String },
    #[error("{}", .body.message)]
    Refused { status: StatusCode, body: Box<ErrorBody> },
}

/// What to ask: method, path with query, and what goes along.
#[derive(Debug, Clone)]
pub struct Ask {
    method: Method,
    path: String,
    body: Option<Bytes>,
    if_match: Option<String>,
    upgrade: Option<&'static str>,
}

impl Ask {
    pub fn get(path: impl Into<String>) -> Self {
        Self { method: Method::GET, path: path.into(), body: None, if_match: None, upgrade: None }
    }

    pub fn post(path: impl Into<String>) -> Self {
        Self { method: Method::POST, ..Self::get(path) }
    }

    pub fn put(path: impl Into<String>) -> Self {
        Self { method: Method::PUT, ..Self::get(path) }
    }

    pub fn delete(path: impl Into<String>) -> Self {
        Self { method: Method::DELETE, ..Self::get(path) }
    }

    /// Sends `value` as JSON.
    pub fn json(mut self, value: &impl Serialize) -> Self {
        self.body = Some(serde_json::to_vec(value).expect("wire types serialise").into());
        self
    }

    /// Only if the app's definition is still the one with this etag.
    pub fn if_match(mut self, etag: impl Into<String>) -> Self {
        self.if_match = Some(etag.into());
        self
    }

    fn name(&self) -> String {
        format!("{} {}", self.method, self.path)
    }

    fn into_request(self) -> Request<Full<Bytes>> {
        let mut request = Request::builder().method(self.method).uri(self.path).header(HOST, "pillion");
        if self.body.is_some() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        if let Some(etag) = self.if_match {
            request = request.header(IF_MATCH, etag);
        }
        if let Some(protocol) = self.upgrade {
            request = request.header("connection", "upgrade").header("upgrade", protocol);
        }
        request.body(Full::new(self.body.unwrap_or_default())).expect("paths are made of names and encoded queries")
    }
}

impl Client {
    pub fn new(socket: PathBuf) -> Self {
        Self { socket }
    }

    /// Asks and reads the whole answer as JSON.
    pub async fn ask<T: DeserializeOwned>(&self, ask: Ask) -> Result<T, ClientError> {
        let name = ask.name();
        let response = self.send(ask).await?;
        let bytes = collect(&name, response).await?;
        let bytes = if bytes.is_empty() { Bytes::from_static(b"null") } else { bytes };
        serde_json::from_slice(&bytes).map_err(|source| ClientError::Unreadable { request: name, source })
    }

    /// Asks and reads the answer line by line as it comes.
    pub async fn lines<T: DeserializeOwned>(&self, ask: Ask) -> Result<Lines<T>, ClientError> {
        let name = ask.name();
        let response = self.send(ask).await?;
        Ok(Lines::new(name, response.into_body()))
    }

    /// Starts a process in a container; both sides then speak exec frames.
    pub async fn exec(&self, app: &str, start: &ExecStart) -> Result<TokioIo<Upgraded>, ClientError> {
        let mut ask = Ask::post(format!("/v1/apps/{app}/exec")).json(start);
        ask.upgrade = Some(EXEC_PROTOCOL);
        let name = ask.name();
        let response = self.send(ask).await?;
        let upgraded = hyper::upgrade::on(response).await.map_err(|source| ClientError::Broken { request: name, source })?;
        Ok(TokioIo::new(upgraded))
    }

    async fn send(&self, ask: Ask) -> Result<Response<Incoming>, ClientError> {
        let name = ask.name();
        let stream = UnixStream::connect(&self.socket).await.map_err(|source| self.no_connection(source))?;
        let broken = |source| ClientError::Broken { request: name.clone(), source };
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
        // The connection ends with its one response; whoever reads the body sees its errors.
        tokio::spawn(connection.with_upgrades());
        let response = sender.send_request(ask.into_request()).await.map_err(broken)?;
        let status = response.status();
        if status.is_success() || status == StatusCode::SWITCHING_PROTOCOLS {
            return Ok(response);
        }
        let bytes = collect(&name, response).await?;
        let body = serde_json::from_slice(&bytes).unwrap_or_else(|_| ErrorBody {
            code: "Unknown".into(),
            message: format!("the server answered `{name}` with {status}"),
            hint: None,
            problems: Vec::new(),
            diagnosis: None,
        });
        Err(ClientError::Refused { status, body: Box::new(body) })
    }

    fn no_connection(&self, source: io::Error) -> ClientError {
        let socket = self.socket.clone();
        match source.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => ClientError::Absent { socket },
            io::ErrorKind::PermissionDenied => ClientError::NotPermitted { socket },
            _ => ClientError::Connect { socket, source },
        }
    }
}

async fn collect(name: &str, response: Response<Incoming>) -> Result<Bytes, ClientError> {
    let body = response.into_body().collect().await;
    body.map(|b| b.to_bytes()).map_err(|source| ClientError::Broken { request: name.to_owned(), source })
}

/// Encodes text for use as one value in a query.
pub fn encoded(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    for byte in value.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => out.push(char::from(byte)),
            other => out.push_str(&format!("%{other:02X}")),
        }
    }
    out
}
