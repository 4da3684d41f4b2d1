//! The front with everything behind it; requests go straight in, without a socket.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use axum::{
    body::{Body, to_bytes},
    http::{HeaderMap, Request},
};
use pillion_api::Front;
use pillion_azure::{Azure, Settings, deployment::Deployments};
use pillion_control::{Control, NoGateway, Settings as ControlSettings};
use pillion_engine::scripted::Scripted;
use pillion_identity::{Audience, Caller, Grant, Identity, NewPrincipal, Principal, PrincipalKind, Role, Scope};
use pillion_store::{Kind, Store};
use serde_json::{Value, json};
use tokio::sync::watch;

pub const HOST: &str = "127.0.0.1:8443";
const PEER: ([u8; 4], u16) = ([127, 0, 0, 1], 4000);
const DAY_MS: u64 = 24 * 60 * 60 * 1000;

pub struct World {
    pub store: Store,
    pub subscription: String,
    identity: Identity,
    clock: Arc<AtomicU64>,
    front: Front,
    /// An owner's token.
    pub owner: String,
    _directory: tempfile::TempDir,
    _stop: watch::Sender<bool>,
}

/// An answer, read whole.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub text: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|wrong| panic!("no JSON ({wrong}): {}", self.text))
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

impl World {
    pub async fn new() -> World {
        let directory = tempfile::tempdir().expect("a directory");
        let store = Store::open(directory.path()).expect("the store opens");
        let clock = Arc::new(AtomicU64::new(1_800_000_000_000));
        let time = clock.clone();
        let identity =
            Identity::open_at(store.clone(), &directory.path().join("keys"), Arc::new(move || time.load(Ordering::Relaxed)))
                .await
                .expect("identities are kept");
        let control_settings = ControlSettings { drain_within: Duration::from_secs(1), ..ControlSettings::default() };
        let engine = Arc::new(Scripted::new());
        let (control, reconciler) =
            Control::new(store.clone(), engine, Arc::new(NoGateway), control_settings).await.expect("control starts");
        let settings = Settings {
            endpoint: HOST.into(),
            gateway_port: 8080,
            subscription: identity.subscription().to_owned(),
            tenant: identity.tenant().to_owned(),
            max_instances: 30,
        };
        let (azure, settler) = Azure::open(store.clone(), control, settings).await.expect("the services open");
        let deploying =
            pillion_azure::deployment::Settings::new(identity.subscription(), identity.tenant(), &format!("https://{HOST}/"));
        let deployments = Deployments::over(&azure, identity.clone(), deploying).await.expect("deployments open");
        let (stop, stopped) = watch::channel(false);
        tokio::spawn(reconciler.run(stopped.clone()));
        tokio::spawn(settler.run(stopped));
        let scm = pillion_api::scm::router(azure.clone(), identity.clone(), directory.path().join("apps"));
        let arm = pillion_api::arm::router(azure, identity.clone(), deployments);
        let front = Front::new(&identity, arm, scm);
        let subscription = identity.subscription().to_owned();
        let mut world =
            World { store, subscription, identity, clock, front, owner: String::new(), _directory: directory, _stop: stop };
        world.owner = world.token(Role::Owner, "/").await;
        world
    }

    pub async fn principal(&self, role: Role, scope: &str) -> Principal {
        let name = format!("{role}-{}", self.identity.principals().len());
        let grants = vec![Grant { role, scope: Scope::of_path(scope) }];
        let new = NewPrincipal { name, kind: PrincipalKind::Service, password: None, grants };
        self.identity.create(&Caller::machine(), new).await.expect("a principal is made").principal
    }

    pub async fn token(&self, role: Role, scope: &str) -> String {
        self.token_for(role, scope, Audience::Arm).await
    }

    pub async fn token_for(&self, role: Role, scope: &str, audience: Audience) -> String {
        let principal = self.principal(role, scope).await;
        self.identity.issue(&principal, audience).expect("a token").token
    }

