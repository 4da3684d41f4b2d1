//! [`Deployments`]: the service that the HTTP routes call.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use jiff::Timestamp;
use pillion_arm::{ArmError, ResourceId};
use pillion_arm_template::Surroundings;
use pillion_identity::{Access, Caller};
use pillion_store::{Store, StoreError};
use serde_json::{Value, json};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    compare, foresee, is_deployment_name, launch,
    live::Live,
    prepare,
    resources::Resources,
    settings::Settings,
    shapes,
    shelf::{Deed, Shelf},
    validate,
    worker::Benches,
};
use crate::{cloud, providers};

/// Template deployments; cheap to clone.
#[derive(Clone)]
pub struct Deployments {
    inner: Arc<Inner>,
}

/// A deployment that was accepted.
#[derive(Debug)]
pub struct Begun {
    /// False: it took the place of an earlier one of that name.
    pub created: bool,
    pub body: Value,
    /// The path at which its status is polled, such as `…/deployments/x/operationStatuses/1A2B`.
    pub status_path: String,
}

pub(crate) struct Inner {
    pub(crate) shelf: Shelf,
    pub(crate) resources: Arc<dyn Resources>,
    pub(crate) settings: Settings,
    pub(crate) benches: Benches,
    table: Mutex<HashMap<String, Arc<Live>>>,
    /// Held while a deployment takes a name.
    pub(crate) accepting: tokio::sync::Mutex<()>,
    /// The server goes away: runs stop where they are, and go on with the next one.
    pub(crate) stop: CancellationToken,
    pub(crate) tasks: TaskTracker,
}

