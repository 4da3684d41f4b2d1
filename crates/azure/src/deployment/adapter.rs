//! [`Resources`] on the real service: writes through [`Azure`], with the sites held back until their deployment lets go.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use pillion_arm::{Accepted, ArmError, How, Resource, ResourceId, ResourceKind, Surroundings, accept, initial};
use pillion_identity::{Access, Caller, Identity};
use pillion_store::Store;
use serde_json::{Value, json};

use super::{Deployments, Foretold, Put, Resources, Settings};
use crate::{
    Azure, Hold, Removal,
    around::Around,
    correlated,
    index::{is_site, plan_of},
    service::allow,
};

/// How long a deployment waits for the apps of its sites to be asked for. They follow all the same.
const SETTLED_WITHIN: Duration = Duration::from_secs(30);

/// Writes for deployments.
struct Writer {
    azure: Azure,
    identity: Identity,
    /// By deployment, the sites that it holds back.
    holds: Mutex<HashMap<String, BTreeMap<ResourceId, Hold>>>,
}

impl Deployments {
    /// Opens the deployments over the real service. Both end together; deployments are closed first.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn over(azure: &Azure, identity: Identity, settings: Settings) -> Result<Deployments, pillion_store::StoreError> {
        let store: Store = azure.shared.store.clone();
        let writer = Writer { azure: azure.clone(), identity, holds: Mutex::default() };
        let deployments = Deployments::open(store, Arc::new(writer), settings).await?;
        let watching = deployments.clone();
        azure.when_group_goes(move |group| watching.group_is_gone(group));
        Ok(deployments)
    }
}

impl Writer {
    fn holds(&self) -> MutexGuard<'_, HashMap<String, BTreeMap<ResourceId, Hold>>> {
        self.holds.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Holds back the sites that a write of this resource touches.
    fn hold(&self, id: &ResourceId, holder: &str) {
        let touched = match id.kind() {
            ResourceKind::Plan => self.azure.index().on_plan(id),
            ResourceKind::Site | ResourceKind::Slot | ResourceKind::SiteConfig(_) | ResourceKind::SiteContainer => {
                id.site_or_slot().into_iter().collect()
            }
            ResourceKind::Subscription
            | ResourceKind::Group
            | ResourceKind::PublishingPolicy
            | ResourceKind::UserIdentity
            | ResourceKind::Autoscale
            | ResourceKind::Deployment
            | ResourceKind::Unknown(_) => Vec::new(),
        };
        let mut holds = self.holds();
        let mine = holds.entry(holder.to_owned()).or_default();
        for site in touched {
            if !mine.contains_key(&site)
                && let Some(hold) = self.azure.hold(&site)
            {
                mine.insert(site, hold);
            }
        }
    }

    fn foretell_one(
        &self,
        caller: &Caller,
        id: &ResourceId,
        body: Value,
        overlay: &mut Overlay<'_>,
    ) -> Result<Foretold, ArmError> {
        allow(caller, Access::Write, id)?;
        self.azure.known_subscription(id)?;
        self.azure.writable(id)?;
        let old = overlay.find(id);
        let own = old.as_ref().map_or_else(|| id.clone(), |old| old.id.clone());
        let Accepted { resource, also } = accept(&own, old.as_deref(), body, How::Put, overlay)?;
        let also = also.into_iter().map(|one| overlay.takes(one)).collect();
        Ok(Foretold { also, ..overlay.takes(resource) })
    }
}

#[async_trait]
impl Resources for Writer {
    async fn get(&self, caller: &Caller, id: &ResourceId) -> Result<Value, ArmError> {
        self.azure.get(caller, id).await.map(|(body, _)| body)
    }

    async fn put(&self, caller: &Caller, id: &ResourceId, body: Value, holder: &str) -> Result<Put, ArmError> {
        self.hold(id, holder);
        let written = correlated(holder.to_owned(), self.azure.put(caller, id, body, None)).await?;
        Ok(Put { created: written.created, body: written.body })
    }

    fn keep_back(&self, id: &ResourceId, holder: &str) {
        self.hold(id, holder);
    }

    async fn release(&self, holder: &str) {
        let Some(held) = self.holds().remove(holder) else { return };
        let sites: Vec<ResourceId> = held.keys().cloned().collect();
        drop(held);
        let all = futures::future::join_all(sites.iter().map(|site| self.azure.settled(site)));
        if tokio::time::timeout(SETTLED_WITHIN, all).await.is_err() {
            tracing::warn!(deployment = holder, "the apps of a deployment's sites are still to follow");
        }
    }

