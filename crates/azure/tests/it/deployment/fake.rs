//! Resources in memory that can be made to fail, to wait, and to be counted.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use pillion_arm::{ArmError, ResourceId};
use pillion_azure::deployment::{Foretold, Put, Resources};
use pillion_identity::{Access, Caller};
use serde_json::{Value, json};
use tokio::sync::watch;

/// What happened, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    Began(String),
    Put(String),
    Deleted(String),
    Released,
    KeptBack(String),
}

#[derive(Default)]
struct State {
    all: BTreeMap<ResourceId, Value>,
    seen: Vec<Seen>,
    failing: BTreeMap<String, ArmError>,
    held: BTreeSet<String>,
    under_way: usize,
    most: usize,
}

/// The stand-in. Resources are known by the last part of their id.
pub struct Fake {
    state: Mutex<State>,
    changed: watch::Sender<u64>,
}

impl Fake {
    pub fn new(groups: &[ResourceId]) -> Fake {
        let fake = Fake { state: Mutex::default(), changed: watch::Sender::new(0) };
        for group in groups {
            let body = json!({ "name": group.name(), "location": "local", "tags": {}, "properties": {"provisioningState": "Succeeded"} });
            fake.state().all.insert(group.clone(), body);
        }
        fake
    }

    /// Makes every write of `name` fail.
    pub fn fail(&self, name: &str, error: ArmError) {
        self.state().failing.insert(name.to_owned(), error);
    }

    /// Makes every write of `name` wait until [`Fake::let_go`].
    /// From now on writes of it succeed.
    pub fn heal(&self, name: &str) {
        self.state().failing.remove(name);
    }

    pub fn hold(&self, name: &str) {
        self.state().held.insert(name.to_owned());
    }

    pub fn let_go(&self, name: &str) {
        self.state().held.remove(name);
        self.wake();
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.state().seen.clone()
    }

    /// The names written, in the order in which the writes ended.
    pub fn written(&self) -> Vec<String> {
        let put = |seen: &Seen| match seen {
            Seen::Put(name) => Some(name.clone()),
            Seen::Began(_) | Seen::Deleted(_) | Seen::Released | Seen::KeptBack(_) => None,
        };
        self.state().seen.iter().filter_map(put).collect()
    }

    /// The most writes that were under way at one time.
    pub fn most(&self) -> usize {
        self.state().most
    }

    pub fn body(&self, name: &str) -> Option<Value> {
        self.state().all.iter().find(|(id, _)| id.name() == name).map(|(_, body)| body.clone())
    }

    pub fn insert(&self, id: &ResourceId, body: Value) {
        self.state().all.insert(id.clone(), body);
    }

    /// Waits until something has happened.
    pub async fn until(&self, ready: impl Fn(&[Seen]) -> bool) {
        let mut changed = self.changed.subscribe();
        let waited = async {
            while !ready(&self.seen()) {
                changed.changed().await.expect("the fake lives");
            }
        };
        let within = std::time::Duration::from_secs(20);
        tokio::time::timeout(within, waited).await.unwrap_or_else(|_| panic!("it never came to that: {:?}", self.seen()));
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn saw(&self, seen: Seen) {
        self.state().seen.push(seen);
        self.wake();
    }

    fn wake(&self) {
        self.changed.send_modify(|count| *count += 1);
    }

    fn shown(id: &ResourceId, body: &Value) -> Value {
        let mut shown = body.clone();
        shown["id"] = json!(id.to_string());
        shown["name"] = json!(id.name());
        shown["type"] = json!(id.type_name());
        if shown["properties"]["passwordSecret"].is_string() {
            shown["properties"]["passwordSecret"] = Value::Null;
        }
        shown
    }

    async fn write(&self, id: &ResourceId, body: Value) -> Result<Put, ArmError> {
        let name = id.name().to_owned();
        self.saw(Seen::Began(name.clone()));
        let mut changed = self.changed.subscribe();
        while self.state().held.contains(&name) {
            changed.changed().await.expect("the fake lives");
        }
        // Others get their chance to be under way as well.
        tokio::task::yield_now().await;
        if let Some(error) = self.state().failing.get(&name) {
            return Err(error.clone());
        }
        let created = self.state().all.insert(id.clone(), body.clone()).is_none();
        self.saw(Seen::Put(name));
        Ok(Put { created, body: Self::shown(id, &body) })
    }
}

fn allow(caller: &Caller, access: Access, id: &ResourceId) -> Result<(), ArmError> {
    match caller.may(access, id.key()) {
        true => Ok(()),
        false => Err(ArmError::new(403, "AuthorizationFailed", format!("not over '{id}'"))),
    }
}

#[async_trait]
impl Resources for Fake {
    async fn get(&self, caller: &Caller, id: &ResourceId) -> Result<Value, ArmError> {
        allow(caller, Access::Read, id)?;
        self.state().all.get(id).map(|body| Self::shown(id, body)).ok_or_else(|| ArmError::not_found(id))
    }

    async fn put(&self, caller: &Caller, id: &ResourceId, body: Value, _holder: &str) -> Result<Put, ArmError> {
        allow(caller, Access::Write, id)?;
        {
            let mut state = self.state();
            state.under_way += 1;
            state.most = state.most.max(state.under_way);
        }
        let written = self.write(id, body).await;
        self.state().under_way -= 1;
        written
    }

    fn keep_back(&self, id: &ResourceId, _holder: &str) {
        self.saw(Seen::KeptBack(id.name().to_owned()));
    }

    async fn release(&self, _holder: &str) {
        self.saw(Seen::Released);
    }

    async fn foretell(&self, caller: &Caller, writes: Vec<(ResourceId, Value)>) -> Vec<Result<Foretold, ArmError>> {
        let foretell = |(id, after): (ResourceId, Value)| {
            allow(caller, Access::Write, &id)?;
            if let Some(error) = self.state().failing.get(id.name()) {
                return Err(error.clone());
            }
            let before = self.state().all.get(&id).cloned();
            Ok(Foretold { id, before, after, also: Vec::new() })
        };
        writes.into_iter().map(foretell).collect()
    }

    async fn delete(&self, caller: &Caller, id: &ResourceId) -> Result<(), ArmError> {
        allow(caller, Access::Delete, id)?;
        self.state().all.remove(id);
        self.saw(Seen::Deleted(id.name().to_owned()));
        Ok(())
    }

    async fn within(&self, _caller: &Caller, group: &ResourceId) -> Result<Vec<ResourceId>, ArmError> {
        Ok(self.state().all.keys().filter(|id| id.within(group) && *id != group).cloned().collect())
    }

    async fn act(&self, _caller: &Caller, id: &ResourceId, verb: &str, _body: Option<Value>) -> Result<Value, ArmError> {
        match self.state().all.get(id) {
            Some(body) => Ok(json!({ "verb": verb, "properties": body["properties"].clone() })),
            None => Err(ArmError::not_found(id)),
        }
    }
}