impl Deployments {
    /// Reads what is stored, and goes on with what was under way.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn open(store: Store, resources: Arc<dyn Resources>, settings: Settings) -> Result<Deployments, StoreError> {
        let shelf = Shelf::new(store);
        let records = shelf.records().await?;
        let table = records
            .iter()
            .map(|record| (record.id.key().to_owned(), Arc::new(Live::new(record.clone(), CancellationToken::new()))));
        let inner = Arc::new(Inner {
            benches: Benches::new(settings.evaluate_within),
            table: Mutex::new(table.collect()),
            shelf,
            resources,
            settings,
            accepting: tokio::sync::Mutex::new(()),
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
        });
        launch::resume(&inner).await?;
        Ok(Deployments { inner })
    }

    /// Stops what is under way, to go on with the next start; returns when nothing runs any more.
    pub async fn close(&self) {
        self.inner.stop.cancel();
        self.inner.tasks.close();
        self.inner.tasks.wait().await;
    }

    /// Accepts a deployment and begins it.
    ///
    /// # Errors
    /// The request or its template is wrong, the caller may not, or a deployment of that name is under way.
    pub async fn begin(&self, caller: &Caller, scope: &ResourceId, name: &str, body: Vec<u8>) -> Result<Begun, ArmError> {
        let id = self.inner.named(caller, Access::Write, scope, name, "write")?;
        let prepared = prepare::request(&self.inner, caller, scope, name, body).await?;
        foresee::rehearse(&self.inner, caller, &prepared).await?;
        let (live, created) = launch::begin(&self.inner, caller, prepared).await?;
        let (body, run) = live.look(|record| (shapes::deployment(record), record.run.clone()));
        Ok(Begun { created, body, status_path: format!("{id}/operationStatuses/{run}") })
    }

    /// Says whether a deployment could begin, and with which resources.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub async fn validate(&self, caller: &Caller, scope: &ResourceId, name: &str, body: Vec<u8>) -> Result<Value, ArmError> {
        self.inner.named(caller, Access::Write, scope, name, "validate/action")?;
        let prepared = prepare::request(&self.inner, caller, scope, name, body).await?;
        validate::validate(&self.inner, caller, &prepared).await
    }

    /// Says what a deployment would change: what-if's answer.
    ///
    /// # Errors
    /// As [`Deployments::validate`].
    pub async fn what_if(&self, caller: &Caller, scope: &ResourceId, name: &str, body: Vec<u8>) -> Result<Value, ArmError> {
        self.inner.named(caller, Access::Write, scope, name, "whatIf/action")?;
        let prepared = prepare::request(&self.inner, caller, scope, name, body).await?;
        compare::what_if(&self.inner, caller, &prepared).await
    }

    /// Shows a deployment.
    ///
    /// # Errors
    /// 404 `DeploymentNotFound`.
    pub fn show(&self, caller: &Caller, scope: &ResourceId, name: &str) -> Result<Value, ArmError> {
        Ok(self.inner.seen(caller, scope, name)?.look(shapes::deployment))
    }

    /// Lists the deployments of a group or of the subscription, newest first.
    ///
    /// # Errors
    /// The caller may not.
    pub async fn list(&self, caller: &Caller, scope: &ResourceId) -> Result<Vec<Value>, ArmError> {
        self.inner.allowed(caller, Access::Read, scope, "read")?;
        prepare::surroundings_of_group(&self.inner, caller, scope).await?;
        let mut there = self.inner.at(scope);
        there.sort_by_key(|live| std::cmp::Reverse(live.look(|record| record.accepted_ms)));
        Ok(there.iter().map(|live| live.look(shapes::deployment)).collect())
    }

    /// Returns the template of a deployment: `{"template": …}`.
    ///
    /// # Errors
    /// 404 `DeploymentNotFound`.
    pub async fn export(&self, caller: &Caller, scope: &ResourceId, name: &str) -> Result<Value, ArmError> {
        self.inner.allowed(caller, Access::Write, scope, "exportTemplate/action")?;
        let live = self.inner.seen(caller, scope, name)?;
        let source = self.inner.shelf.source(live.look(|record| record.id.clone())).await.map_err(|error| lost(&error))?;
        let template = source.and_then(|source| serde_json::from_str::<Value>(&source.template).ok());
        Ok(json!({ "template": template.unwrap_or(Value::Null) }))
    }

    /// Lists what a deployment did, oldest first.
    ///
    /// # Errors
    /// 404 `DeploymentNotFound`.
    pub fn operations(&self, caller: &Caller, scope: &ResourceId, name: &str) -> Result<Vec<Value>, ArmError> {
        Ok(self.inner.seen(caller, scope, name)?.look(shapes::operations))
    }

    /// Shows one operation.
    ///
    /// # Errors
    /// 404 `DeploymentNotFound`, `DeploymentOperationNotFound`.
    pub fn operation(&self, caller: &Caller, scope: &ResourceId, name: &str, operation: &str) -> Result<Value, ArmError> {
        let live = self.inner.seen(caller, scope, name)?;
        let found = live.look(|record| {
            let one = record.operations.iter().find(|one| one.id.eq_ignore_ascii_case(operation))?;
            Some(shapes::operation(record, one))
        });
        let message = || format!("The operation '{operation}' of the deployment '{name}' could not be found.");
        found.ok_or_else(|| ArmError::new(404, "DeploymentOperationNotFound", message()))
    }

    /// Says how far a deployment is: `{"status": …}`.
    ///
    /// # Errors
    /// 404 `DeploymentNotFound`; also where another run has taken the name since.
    pub fn status(&self, caller: &Caller, scope: &ResourceId, name: &str, run: &str) -> Result<Value, ArmError> {
        let live = self.inner.seen(caller, scope, name)?;
        let found = live.look(|record| record.run.eq_ignore_ascii_case(run).then(|| shapes::status(record)));
        found.ok_or_else(|| not_found(name))
    }

    /// Asks a deployment to stop: what is being written is finished, the rest is left.
    ///
    /// # Errors
    /// 409 where it is over already.
    pub async fn cancel(&self, caller: &Caller, scope: &ResourceId, name: &str) -> Result<(), ArmError> {
        self.inner.named(caller, Access::Write, scope, name, "cancel/action")?;
        let live = self.inner.seen(caller, scope, name)?;
        let asked = live.change(|record| {
            let can = !record.state.is_over();
            record.cancel_asked |= can;
            can.then(|| record.clone())
        });
        let Some(record) = asked else {
            let message = format!("The deployment '{name}' cannot be canceled: it is over.");
            return Err(ArmError::new(409, "DeploymentCannotBeCancelled", message));
        };
        let deed = Deed { caller, action: "cancel/action", id: &record.id, status: 204, correlation: &record.correlation };
        self.inner.shelf.cancel(&record, deed).await.map_err(|error| lost(&error))?;
        live.cancel.cancel();
        Ok(())
    }

    /// Forgets a deployment; what it deployed stays. Returns false where there was none.
    ///
    /// # Errors
    /// 409 while it is under way.
    pub async fn delete(&self, caller: &Caller, scope: &ResourceId, name: &str) -> Result<bool, ArmError> {
        let id = self.inner.named(caller, Access::Delete, scope, name, "delete")?;
        let _accepting = self.inner.accepting.lock().await;
        let Some(live) = self.inner.find(&id) else { return Ok(false) };
        if !live.look(|record| record.state.is_over()) {
            return Err(active(&id));
        }
        let correlation = live.look(|record| record.correlation.clone());
        let deed = Deed { caller, action: "delete", id: &id, status: 204, correlation: &correlation };
        self.inner.forget(vec![id.clone()], Some(deed)).await?;
        Ok(true)
    }

    /// Forgets the deployments to a group whose documents went with it; those under way are canceled.
    pub(crate) fn group_is_gone(&self, group: &ResourceId) {
        let mut table = self.inner.table();
        table.retain(|_, live| {
            let gone = live.look(|record| record.id.within(group));
            if gone {
                live.cancel.cancel();
            }
            !gone
        });
    }

    /// Forgets all deployments to a scope that is going away; those under way are canceled.
    ///
    /// # Errors
    /// The store cannot do it.
    pub async fn forget_scope(&self, scope: &ResourceId) -> Result<(), ArmError> {
        let _accepting = self.inner.accepting.lock().await;
        let there = self.inner.at(scope);
        for live in &there {
            live.cancel.cancel();
        }
        self.inner.forget(there.iter().map(|live| live.look(|record| record.id.clone())).collect(), None).await
    }
}

