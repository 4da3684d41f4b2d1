//! Who runs and what was handed out: the instances in this engine's charge, their addresses, ids and images.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use pillion_engine::Instance;
use pillion_fault::Diagnosis;
use pillion_image::{Digest, Image};
use pillion_model::{AppName, ContainerName, InstanceId, Network, UserNamespace};
use pillion_supervisor::spec::{ContainerSpec, InstanceSpec};
use tokio::sync::watch;

use super::Inner;
use crate::{
    HostSettings, Tuning,
    addresses::Addresses,
    adopt,
    faults::internal,
    ids::IdRanges,
    instance_dir::InstanceDir,
    prepare,
    translate::{self, Labels, Surroundings},
};

/// What is handed out, and who runs. Held for moments only, never across an await.
pub(super) struct Books {
    pub(super) addresses: Addresses,
    pub(super) ids: IdRanges,
    pub(super) live: BTreeMap<InstanceId, Arc<Live>>,
}

/// One instance this engine is in charge of.
pub(crate) struct Live {
    pub(crate) id: InstanceId,
    pub(crate) app: AppName,
    pub(crate) dir: InstanceDir,
    /// The newest spec its supervisor was given. Calls on one instance go one after another under this lock.
    pub(crate) spec: tokio::sync::Mutex<InstanceSpec>,
    /// Memory limits by container, for the status; beside `spec` because a reader must not wait for a call under way.
    pub(super) memory_limits: Mutex<BTreeMap<String, u64>>,
    pub(super) stopping: AtomicBool,
    /// The serial of the newest state its supervisor told.
    pub(crate) heard: watch::Sender<u64>,
    /// Leases: what the instance runs from cannot be pruned.
    pub(super) images: Mutex<BTreeMap<ContainerName, Image>>,
    /// The same by digest, and as its spec has it: an adopted instance may run from an image that is leased no more.
    pub(super) digests: Mutex<BTreeSet<Digest>>,
}

impl Live {
    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    pub(crate) fn memory_limits(&self) -> BTreeMap<String, u64> {
        self.memory_limits.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn becomes(&self, spec: &InstanceSpec, images: BTreeMap<ContainerName, Image>) {
        *self.memory_limits.lock().unwrap_or_else(PoisonError::into_inner) = limits_of(spec);
        *self.digests.lock().unwrap_or_else(PoisonError::into_inner) = digests_of(spec);
        *self.images.lock().unwrap_or_else(PoisonError::into_inner) = images;
    }
}

fn digests_of(spec: &InstanceSpec) -> BTreeSet<Digest> {
    let labels = serde_json::from_value::<Labels>(spec.labels.clone());
    labels.map(|labels| labels.images.values().filter_map(|digest| digest.parse().ok()).collect()).unwrap_or_default()
}

fn limits_of(spec: &InstanceSpec) -> BTreeMap<String, u64> {
    let limit = |container: &ContainerSpec| Some((container.run.name.clone(), container.run.limits.memory?));
    spec.containers.iter().filter_map(limit).collect()
}

impl Inner {
    pub(super) fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn live(&self, id: &InstanceId) -> Result<Arc<Live>, Diagnosis> {
        self.books()
            .live
            .get(id)
            .cloned()
            .ok_or_else(|| internal(format!("finding instance {id}"), "it does not run on this machine"))
    }

    pub(super) fn images_of(&self, instance: &Instance) -> Result<BTreeMap<ContainerName, Image>, Diagnosis> {
        let find = |name: &ContainerName| {
            prepare::prepared_image(&self.store, &instance.prepared, name).map_err(|fault| Diagnosis {
                container: Some(name.to_string()),
                fault,
                log_tail: Vec::new(),
            })
        };
        instance.definition.containers.keys().map(|name| Ok((name.clone(), find(name)?))).collect()
    }

    pub(super) fn spec_of(
        &self,
        instance: &Instance,
        dir: &InstanceDir,
        images: &BTreeMap<ContainerName, Image>,
        generation: u64,
    ) -> Result<InstanceSpec, Diagnosis> {
        let ids = match instance.definition.user_namespace {
            UserNamespace::Required => {
                Some(self.books().ids.take(&instance.app).map_err(|error| internal("reserving user ids", error))?)
            }
            UserNamespace::Off => None,
        };
        let address = match instance.definition.network {
            Network::Outbound => {
                let address = self.books().addresses.take(&instance.id);
                Some(address.ok_or_else(|| internal("giving the instance an address", "the subnet is full"))?)
            }
            Network::None => None,
        };
        let network = translate::network(instance.definition.network, &self.settings, address, adopt::nameservers());
        let Tuning { allowed_host_paths, logs } = self.tuning.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let settings = HostSettings { allowed_host_paths, logs, ..self.settings.clone() };
        let around = Surroundings { settings: &settings, dir, ids, network, images, generation };
        translate::instance(instance, &around)
    }

    pub(crate) fn register(
        &self,
        id: InstanceId,
        app: AppName,
        dir: InstanceDir,
        spec: InstanceSpec,
        images: BTreeMap<ContainerName, Image>,
    ) -> Arc<Live> {
        if let Ok(labels) = serde_json::from_value::<Labels>(spec.labels.clone()) {
            self.facts.announce(&spec, &labels, &id, dir.gate.clone());
        }
        let digests = digests_of(&spec);
        let live = Arc::new(Live {
            id: id.clone(),
            app,
            dir,
            memory_limits: Mutex::new(limits_of(&spec)),
            spec: tokio::sync::Mutex::new(spec),
            stopping: AtomicBool::new(false),
            heard: watch::Sender::new(0),
            images: Mutex::new(images),
            digests: Mutex::new(digests),
        });
        self.books().live.insert(id, live.clone());
        live
    }

    pub(crate) fn adopt_address(&self, address: std::net::Ipv4Addr, id: &InstanceId) {
        self.books().addresses.adopt(address, id.clone());
    }

    pub(crate) fn note_cleared(&self, what: String) {
        self.cleared.lock().unwrap_or_else(PoisonError::into_inner).push(what);
    }

    pub(crate) fn take_cleared(&self) -> Vec<String> {
        std::mem::take(&mut *self.cleared.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn held_addresses(&self) -> BTreeSet<std::net::Ipv4Addr> {
        self.books().addresses.held()
    }

    pub(crate) fn deregister(&self, id: &InstanceId) {
        let mut books = self.books();
        books.addresses.release(id);
        books.live.remove(id);
        drop(books);
        self.facts.forget(id);
    }

    /// Whether this very instance (not a later one of the same id) is still in the engine's charge.
    pub(crate) fn is_live(&self, live: &Arc<Live>) -> bool {
        self.books().live.get(&live.id).is_some_and(|known| Arc::ptr_eq(known, live))
    }
}
