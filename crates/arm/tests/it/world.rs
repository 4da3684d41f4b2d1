//! A small state around the functions under test: writes go in as they do in the service.

use std::{collections::BTreeMap, sync::Arc};

use pillion_arm::*;
use serde_json::{Value, json};

pub const SUB: &str = "aaaaaaaa-1111-2222-3333-444444444444";
pub const TENANT: &str = "11111111-2222-3333-4444-555555555555";

#[derive(Clone)]
pub struct World {
    pub all: BTreeMap<String, Arc<Resource>>,
    pub now: u64,
}

impl Surroundings for World {
    fn find(&self, id: &ResourceId) -> Option<Arc<Resource>> {
        self.all.get(id.key()).cloned()
    }
    fn below(&self, scope: &ResourceId, kind: &ResourceKind) -> Vec<Arc<Resource>> {
        self.all.values().filter(|one| one.id.within(scope) && one.id.kind() == *kind).cloned().collect()
    }
    fn site_named(&self, name: &str) -> Option<ResourceId> {
        let sites = self.all.values().filter(|one| one.id.kind() == ResourceKind::Site);
        sites.map(|one| one.id.clone()).find(|id| id.name().eq_ignore_ascii_case(name))
    }
    fn on_plan(&self, plan: &ResourceId) -> Vec<ResourceId> {
        let on = |one: &&Arc<Resource>| one.text("serverFarmId").is_some_and(|text| text.eq_ignore_ascii_case(plan.key()));
        self.all.values().filter(on).map(|one| one.id.clone()).collect()
    }
    fn now_ms(&self) -> u64 {
        self.now
    }
    fn tenant_id(&self) -> &str {
        TENANT
    }
    fn max_instances(&self) -> u32 {
        12
    }
}

impl World {
    pub fn empty() -> World {
        World { all: BTreeMap::new(), now: 1_767_323_045_678 }
    }

    /// A group, a plan and a site that runs site containers.
    pub fn with_site() -> World {
        let mut world = World::empty();
        world.put("", json!({ "location": "local" })).expect("a group");
        world.put("serverfarms/plan1", json!({ "location": "local", "sku": { "name": "P1V3" } })).expect("a plan");
        let site = json!({ "location": "local", "properties": {
            "serverFarmId": id("serverfarms/plan1").to_string(),
            "siteConfig": { "linuxFxVersion": "sitecontainers" },
        } });
        world.put("sites/Shop", site).expect("a site");
        world
    }

    pub fn write(&mut self, id: &ResourceId, body: Value, how: How) -> Result<Resource, ArmError> {
        let old = self.find(id);
        let accepted = accept(id, old.as_deref(), body, how, self)?;
        for resource in accepted.also.into_iter().chain([accepted.resource.clone()]) {
            self.all.insert(resource.id.key().to_owned(), Arc::new(resource));
        }
        Ok(accepted.resource)
    }

    pub fn put(&mut self, path: &str, body: Value) -> Result<Resource, ArmError> {
        self.write(&id(path), body, How::Put)
    }

    pub fn patch(&mut self, path: &str, body: Value) -> Result<Resource, ArmError> {
        self.write(&id(path), body, How::Patch)
    }

    pub fn container(&mut self, name: &str, properties: Value) -> Result<Resource, ArmError> {
        self.put(&format!("sites/shop/sitecontainers/{name}"), json!({ "properties": properties }))
    }

    pub fn at(&self, path: &str) -> Arc<Resource> {
        self.find(&id(path)).unwrap_or_else(|| panic!("{path} is stored"))
    }

    pub fn parts(&self, site: &str) -> SiteParts {
        let site = self.at(site);
        let document = |name| self.find(&site.id.config(name));
        let plan = site.text("serverFarmId").and_then(|id| self.find(&id.parse().expect("an id")));
        let containers = self.below(&site.id, &ResourceKind::SiteContainer);
        SiteParts {
            app: "shop".parse().expect("a name"),
            web: document(ConfigName::Web),
            settings: document(ConfigName::AppSettings),
            connections: document(ConfigName::ConnectionStrings),
            storage: document(ConfigName::AzureStorageAccounts),
            containers: containers.into_iter().filter(|one| one.id.parent().as_ref() == Some(&site.id)).collect(),
            plan,
            identities: self.below(&site.id.group_id().expect("a group"), &ResourceKind::UserIdentity),
            host_name: "shop.localhost:8080".to_owned(),
            max_instances: 12,
            site,
        }
    }
}

/// `""` is the group; anything else is below it, in `Microsoft.Web` unless it names another namespace.
pub fn id(path: &str) -> ResourceId {
    let group = format!("/subscriptions/{SUB}/resourceGroups/rg1");
    let text = match path {
        "" => group,
        path if path.starts_with("Microsoft.") => format!("{group}/providers/{path}"),
        path => format!("{group}/providers/Microsoft.Web/{path}"),
    };
    text.parse().expect("a resource id")
}

/// Status, code and field of a refusal.
pub fn refusal(result: Result<Resource, ArmError>) -> (u16, String, String) {
    let error = result.expect_err("it is refused");
    (error.status, error.code.into_owned(), error.target.unwrap_or_default())
}