    async fn foretell(&self, caller: &Caller, writes: Vec<(ResourceId, Value)>) -> Vec<Result<Foretold, ArmError>> {
        self.azure.around(|around| {
            let mut overlay = Overlay { around, new: BTreeMap::new() };
            writes.into_iter().map(|(id, body)| self.foretell_one(caller, &id, body, &mut overlay)).collect()
        })
    }

    async fn delete(&self, caller: &Caller, id: &ResourceId) -> Result<(), ArmError> {
        let how = Removal { keep_empty_plan: true, ..Removal::default() };
        self.azure.delete(caller, id, &how).await.map(drop)
    }

    async fn within(&self, caller: &Caller, group: &ResourceId) -> Result<Vec<ResourceId>, ArmError> {
        let all = self.azure.resources(caller, group, "").await?;
        Ok(all.iter().filter_map(|one| one["id"].as_str()?.parse().ok()).collect())
    }

    async fn act(&self, caller: &Caller, id: &ResourceId, verb: &str, _body: Option<Value>) -> Result<Value, ArmError> {
        let wants_list = verb.eq_ignore_ascii_case("list");
        let publishing = id.name().eq_ignore_ascii_case("publishingcredentials");
        match (id.kind(), id.parent()) {
            (ResourceKind::SiteConfig(name), _) if wants_list && name.listed() => self.azure.list_values(caller, id).await,
            (_, Some(site)) if wants_list && publishing && is_site(&site) => {
                self.azure.publishing_credentials(caller, &self.identity, &site)
            }
            // There is none of a type that is not here.
            (ResourceKind::Unknown(_), _) => Err(ArmError::not_found(id)),
            (_, _) => {
                let message =
                    format!("The resource type '{}' has no operation '{verb}' that a template can use.", id.type_name());
                Err(ArmError::new(404, "OperationNotFound", message))
            }
        }
    }
}

/// The resources as they would be after some writes.
struct Overlay<'a> {
    around: &'a Around<'a>,
    new: BTreeMap<ResourceId, Arc<Resource>>,
}

impl Overlay<'_> {
    /// Adds a write; says what it changes.
    fn takes(&mut self, after: Resource) -> Foretold {
        let id = after.id.clone();
        // A document may be written twice, by its site and by itself: what is stored now is what both change.
        let before = self.around.find(&id).or_else(|| self.unwritten(&id));
        let foretold =
            Foretold { id: id.clone(), before: before.as_deref().map(document), after: document(&after), also: Vec::new() };
        self.new.insert(id, Arc::new(after));
        foretold
    }

    /// Documents that every site has, before anybody wrote them; none of a site that is yet to come.
    fn unwritten(&self, id: &ResourceId) -> Option<Arc<Resource>> {
        self.around.find(&id.site_or_slot()?)?;
        initial(id).map(Arc::new)
    }
}

impl Surroundings for Overlay<'_> {
    fn find(&self, id: &ResourceId) -> Option<Arc<Resource>> {
        self.new.get(id).cloned().or_else(|| self.around.find(id))
    }

    fn below(&self, scope: &ResourceId, kind: &ResourceKind) -> Vec<Arc<Resource>> {
        let mut all = self.around.below(scope, kind);
        all.retain(|one| !self.new.contains_key(&one.id));
        all.extend(self.new.values().filter(|one| one.id.within(scope) && one.id.kind() == *kind).cloned());
        all
    }

    fn site_named(&self, name: &str) -> Option<ResourceId> {
        let new = || self.new.keys().find(|id| id.kind() == ResourceKind::Site && id.name().eq_ignore_ascii_case(name)).cloned();
        self.around.site_named(name).or_else(new)
    }

    fn on_plan(&self, plan: &ResourceId) -> Vec<ResourceId> {
        let mut all: Vec<ResourceId> = self.around.on_plan(plan);
        all.retain(|site| !self.new.contains_key(site));
        all.extend(
            self.new.values().filter(|one| is_site(&one.id) && plan_of(one).as_ref() == Some(plan)).map(|one| one.id.clone()),
        );
        all
    }

    fn now_ms(&self) -> u64 {
        self.around.now_ms()
    }

    fn tenant_id(&self) -> &str {
        self.around.tenant_id()
    }

    fn max_instances(&self) -> u32 {
        self.around.max_instances()
    }
}

/// What is compared: the document without its times.
fn document(resource: &Resource) -> Value {
    let mut shown = json!({
        "id": resource.id.to_string(),
        "name": resource.id.full_name(),
        "type": resource.id.type_name(),
        "location": resource.location,
        "tags": resource.tags,
        "kind": resource.kind,
        "sku": resource.sku,
        "identity": resource.identity,
        "properties": resource.properties,
    });
    if let Some(members) = shown.as_object_mut() {
        members.retain(|_, value| !value.is_null());
    }
    shown
}
