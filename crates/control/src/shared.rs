//! What the service and the reconciler share: the store, the engine, and the values they publish.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use pillion_engine::{Credential, Engine, Instance, Prepared};
use pillion_fault::{Diagnosis, Fault};
use pillion_model::{App, AppName, ContainerName, EnvValue, InstanceFact, InstanceId, RevisionNumber, Setting};
use pillion_store::{NewEvent, Store, StoreError};
use tokio::sync::watch;

use crate::{ContainerProgress, Drainer, Front, Routes, Settings, SiteFront, front::Fronts};

/// How far the images of revisions on their way have come.
pub(crate) type PullProgress = BTreeMap<(AppName, RevisionNumber), BTreeMap<ContainerName, ContainerProgress>>;

pub(crate) struct Shared {
    pub(crate) store: Store,
    pub(crate) engine: Arc<dyn Engine>,
    pub(crate) drainer: Arc<dyn Drainer>,
    pub(crate) settings: Mutex<Settings>,
    pub(crate) routes: watch::Sender<Arc<Routes>>,
    pub(crate) pulls: watch::Sender<PullProgress>,
    /// Instances that drain, for `status`.
    pub(crate) draining: watch::Sender<std::collections::BTreeSet<InstanceId>>,
    /// Why starts of an app's current revision are refused, for `status`.
    pub(crate) refusals: watch::Sender<BTreeMap<AppName, Diagnosis>>,
    /// Which app stands behind which public name.
    pub(crate) fronts: Fronts,
    pub(crate) began: Instant,
    /// Held while a free port is looked for and stored.
    pub(crate) ports: tokio::sync::Mutex<()>,
}

impl Shared {
    /// Returns the front of an app that is about to be, where its public name is not its own or it is a site's.
    pub(crate) fn front_of(&self, app: &AppName, site: Option<SiteFront>) -> Option<Front> {
        let name = self.fronts.public(app);
        (name != *app || site.is_some()).then_some(Front { name, site })
    }

    pub(crate) fn settings(&self) -> Settings {
        self.settings.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Milliseconds of a monotonic clock.
    pub(crate) fn now(&self) -> u64 {
        self.began.elapsed().as_millis() as u64
    }

    /// Puts together what the engine needs for one instance: secrets are decrypted here and only handed on.
    pub(crate) async fn instance(
        &self,
        id: &InstanceId,
        revision: RevisionNumber,
        index: u32,
        definition: Arc<App>,
        images: BTreeMap<ContainerName, String>,
    ) -> Result<Instance, Diagnosis> {
        let app = definition.name.clone();
        let mut settings = BTreeMap::new();
        for (name, setting) in &definition.settings {
            let value = match setting {
                Setting::Plain(text) => Some(text.clone()),
                Setting::Secret { secret } => match secret.parse() {
                    Ok(version) => self
                        .store
                        .secret(&app, &secret_name(name), version)
                        .await
                        .map_err(|wrong| internal("decrypt a setting", &wrong))?,
                    Err(_) => None,
                },
            };
            if let Some(value) = value {
                settings.insert(name.clone(), value);
            }
        }
        let mut env = BTreeMap::new();
        for (container, what) in &definition.containers {
            let mut variables = Vec::new();
            for (variable, value) in &what.env {
                let value = match value {
                    EnvValue::Literal(text) => text.clone(),
                    EnvValue::FromInstance { from_instance: InstanceFact::Id } => id.to_string(),
                    EnvValue::FromInstance { from_instance: InstanceFact::Index } => index.to_string(),
                    EnvValue::FromSetting { from_setting } => settings.get(from_setting).cloned().ok_or_else(|| Diagnosis {
                        container: Some(container.to_string()),
                        fault: Fault::SettingMissing { variable: variable.clone(), setting: from_setting.clone() },
                        log_tail: Vec::new(),
                    })?,
                };
                variables.push((variable.clone(), value));
            }
            env.insert(container.clone(), variables);
        }
        Ok(Instance { id: id.clone(), app, revision, index, definition, prepared: Prepared { images }, env })
    }

    pub(crate) async fn credentials(&self, app: &AppName, hosts: &[String]) -> Result<BTreeMap<String, Credential>, Diagnosis> {
        let mut found = BTreeMap::new();
        for host in hosts {
            let text = self
                .store
                .secret(app, &registry_name(host), 0)
                .await
                .map_err(|wrong| internal("decrypt registry credentials", &wrong))?;
            if let Some(credential) = text.and_then(|text| serde_json::from_str(&text).ok()) {
                found.insert(host.clone(), credential);
            }
        }
        Ok(found)
    }
}

pub(crate) fn secret_name(setting: &str) -> String {
    format!("setting:{setting}")
}

pub(crate) fn registry_name(host: &str) -> String {
    format!("registry:{host}")
}

pub(crate) fn internal(doing: &str, wrong: &StoreError) -> Diagnosis {
    let mut reason = wrong.to_string();
    let mut source = std::error::Error::source(wrong);
    while let Some(cause) = source {
        reason = format!("{reason}: {cause}");
        source = cause.source();
    }
    Diagnosis { container: None, fault: Fault::Internal { doing: doing.to_owned(), reason }, log_tail: Vec::new() }
}

/// Milliseconds since the epoch, for people.
pub(crate) fn wall_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}

pub(crate) fn event(app: &AppName, revision: Option<RevisionNumber>, kind: &str, text: String) -> NewEvent {
    NewEvent {
        at_ms: wall_ms(),
        app: app.clone(),
        revision,
        instance: None,
        container: None,
        kind: kind.to_owned(),
        text,
        source: None,
    }
}

/// Makes an instance id that was never used: the app's name (shortened where it is long), the revision, six random characters.
pub(crate) fn fresh_id(app: &AppName, revision: RevisionNumber) -> Result<InstanceId, Diagnosis> {
    let mut bytes = [0u8; 6];
    let failed = |reason: String| Diagnosis {
        container: None,
        fault: Fault::Internal { doing: "make an instance id".into(), reason },
        log_tail: Vec::new(),
    };
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty()).map_err(|wrong| failed(wrong.to_string()))?;
    let random: String =
        bytes.iter().map(|byte| char::from(b"abcdefghijkmnpqrstuvwxyz23456789"[usize::from(byte % 32)])).collect();
    let tail = format!("-{revision}-{random}");
    let head: String = app.as_str().chars().take(63 - tail.len()).collect();
    format!("{}{tail}", head.trim_end_matches('-')).parse().map_err(|wrong: pillion_model::NameError| failed(wrong.to_string()))
}

/// A number in 0..1 that spreads retries.
pub(crate) fn chance() -> f64 {
    let mut bytes = [0u8; 4];
    // Without randomness retries only come at the same time.
    if rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty()).is_err() {
        return 0.0;
    }
    f64::from(u32::from_le_bytes(bytes)) / f64::from(u32::MAX)
}
