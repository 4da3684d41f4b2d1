//! [`Azure`]: the one door to these services, and what its parts share.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
    time::{SystemTime, UNIX_EPOCH},
};

use pillion_arm::{ArmError, Resource, ResourceId};
use pillion_control::{Control, ControlError, ErrorKind};
use pillion_fault::Words;
use pillion_identity::{Access, Caller};
use pillion_model::AppName;
use pillion_store::{AuditEntry, Batch, Etag, Kind, Store, StoreError};
use serde_json::Value;
use tokio::sync::mpsc;

use crate::{
    OperationId, Settings, Settler,
    around::Around,
    index::Index,
    meter::Meter,
    names::public_name,
    operation::Operations,
    settle::{Quiet, Wake},
};

/// The group in which apps made by app files are shown.
pub(crate) const NATIVE_GROUP: &str = "pillion";
/// The plan that they are shown on.
pub(crate) const NATIVE_PLAN: &str = "default";

/// Jobs that may wait to be begun; who asks for more waits.
const JOBS: usize = 64;

/// App Service's services; cheap to clone.
#[derive(Clone)]
pub struct Azure {
    pub(crate) shared: Arc<Shared>,
}

pub(crate) struct Shared {
    pub(crate) store: Store,
    pub(crate) control: Control,
    pub(crate) settings: Settings,
    index: RwLock<Index>,
    /// Held from validation to commit, so that what was looked up still holds.
    pub(crate) writing: tokio::sync::Mutex<()>,
    /// Loopback ports by public name.
    ports: RwLock<BTreeMap<AppName, u16>>,
    /// Apps that app files made, as of the last look.
    native: RwLock<BTreeSet<AppName>>,
    pub(crate) quiet: Mutex<Quiet>,
    pub(crate) wake: mpsc::Sender<Wake>,
    pub(crate) operations: Operations,
    pub(crate) meter: Meter,
    /// Who keeps something about groups beside their resources.
    gone: OnceLock<GroupGone>,
}

type GroupGone = Box<dyn Fn(&ResourceId) + Send + Sync>;

/// What a write did.
#[derive(Debug, Clone)]
pub struct Written {
    pub created: bool,
    pub body: Value,
    pub etag: Etag,
    /// Set where the write goes on after the answer.
    pub operation: Option<OperationId>,
}

/// What an action answers.
#[derive(Debug, Clone)]
pub struct ActionAnswer {
    pub body: Option<Value>,
    pub operation: Option<OperationId>,
}

impl Azure {
    /// Reads every resource and makes the service and the task that does its work; the caller spawns [`Settler::run`].
    ///
    /// # Errors
    /// The store or the control plane cannot be read.
    pub async fn open(store: Store, control: Control, settings: Settings) -> Result<(Azure, Settler), ControlError> {
        let mut index = Index::default();
        for document in store.documents::<Resource>(Kind::Resource).await? {
            index.insert(Arc::new(document.body), document.etag);
        }
        let ports = control.ports().await?.into_iter().collect();
        let (wake, woken) = mpsc::channel(JOBS);
        let operations = Operations::read(&store).await?;
        let shared = Arc::new(Shared {
            store,
            control,
            settings,
            index: RwLock::new(index),
            writing: tokio::sync::Mutex::new(()),
            ports: RwLock::new(ports),
            native: RwLock::default(),
            quiet: Mutex::default(),
            wake,
            operations,
            meter: Meter::default(),
            gone: OnceLock::new(),
        });
        let azure = Azure { shared };
        azure.look_for_native_apps().await?;
        azure.take_up_marks().await?;
        let settler = Settler::new(azure.clone(), woken);
        Ok((azure, settler))
    }

    pub fn settings(&self) -> &Settings {
        &self.shared.settings
    }

    /// Gives the control plane, for what reads apps rather than resources.
    pub fn control(&self) -> &Control {
        &self.shared.control
    }

    /// Gives the control plane's app behind a site or slot. After a swap its name is not the site's.
    ///
    /// # Errors
    /// 404 where there is no such site.
    pub async fn app_of(&self, site: &ResourceId) -> Result<AppName, ArmError> {
        let name = self.public_name_of(site)?;
        self.shared.control.resolve(&name).await.map_err(|wrong| refusal(&wrong))
    }

    /// Gives the name that the gateway knows a site or slot by.
    ///
    /// # Errors
    /// 404 where there is no such site.
    pub fn public_name_of(&self, site: &ResourceId) -> Result<AppName, ArmError> {
        let name = public_name(site).ok_or_else(|| ArmError::not_found(site))?;
        // In the group of native apps only those are found: a name there says nothing about an app of another group.
        let known = self.index().get(site).is_some() || (self.is_native(site) && self.native().contains(&name));
        if known { Ok(name) } else { Err(ArmError::not_found(site)) }
    }

    /// Refuses who may not read `id`, or what is in another subscription.
    ///
    /// # Errors
    /// 403, 404.
    pub fn known(&self, caller: &Caller, id: &ResourceId) -> Result<(), ArmError> {
        allow(caller, Access::Read, id)?;
        self.known_subscription(id)
    }

    /// Gives a resource as it is stored, whoever asks; none where it never was written.
    pub fn peek(&self, id: &ResourceId) -> Option<Arc<Resource>> {
        self.index().get(id).map(|entry| entry.resource.clone())
    }

    /// Gives every stored resource at or below a scope.
    pub fn peek_within(&self, scope: &ResourceId) -> Vec<Arc<Resource>> {
        self.index().within(scope).map(|entry| entry.resource.clone()).collect()
    }

