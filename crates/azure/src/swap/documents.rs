//! What a site's documents are after a swap: what belongs to the version moves, what belongs to the slot stays.

use std::{collections::BTreeSet, sync::Arc};

use pillion_arm::{ArmError, ConfigName, Resource, ResourceId, ResourceKind, SiteParts};
use pillion_model::AppName;
use serde_json::{Map, Value, json};

use super::{MARK, slot_of};
use crate::{Azure, index::Index, service::wall_ms};

/// Fields of `config/web` that say what runs; the others say how the slot is run, and stay.
const MOVING: [&str; 8] = [
    "linuxFxVersion",
    "windowsFxVersion",
    "appCommandLine",
    "acrUseManagedIdentityCreds",
    "acrUserManagedIdentityID",
    "virtualApplications",
    "handlerMappings",
    "defaultDocuments",
];

/// What changes when two sites are exchanged.
pub(super) struct Exchanged {
    pub(super) put: Vec<Arc<Resource>>,
    pub(super) gone: BTreeSet<ResourceId>,
}

/// The documents of a site after a swap; those that nobody wrote are none.
struct After {
    web: Option<Arc<Resource>>,
    settings: Option<Arc<Resource>>,
    connections: Option<Arc<Resource>>,
    storage: Option<Arc<Resource>>,
    metadata: Option<Arc<Resource>>,
    containers: Vec<Arc<Resource>>,
}

impl After {
    /// Every document, dated.
    fn all(&self, now: u64) -> impl Iterator<Item = Arc<Resource>> {
        let documents = [&self.web, &self.settings, &self.connections, &self.storage, &self.metadata];
        let all: Vec<_> = documents.into_iter().flatten().chain(&self.containers).cloned().collect();
        all.into_iter().map(move |document| Arc::new(Resource { changed_ms: now, ..(*document).clone() }))
    }
}

/// Returns what the documents of `onto` will be when `from` has been swapped with it.
fn after(index: &Index, from: &ResourceId, onto: &ResourceId) -> After {
    let sticky = onto.production().and_then(|site| index.get(&site.config(ConfigName::SlotConfigNames)).cloned());
    let names = |field: &str| -> Vec<String> {
        let list = sticky.as_ref().and_then(|entry| entry.resource.property(field)).and_then(Value::as_array);
        list.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let keyed = |name: ConfigName, field: &str| {
        let names = names(field);
        let stays = |key: &str| names.iter().any(|name| name.eq_ignore_ascii_case(key));
        moved(index, from, onto, name, stays)
    };
    let moving = |key: &str| !MOVING.iter().any(|field| field.eq_ignore_ascii_case(key));
    let containers = index.of_kind(from, &ResourceKind::SiteContainer).map(|entry| &entry.resource);
    After {
        web: moved(index, from, onto, ConfigName::Web, moving),
        settings: keyed(ConfigName::AppSettings, "appSettingNames"),
        connections: keyed(ConfigName::ConnectionStrings, "connectionStringNames"),
        storage: keyed(ConfigName::AzureStorageAccounts, "azureStorageConfigNames"),
        metadata: moved(index, from, onto, ConfigName::Metadata, |_| false),
        containers: containers
            .filter(|container| container.id.parent().as_ref() == Some(from))
            .map(|container| {
                let id = onto.child("sitecontainers", container.id.name());
                Arc::new(Resource { id, ..(**container).clone() })
            })
            .collect(),
    }
}

/// One document: what stays of `onto`, and of `from` all the rest.
fn moved(
    index: &Index,
    from: &ResourceId,
    onto: &ResourceId,
    name: ConfigName,
    stays: impl Fn(&str) -> bool,
) -> Option<Arc<Resource>> {
    let document = |site: &ResourceId| index.get(&site.config(name)).map(|entry| entry.resource.clone());
    let (moving, staying) = (document(from), document(onto));
    let id = staying.as_ref().map_or_else(|| onto.config(name), |document| document.id.clone());
    let created_ms = staying.as_ref().or(moving.as_ref())?.created_ms;
    let entries = |document: &Option<Arc<Resource>>, wanted: bool| -> Vec<(String, Value)> {
        let all = document.iter().flat_map(|document| &document.properties);
        all.filter(|(key, _)| stays(key) == wanted).map(|(key, value)| (key.clone(), value.clone())).collect()
    };
    let properties: Map<String, Value> = entries(&moving, false).into_iter().chain(entries(&staying, true)).collect();
    Some(Arc::new(Resource { properties, created_ms, ..Resource::new(id, created_ms) }))
}

impl Azure {
    /// Returns what a source that is on its way to be swapped is compiled from: the target as it will be, in the source's app.
    pub(crate) fn swapped_parts(&self, source: &Resource, app: &AppName) -> Option<SiteParts> {
        let slot = source.text(MARK)?;
        let production = source.id.production()?;
        let target = if slot.eq_ignore_ascii_case(super::PRODUCTION) { production } else { production.child("slots", slot) };
        // What the target is, with the documents it will have.
        let parts = self.parts(&target, app.clone())?;
        let index = self.index();
        let after = after(&index, &source.id, &target);
        Some(SiteParts {
            web: after.web,
            settings: after.settings,
            connections: after.connections,
            storage: after.storage,
            containers: after.containers,
            ..parts
        })
    }

    /// Says which documents two sites write and lose when they are exchanged.
    ///
    /// # Errors
    /// 404 where one of them is gone.
    pub(super) fn exchanged(&self, source: &ResourceId, target: &ResourceId) -> Result<Exchanged, ArmError> {
        let index = self.index();
        let now = wall_ms();
        let mut put = Vec::new();
        let mut gone = BTreeSet::new();
        for (from, onto) in [(source, target), (target, source)] {
            let after = after(&index, from, onto);
            for id in index.of_kind(onto, &ResourceKind::SiteContainer).map(|entry| entry.resource.id.clone()) {
                if id.parent().as_ref() == Some(onto) && !after.containers.iter().any(|container| container.id == id) {
                    gone.insert(id);
                }
            }
            put.extend(
                after.all(now).filter(|document| {
                    index.get(&document.id).is_none_or(|entry| entry.resource.properties != document.properties)
                }),
            );
            let mut site = index.get(onto).map(|entry| (*entry.resource).clone()).ok_or_else(|| ArmError::not_found(onto))?;
            site.properties.shift_remove(MARK);
            let status =
                json!({ "timestampUtc": now, "sourceSlotName": slot_of(source), "destinationSlotName": slot_of(target) });
            site.properties.insert("slotSwapStatus".to_owned(), status);
            site.changed_ms = now;
            put.push(Arc::new(site));
        }
        Ok(Exchanged { put, gone })
    }
}
