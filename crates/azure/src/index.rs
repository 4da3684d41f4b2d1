//! All resources in memory, by key: filled from the store at the start, changed after each commit. Reads cost no I/O.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Bound,
    sync::Arc,
};

use pillion_arm::{Resource, ResourceId, ResourceKind};
use pillion_model::AppName;
use pillion_store::Etag;

use crate::{Entry, names::public_name};

#[derive(Debug, Default)]
pub(crate) struct Index {
    all: BTreeMap<String, Entry>,
    /// Sites and slots by their public name.
    public: BTreeMap<AppName, ResourceId>,
    /// Sites and slots by their plan's key.
    on_plan: BTreeMap<String, BTreeSet<ResourceId>>,
}

impl Index {
    pub(crate) fn insert(&mut self, resource: Arc<Resource>, etag: Etag) {
        let key = resource.id.key().to_owned();
        self.forget(&key);
        if is_site(&resource.id) {
            if let Some(name) = public_name(&resource.id) {
                self.public.insert(name, resource.id.clone());
            }
            if let Some(plan) = plan_of(&resource) {
                self.on_plan.entry(plan.key().to_owned()).or_default().insert(resource.id.clone());
            }
        }
        self.all.insert(key, Entry { resource, etag });
    }

    /// Removes a resource and everything below it.
    pub(crate) fn remove_under(&mut self, id: &ResourceId) {
        let gone: Vec<String> = self.within(id).map(|entry| entry.resource.id.key().to_owned()).collect();
        for key in gone {
            self.forget(&key);
        }
    }

    fn forget(&mut self, key: &str) {
        let Some(old) = self.all.remove(key) else { return };
        let id = &old.resource.id;
        if is_site(id) {
            if let Some(name) = public_name(id) {
                self.public.remove(&name);
            }
            if let Some(plan) = plan_of(&old.resource)
                && let Some(sites) = self.on_plan.get_mut(plan.key())
            {
                sites.remove(id);
            }
        }
    }

    pub(crate) fn get(&self, id: &ResourceId) -> Option<&Entry> {
        self.all.get(id.key())
    }

    /// Gives a resource and everything below it.
    pub(crate) fn within(&self, scope: &ResourceId) -> impl Iterator<Item = &Entry> {
        let scope = scope.clone();
        // `/` is followed by `0`: the range holds the scope, what is below it, and names that only begin alike.
        let end = format!("{}0", scope.key());
        self.all
            .range::<str, _>((Bound::Included(scope.key()), Bound::Excluded(end.as_str())))
            .map(|(_, entry)| entry)
            .filter(move |entry| entry.resource.id.within(&scope))
            .collect::<Vec<_>>()
            .into_iter()
    }

    pub(crate) fn of_kind<'a>(&'a self, scope: &ResourceId, kind: &'a ResourceKind) -> impl Iterator<Item = &'a Entry> {
        self.within(scope).filter(move |entry| entry.resource.id.kind() == *kind)
    }

    pub(crate) fn by_public_name(&self, name: &AppName) -> Option<&ResourceId> {
        self.public.get(name)
    }

    pub(crate) fn on_plan(&self, plan: &ResourceId) -> Vec<ResourceId> {
        self.on_plan.get(plan.key()).map(|sites| sites.iter().cloned().collect()).unwrap_or_default()
    }
}

pub(crate) fn is_site(id: &ResourceId) -> bool {
    matches!(id.kind(), ResourceKind::Site | ResourceKind::Slot)
}

/// Returns the plan that a site or slot says it runs on.
pub(crate) fn plan_of(site: &Resource) -> Option<ResourceId> {
    site.text("serverFarmId")?.parse().ok()
}