impl Inner {
    /// What every deployment has around it.
    pub(crate) fn surroundings(&self) -> Surroundings {
        let settings = &self.settings;
        let mut surroundings = Surroundings::of_subscription(&settings.subscription, "", "", Timestamp::now());
        let tenant = settings.tenant.as_str();
        surroundings.tenant =
            json!({ "countryCode": "", "displayName": "pillion", "id": format!("/tenants/{tenant}"), "tenantId": tenant });
        surroundings.subscription = Some(json!({
            "id": format!("/subscriptions/{}", settings.subscription),
            "subscriptionId": settings.subscription,
            "tenantId": tenant,
            "displayName": "pillion",
        }));
        surroundings.environment = cloud::environment(settings.endpoint.trim_end_matches('/'));
        let known = providers::all(&ResourceId::subscription(&settings.subscription)).into_iter();
        surroundings.providers =
            known.filter_map(|provider| Some((provider["namespace"].as_str()?.to_owned(), provider))).collect();
        surroundings
    }

    pub(crate) fn allowed(&self, caller: &Caller, access: Access, scope: &ResourceId, action: &str) -> Result<(), ArmError> {
        if caller.may(access, scope.key()) {
            return Ok(());
        }
        let message = format!(
            "The client '{}' with object id '{}' does not have authorization to perform action \
             'Microsoft.Resources/deployments/{action}' over scope '{scope}' or the scope is invalid.",
            caller.display_name, caller.principal
        );
        Err(ArmError::new(403, "AuthorizationFailed", message))
    }

