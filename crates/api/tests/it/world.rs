//! One API on a socket of its own, and a client that says nothing it is not told to.

use std::{path::PathBuf, sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::{BoxStream, StreamExt};
use http_body_util::{BodyExt, Full};
use hyper::{Request, Response, body::Incoming};
use hyper_util::rt::TokioIo;
use pillion_api::{
    Failure, Images, Services, System,
    wire::{EndpointInfo, ImageSummary, Pruned, PullLine, PullRequest, Reloaded, StopRequest, SystemInfo},
};
use pillion_control::{Control, NoGateway, Settings};
use pillion_engine::scripted::Scripted;
use pillion_fault::Diagnosis;
use pillion_model::AppName;
use serde_json::{Value, json};
use tokio::{
    net::{UnixListener, UnixStream},
    sync::watch,
};

/// Only ends a test that would hang.
pub const PATIENCE: Duration = Duration::from_secs(20);

pub struct World {
    pub engine: Scripted,
    directory: tempfile::TempDir,
    _stop: watch::Sender<bool>,
}

/// An answer, read whole.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub etag: Option<String>,
    pub body: Value,
}

impl World {
    pub async fn new() -> World {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let engine = Scripted::new();
        let store = pillion_store::Store::open(directory.path()).expect("the store opens");
        let (control, reconciler) =
            Control::new(store.clone(), Arc::new(engine.clone()), Arc::new(NoGateway), Settings::default())
                .await
                .expect("control starts");
        let (stop, stopped) = watch::channel(false);
        tokio::spawn(reconciler.run(stopped.clone()));
        let listener = UnixListener::bind(directory.path().join("api.sock")).expect("the socket is bound");
        let identity =
            pillion_identity::Identity::open(store, &directory.path().join("keys")).await.expect("identities are kept");
        let services = Services { control, identity, images: Arc::new(OneImage), system: Arc::new(NoMachine) };
        let mut until = stopped;
        tokio::spawn(pillion_api::serve(listener, services, async move {
            let _ = until.wait_for(|&stop| stop).await;
        }));
        World { engine, directory, _stop: stop }
    }

    fn socket(&self) -> PathBuf {
        self.directory.path().join("api.sock")
    }

    pub async fn send(&self, request: Request<Full<Bytes>>) -> Response<Incoming> {
        let stream = UnixStream::connect(self.socket()).await.expect("the API listens");
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.expect("it speaks HTTP");
        tokio::spawn(connection.with_upgrades());
        tokio::time::timeout(PATIENCE, sender.send_request(request)).await.expect("in time").expect("an answer")
    }

    pub async fn ask(&self, method: &str, path: &str, body: Value) -> Answer {
        self.ask_if(method, path, body, None).await
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, Value::Null).await
    }

    pub async fn ask_if(&self, method: &str, path: &str, body: Value, if_match: Option<&str>) -> Answer {
        let mut request = Request::builder().method(method).uri(path).header("host", "pillion");
        if let Some(etag) = if_match {
            request = request.header("if-match", etag);
        }
        let bytes = if body.is_null() { Bytes::new() } else { body.to_string().into() };
        if !bytes.is_empty() {
            request = request.header("content-type", "application/json");
        }
        read(self.send(request.body(Full::new(bytes)).expect("a request")).await).await
    }

    /// Reads a stream to its end.
    pub async fn lines(&self, path: &str) -> Vec<Value> {
        let request = Request::builder().uri(path).header("host", "pillion").body(Full::default()).expect("a request");
        let response = self.send(request).await;
        assert_eq!(response.status(), 200, "{path}");
        assert_eq!(response.headers()["content-type"], "application/x-ndjson");
        let bytes = tokio::time::timeout(PATIENCE, response.into_body().collect()).await.expect("in time");
        let bytes = bytes.expect("a whole body").to_bytes();
        bytes.split(|&b| b == b'\n').filter(|l| !l.is_empty()).map(|l| serde_json::from_slice(l).expect("JSON")).collect()
    }

    /// Applies and waits for the end of the roll-out; returns its last line.
    pub async fn roll(&self, definition: Value) -> Value {
        let app = definition["name"].as_str().expect("a name").to_owned();
        let answer = self.ask("PUT", &format!("/v1/apps/{app}"), json!({ "definition": definition })).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let revision = &answer.body["revision"];
        let lines = self.lines(&format!("/v1/apps/{app}/rollout?revision={revision}")).await;
        lines.last().expect("an ending").clone()
    }
}

pub async fn read(response: Response<Incoming>) -> Answer {
    let status = response.status().as_u16();
    let etag = response.headers().get("etag").map(|v| v.to_str().expect("text").to_owned());
    let bytes = tokio::time::timeout(PATIENCE, response.into_body().collect()).await.expect("in time");
    let bytes = bytes.expect("a whole body").to_bytes();
    let body = serde_json::from_slice(&bytes).unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&bytes).into()));
    Answer { status, etag, body }
}

/// A web app with a cache, from these images.
pub fn shop(web: &str, cache: &str) -> Value {
    json!({
        "name": "shop",
        "containers": {
            "web": { "main": true, "image": web, "port": 8080 },
            "cache": { "image": cache, "port": 6379 },
        },
    })
}

struct OneImage;

#[async_trait]
impl Images for OneImage {
    async fn list(&self) -> Result<Vec<ImageSummary>, Diagnosis> {
        Ok(vec![ImageSummary {
            reference: "localhost:5000/web:1".into(),
            digest: "sha256:00".into(),
            size_bytes: 1,
            pulled_at_ms: Some(1),
            in_use: false,
        }])
    }

    async fn pull(&self, request: PullRequest) -> BoxStream<'static, PullLine> {
        let lines = [PullLine::Pulling { done: 1, total: 2 }, PullLine::Pulled { digest: request.image }];
        futures::stream::iter(lines).boxed()
    }

    async fn remove(&self, image: &str) -> Result<bool, Diagnosis> {
        Ok(image == "localhost:5000/web:1")
    }

    async fn prune(&self) -> Result<Pruned, Diagnosis> {
        Ok(Pruned::default())
    }
}

struct NoMachine;

#[async_trait]
impl System for NoMachine {
    async fn info(&self) -> Result<SystemInfo, Failure> {
        Ok(SystemInfo {
            version: "0".into(),
            pid: 1,
            state_dir: "/s".into(),
            run_dir: "/r".into(),
            settings_file: "/c".into(),
            gateway: vec!["127.0.0.1:8080".into()],
            gateway_pid: None,
            kernel: "6".into(),
            cgroup: "v2".into(),
            apps: 0,
            instances: 0,
            warnings: Vec::new(),
        })
    }

    async fn prune(&self) -> Result<Pruned, Failure> {
        Ok(Pruned::default())
    }

    async fn endpoint(&self) -> Result<EndpointInfo, Failure> {
        Ok(EndpointInfo {
            url: "https://127.0.0.1:8443".into(),
            tenant: "t".into(),
            subscription: "s".into(),
            ca_file: "/r/ca.pem".into(),
            bundle_file: "/r/ca-bundle.pem".into(),
        })
    }

    async fn reload(&self) -> Result<Reloaded, Failure> {
        Ok(Reloaded::default())
    }

    async fn kill(&self, _: &AppName) -> Result<(), Failure> {
        Ok(())
    }

    async fn stop(&self, _: StopRequest) -> Result<(), Failure> {
        Ok(())
    }
}
