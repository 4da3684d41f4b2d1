//! Deleting a resource and what lies below it: documents first, in one batch with the marks that make the apps follow.

use std::time::Duration;

use pillion_arm::{ArmError, ResourceId, ResourceKind, deletable};
use pillion_identity::{Access, Caller};
use pillion_store::{Batch, Kind};

use crate::{
    Azure, Operation, OperationId, Task,
    index::{is_site, plan_of},
    service::allow,
    write::expected,
};

/// How long the answer to a deletion waits for what runs to end; it goes on after that.
const GONE_WITHIN: Duration = Duration::from_secs(100);

/// How to delete.
#[derive(Debug, Clone, Default)]
pub struct Removal {
    pub if_match: Option<String>,
    /// Keep a plan whose last site this was.
    pub keep_empty_plan: bool,
}

/// What a deletion did.
#[derive(Debug, Clone, Default)]
pub struct Deleted {
    pub existed: bool,
    /// Set where it goes on after the answer.
    pub operation: Option<OperationId>,
}

impl Azure {
    /// Deletes a resource and everything below it; a site with its app, a group with everything in it (as an operation).
    ///
    /// # Errors
    /// 403, 409 (something stands in the way), 412. What is not there is no error.
    pub async fn delete(&self, caller: &Caller, id: &ResourceId, how: &Removal) -> Result<Deleted, ArmError> {
        allow(caller, Access::Delete, id)?;
        self.known_subscription(id)?;
        self.writable(id)?;
        if id.kind() == ResourceKind::Group {
            return self.delete_group(caller, id, how).await;
        }
        let sites = {
            let _one_at_a_time = self.shared.writing.lock().await;
            let found = self.index().get(id).cloned();
            expected(how.if_match.as_deref(), found.as_ref().map(|entry| entry.etag), false)?;
            self.around(|around| deletable(id, around))?;
            let Some(found) = found else { return Ok(Deleted::default()) };
            self.remove(caller, &found.resource.id, !how.keep_empty_plan).await?
        };
        self.await_gone(&sites).await;
        Ok(Deleted { existed: true, operation: None })
    }

    /// Removes documents; the caller holds the lock. Returns the sites that are gone, whose apps are to go, too.
    async fn remove(&self, caller: &Caller, id: &ResourceId, empty_plan_too: bool) -> Result<Vec<ResourceId>, ArmError> {
        let (sites, also) = {
            let index = self.index();
            let sites: Vec<ResourceId> = index.within(id).map(|entry| entry.resource.id.clone()).filter(is_site).collect();
            let plan = index.get(id).filter(|_| is_site(id)).and_then(|entry| plan_of(&entry.resource));
            let emptied = plan.filter(|plan| {
                empty_plan_too
                    && index.get(plan).is_some()
                    && caller.may(Access::Delete, plan.key())
                    && index.on_plan(plan).iter().all(|site| site.within(id))
            });
            (sites, emptied)
        };
        let mut batch = Batch::new().delete_under(Kind::Resource, id.key());
        // A container or a setting that goes changes its site's app; a site that goes takes its app along.
        let touched: Vec<ResourceId> = if is_site(id) { Vec::new() } else { id.site_or_slot().into_iter().collect() };
        let mut news = Vec::new();
        for site in &sites {
            if self.forgetting(site) {
                news.push(site);
            }
            batch = self.mark(batch, site);
        }
        for site in &touched {
            batch = self.mark(batch, site);
        }
        let action = format!("{}/delete", id.type_name());
        batch = batch.audit(self.audit(caller, &action, id, 200, &format!("{} was deleted", id.full_name())));
        if let Some(plan) = &also {
            let detail = format!("{} was deleted with its last site", plan.full_name());
            batch = batch.delete_under(Kind::Resource, plan.key()).audit(self.audit(
                caller,
                "Microsoft.Web/serverfarms/delete",
                plan,
                200,
                &detail,
            ));
        }
        if let Err(wrong) = self.commit(batch).await {
            news.into_iter().for_each(|site| self.keep(site));
            return Err(wrong);
        }
        {
            let mut index = self.index_mut();
            index.remove_under(id);
            if let Some(plan) = &also {
                index.remove_under(plan);
            }
        }
        for site in &sites {
            self.wake_now(site);
        }
        for site in &touched {
            self.wake(site);
        }
        Ok(sites)
    }

    async fn await_gone(&self, sites: &[ResourceId]) {
        let all = futures::future::join_all(sites.iter().map(|site| self.settled(site)));
        if tokio::time::timeout(GONE_WITHIN, all).await.is_err() {
            tracing::warn!("a deleted site's app is still ending; it goes on");
        }
    }

    async fn delete_group(&self, caller: &Caller, group: &ResourceId, how: &Removal) -> Result<Deleted, ArmError> {
        let _one_at_a_time = self.shared.writing.lock().await;
        let found = self.index().get(group).cloned();
        expected(how.if_match.as_deref(), found.as_ref().map(|entry| entry.etag), false)?;
        let Some(found) = found else { return Err(ArmError::group_not_found(group.name())) };
        let group = found.resource.id.clone();
        let audit =
            self.audit(caller, "Microsoft.Resources/subscriptions/resourceGroups/delete", &group, 202, "deletion was asked for");
        let (operation, _) = self.begin(caller, Task::DeleteGroup { group }, Batch::new().audit(audit)).await?;
        Ok(Deleted { existed: true, operation: Some(operation) })
    }

    /// Sites and their apps go first, then plans, then the rest, the group last. What is gone already is not looked for, so a
    /// crash in the middle only makes it begin where it was.
    pub(crate) async fn delete_group_contents(&self, operation: &Operation, group: &ResourceId) -> Result<(), ArmError> {
        let caller = operation.caller();
        loop {
            let next = {
                let index = self.index();
                index.of_kind(group, &ResourceKind::Site).next().map(|entry| entry.resource.id.clone())
            };
            let Some(site) = next else { break };
            let sites = {
                let _one_at_a_time = self.shared.writing.lock().await;
                self.remove(&caller, &site, false).await?
            };
            self.await_gone(&sites).await;
        }
        // Sites whose documents were gone before a crash may still have their apps.
        self.await_marked_gone(group).await?;
        let _one_at_a_time = self.shared.writing.lock().await;
        let detail = format!("{} was deleted with everything in it", group.name());
        let action = "Microsoft.Resources/subscriptions/resourceGroups/delete";
        let batch = Batch::new()
            .delete_under(Kind::Deployment, group.key())
            .delete_under(Kind::DeploymentSource, group.key())
            .delete_under(Kind::Resource, group.key())
            .audit(self.audit(&caller, action, group, 200, &detail));
        self.commit(batch).await?;
        self.index_mut().remove_under(group);
        self.group_is_gone(group);
        Ok(())
    }
}
