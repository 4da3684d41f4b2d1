//! What validation looks up: the index of one moment, and the names of apps that no site has.

use std::sync::Arc;

use pillion_arm::{Resource, ResourceId, ResourceKind, Surroundings};
use pillion_model::AppName;

use crate::{Settings, index::Index, service::wall_ms};

pub(crate) struct Around<'a> {
    pub(crate) index: &'a Index,
    pub(crate) settings: &'a Settings,
    /// Apps that app files made.
    pub(crate) native: &'a std::collections::BTreeSet<AppName>,
}

impl Surroundings for Around<'_> {
    fn find(&self, id: &ResourceId) -> Option<Arc<Resource>> {
        self.index.get(id).map(|entry| entry.resource.clone())
    }

    fn below(&self, scope: &ResourceId, kind: &ResourceKind) -> Vec<Arc<Resource>> {
        self.index.of_kind(scope, kind).map(|entry| entry.resource.clone()).collect()
    }

    fn site_named(&self, name: &str) -> Option<ResourceId> {
        let name: AppName = name.to_ascii_lowercase().parse().ok()?;
        if let Some(found) = self.index.by_public_name(&name) {
            return Some(found.clone());
        }
        let native = || ResourceId::site(&self.settings.subscription, crate::service::NATIVE_GROUP, name.as_str());
        self.native.contains(&name).then(native)
    }

    fn on_plan(&self, plan: &ResourceId) -> Vec<ResourceId> {
        self.index.on_plan(plan)
    }

    fn now_ms(&self) -> u64 {
        wall_ms()
    }

    fn tenant_id(&self) -> &str {
        &self.settings.tenant
    }

    fn max_instances(&self) -> u32 {
        self.settings.max_instances
    }
}