    /// A token that was good yesterday.
    pub async fn expired(&self) -> String {
        self.expired_for(Audience::Arm).await
    }

    pub async fn expired_for(&self, audience: Audience) -> String {
        let now = self.clock.load(Ordering::Relaxed);
        self.clock.store(now - DAY_MS, Ordering::Relaxed);
        let token = self.token_for(Role::Owner, "/", audience).await;
        self.clock.store(now, Ordering::Relaxed);
        token
    }

    pub async fn send(&self, method: &str, path: &str, token: Option<&str>, body: impl Into<Vec<u8>>) -> Answer {
        self.send_with(method, path, token, body, &[]).await
    }

    pub async fn send_with(
        &self,
        method: &str,
        path: &str,
        token: Option<&str>,
        body: impl Into<Vec<u8>>,
        headers: &[(&str, &str)],
    ) -> Answer {
        let mut request = Request::builder().method(method).uri(path).header("host", HOST);
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Body::from(body.into())).unwrap_or_else(|wrong| panic!("{method} {path}: {wrong}"));
        let response = self.front.answer(request, SocketAddr::from(PEER), &[HOST.to_owned()]).await;
        let (parts, body) = response.into_parts();
        let bytes = to_bytes(body, 64 << 20).await.expect("a body");
        let text = String::from_utf8(bytes.to_vec()).expect("text");
        Answer { status: parts.status.as_u16(), headers: parts.headers, text }
    }

    /// As the owner; an empty body where `body` is null.
    pub async fn ask(&self, method: &str, path: &str, body: Value) -> Answer {
        let bytes = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
        self.send(method, path, Some(&self.owner), bytes).await
    }

    pub async fn must(&self, method: &str, path: &str, body: Value) -> Answer {
        let answer = self.ask(method, path, body).await;
        assert!((200..300).contains(&answer.status), "{method} {path}: {} {}", answer.status, answer.text);
        answer
    }

    pub fn group(&self, name: &str) -> String {
        format!("/subscriptions/{}/resourceGroups/{name}", self.subscription)
    }

    pub fn web(&self, tail: &str) -> String {
        format!("{}/providers/Microsoft.Web/{tail}", self.group("rg1"))
    }

    /// `rg1` and `rg2`, the plan and the site `shop` with a container and a slot.
    pub async fn furnish(&self) {
        let plan = self.web("serverfarms/plan1");
        self.must("PUT", &self.group("rg1"), json!({ "location": "local" })).await;
        self.must("PUT", &self.group("rg2"), json!({ "location": "local" })).await;
        self.must("PUT", &plan, plan_body()).await;
        self.must("PUT", &self.web("sites/shop"), site_body(&plan)).await;
        self.must("PUT", &self.web("sites/shop/sitecontainers/main"), container_body()).await;
        self.must("PUT", &self.web("sites/shop/slots/staging"), site_body(&plan)).await;
    }

    /// Everything stored of resources.
    pub async fn snapshot(&self) -> Vec<(String, String)> {
        let all = self.store.documents::<Value>(Kind::Resource).await.expect("the resources are read");
        all.into_iter().map(|document| (document.key, format!("{} {}", document.etag, document.body))).collect()
    }
}

pub fn plan_body() -> Value {
    json!({ "location": "local", "properties": { "perSiteScaling": false, "reserved": true },
        "sku": { "capacity": 1, "name": "P1V3", "tier": "PREMIUMV3" } })
}

pub fn site_body(plan: &str) -> Value {
    json!({ "location": "local", "properties": { "serverFarmId": plan, "httpsOnly": false,
        "siteConfig": { "alwaysOn": true, "linuxFxVersion": "SITECONTAINERS", "appSettings": [] } } })
}

pub fn container_body() -> Value {
    json!({ "properties": { "image": "web:1", "isMain": true, "targetPort": "8080" } })
}