    /// Checks a name and the right to do something with it; returns the id.
    fn named(
        &self,
        caller: &Caller,
        access: Access,
        scope: &ResourceId,
        name: &str,
        action: &str,
    ) -> Result<ResourceId, ArmError> {
        self.allowed(caller, access, scope, action)?;
        if !is_deployment_name(name) {
            let message = format!(
                "The deployment name '{name}' is invalid. It has 1 to 64 letters, digits, '-', '_', '.', '(' and ')', and does not end with '.'."
            );
            return Err(ArmError::new(400, "InvalidDeploymentName", message));
        }
        Ok(scope.resource("Microsoft.Resources", "deployments", name))
    }

    fn seen(&self, caller: &Caller, scope: &ResourceId, name: &str) -> Result<Arc<Live>, ArmError> {
        self.allowed(caller, Access::Read, scope, "read")?;
        self.find(&scope.resource("Microsoft.Resources", "deployments", name)).ok_or_else(|| not_found(name))
    }

    pub(crate) fn find(&self, id: &ResourceId) -> Option<Arc<Live>> {
        self.table().get(id.key()).cloned()
    }

    /// The deployments made to this very scope.
    pub(crate) fn at(&self, scope: &ResourceId) -> Vec<Arc<Live>> {
        self.table().values().filter(|live| live.look(|record| record.scope == *scope)).cloned().collect()
    }

    /// The records of the deployments nested directly in another.
    pub(crate) fn nested_in(&self, parent: &ResourceId) -> Vec<super::record::Record> {
        let all: Vec<Arc<Live>> = self.table().values().cloned().collect();
        all.iter().map(|live| live.record()).filter(|record| record.parent.as_ref() == Some(parent)).collect()
    }

    pub(crate) fn table(&self) -> MutexGuard<'_, HashMap<String, Arc<Live>>> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Removes deployments from the store and from memory.
    pub(crate) async fn forget(&self, ids: Vec<ResourceId>, deed: Option<Deed<'_>>) -> Result<(), ArmError> {
        self.shelf.remove(&ids, deed).await.map_err(|error| lost(&error))?;
        let mut table = self.table();
        for id in &ids {
            table.remove(id.key());
        }
        Ok(())
    }

    /// Stores what has changed of these deployments.
    pub(crate) async fn save(&self, lives: &[Arc<Live>]) -> Result<(), StoreError> {
        let records: Vec<_> = lives.iter().filter_map(|live| live.unsaved()).collect();
        if records.is_empty() { Ok(()) } else { self.shelf.save(records).await }
    }

    /// Makes room for one more deployment to a scope: the oldest that are over go.
    pub(crate) async fn prune(&self, scope: &ResourceId) -> Result<(), ArmError> {
        let mut over: Vec<(u64, ResourceId)> = self
            .at(scope)
            .iter()
            .filter_map(|live| live.look(|record| record.state.is_over().then(|| (record.accepted_ms, record.id.clone()))))
            .collect();
        let many = over.len().saturating_sub(self.settings.kept);
        if many == 0 {
            return Ok(());
        }
        over.sort();
        self.forget(over.into_iter().take(many).map(|(_, id)| id).collect(), None).await
    }
}

pub(crate) fn lost(error: &StoreError) -> ArmError {
    tracing::error!(error = error as &dyn std::error::Error, "deployments cannot be stored");
    ArmError::new(500, "InternalServerError", "The server cannot store the deployment.")
}

pub(crate) fn active(id: &ResourceId) -> ArmError {
    let message = format!(
        "The deployment with resource id '{id}' cannot be saved, because this would overwrite an existing deployment which is still active."
    );
    ArmError::new(409, "DeploymentActive", message)
}

fn not_found(name: &str) -> ArmError {
    ArmError::new(404, "DeploymentNotFound", format!("Deployment '{name}' could not be found."))
}