    /// Has `forget` called when a group was deleted. There is one who needs it.
    pub(crate) fn when_group_goes(&self, forget: impl Fn(&ResourceId) + Send + Sync + 'static) {
        if self.shared.gone.set(Box::new(forget)).is_err() {
            tracing::warn!("somebody waits for groups to go already");
        }
    }

    pub(crate) fn group_is_gone(&self, group: &ResourceId) {
        if let Some(forget) = self.shared.gone.get() {
            forget(group);
        }
    }

    pub(crate) fn index(&self) -> RwLockReadGuard<'_, Index> {
        self.shared.index.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn index_mut(&self) -> RwLockWriteGuard<'_, Index> {
        self.shared.index.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn ports(&self) -> RwLockReadGuard<'_, BTreeMap<AppName, u16>> {
        self.shared.ports.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn ports_mut(&self) -> RwLockWriteGuard<'_, BTreeMap<AppName, u16>> {
        self.shared.ports.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn native(&self) -> RwLockReadGuard<'_, BTreeSet<AppName>> {
        self.shared.native.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn quiet(&self) -> MutexGuard<'_, Quiet> {
        self.shared.quiet.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs `look` on everything as it is now.
    pub(crate) fn around<T>(&self, look: impl FnOnce(&Around<'_>) -> T) -> T {
        let (index, native) = (self.index(), self.native());
        look(&Around { index: &index, settings: &self.shared.settings, native: &native })
    }

    /// Learns which apps no resource owns.
    pub(crate) async fn look_for_native_apps(&self) -> Result<(), ControlError> {
        let owners = self.shared.control.owners().await?;
        let native = owners.into_iter().filter(|(_, owner)| owner.is_none()).map(|(app, _)| app).collect();
        *self.shared.native.write().unwrap_or_else(PoisonError::into_inner) = native;
        Ok(())
    }

    /// Returns true for the group that shows apps of app files, and everything in it.
    pub(crate) fn is_native(&self, id: &ResourceId) -> bool {
        id.group_name().is_some_and(|group| group.eq_ignore_ascii_case(NATIVE_GROUP))
    }

    /// Commits; failures become what ARM answers.
    pub(crate) async fn commit(&self, batch: Batch) -> Result<Vec<Etag>, ArmError> {
        self.shared.store.commit_all(batch).await.map_err(|wrong| unavailable(&wrong))
    }

    /// Makes the audit record of something done.
    pub(crate) fn audit(&self, caller: &Caller, action: &str, target: &ResourceId, status: u16, detail: &str) -> AuditEntry {
        AuditEntry {
            at_ms: wall_ms(),
            principal: caller.principal.clone(),
            caller: caller.display_name.clone(),
            action: action.to_owned(),
            target: target.key().to_owned(),
            status,
            correlation: correlation(),
            detail: detail.to_owned(),
        }
    }
}

/// 403 unless the caller may.
pub(crate) fn allow(caller: &Caller, access: Access, id: &ResourceId) -> Result<(), ArmError> {
    if caller.may(access, id.key()) {
        return Ok(());
    }
    let verb = match access {
        Access::Read => "read",
        Access::Write => "write",
        Access::Delete => "delete",
        Access::Govern => "roleAssignments/write",
    };
    let message = format!(
        "The client '{}' with object id '{}' does not have authorization to perform action '{}/{verb}' over scope '{id}' or the scope is invalid. \
         `pillion principal create --role Contributor --scope {id}` makes one that has.",
        caller.display_name,
        caller.principal,
        id.type_name(),
    );
    Err(ArmError::new(403, "AuthorizationFailed", message))
}

/// The store cannot: the cause is for the log, since it may name files of the server.
pub(crate) fn unavailable(wrong: &StoreError) -> ArmError {
    if let StoreError::Conflict { .. } = wrong {
        return ArmError::new(409, "Conflict", "The resource was changed in the meantime. Read it again and repeat the change.");
    }
    tracing::error!(error = wrong as &dyn std::error::Error, "the store failed");
    ArmError::new(500, "InternalServerError", "The server could not write or read its state; its log says why.")
}

/// What the control plane refuses, in ARM's words.
pub fn refusal(wrong: &ControlError) -> ArmError {
    let status = match wrong.kind() {
        ErrorKind::NotFound => 404,
        ErrorKind::InTheWay | ErrorKind::Engine(_) | ErrorKind::Exhausted | ErrorKind::Late => 409,
        ErrorKind::Stale => 412,
        ErrorKind::Invalid(_) => 400,
        ErrorKind::Store(wrong) => return unavailable(wrong),
    };
    let hint = wrong.hint_in(Words::AppService).map(|hint| format!(" ({hint})")).unwrap_or_default();
    ArmError::new(status, wrong.code(), format!("{wrong}{hint}"))
}

tokio::task_local! {
    static CORRELATION: String;
}

/// Runs `work` so that everything it writes carries this correlation id.
pub async fn correlated<T>(id: String, work: impl Future<Output = T>) -> T {
    CORRELATION.scope(id, work).await
}

/// Gives the correlation id of the work under way, else a fresh one.
pub(crate) fn correlation() -> String {
    CORRELATION.try_with(Clone::clone).unwrap_or_else(|_| fresh_uuid())
}

/// Makes a random UUID.
pub fn fresh_uuid() -> String {
    let mut bytes = [0u8; 16];
    // Without randomness ids only tell less; nothing is granted by one.
    let _ = rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty());
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

/// Milliseconds since the epoch, for people.
pub(crate) fn wall_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}
