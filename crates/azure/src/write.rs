//! Writing a resource: one batch holds its documents, the marks of the sites that must follow, and who did it.

use std::sync::Arc;

use pillion_arm::{Accepted, ArmError, How, Resource, ResourceId, ResourceKind, accept, initial};
use pillion_identity::{Access, Caller};
use pillion_store::{Batch, Etag, Expect, Kind};
use serde_json::Value;

use crate::{
    Azure, Written,
    index::{Index, is_site},
    names::public_name,
    service::{NATIVE_GROUP, allow, refusal},
    site::is_stopped,
};

impl Azure {
    /// Creates or replaces a resource.
    ///
    /// # Errors
    /// 400 with the field named, 403, 404 (a parent is missing), 409, 412 (`if_match` names another etag).
    pub async fn put(&self, caller: &Caller, id: &ResourceId, body: Value, if_match: Option<&str>) -> Result<Written, ArmError> {
        self.write(caller, id, body, How::Put, if_match).await
    }

    /// Changes what the body names of a resource.
    ///
    /// # Errors
    /// As [`Azure::put`], and 404 where there is no such resource.
    pub async fn patch(
        &self,
        caller: &Caller,
        id: &ResourceId,
        body: Value,
        if_match: Option<&str>,
    ) -> Result<Written, ArmError> {
        self.write(caller, id, body, How::Patch, if_match).await
    }

    async fn write(
        &self,
        caller: &Caller,
        id: &ResourceId,
        body: Value,
        how: How,
        if_match: Option<&str>,
    ) -> Result<Written, ArmError> {
        allow(caller, Access::Write, id)?;
        self.known_subscription(id)?;
        self.writable(id)?;
        let _one_at_a_time = self.shared.writing.lock().await;
        let old = self.index().get(id).cloned();
        expected(if_match, old.as_ref().map(|entry| entry.etag), initial(id).is_some())?;
        self.not_being_deleted(id)?;
        // The id keeps the spelling it was created with.
        let own = old.as_ref().map_or_else(|| self.as_created(id), |entry| entry.resource.id.clone());
        let Accepted { resource, also } =
            self.around(|around| accept(&own, old.as_ref().map(|entry| entry.resource.as_ref()), body, how, around))?;
        let created = old.is_none();
        if created && is_site(&own) {
            self.name_is_free(&own).await?;
            self.keep_port(&own).await?;
        }
        let mut batch = Batch::new();
        let documents: Vec<Arc<Resource>> = also.into_iter().chain([resource]).map(Arc::new).collect();
        for document in &documents {
            let before = self.index().get(&document.id).map_or(Expect::Absent, |entry| Expect::Version(entry.etag));
            batch = batch.put(Kind::Resource, document.id.key(), document.as_ref(), before);
        }
        let mut marked = documents.iter().flat_map(|document| touched(&self.index(), document)).collect::<Vec<_>>();
        let mut wished = None;
        if let (Some(old), Some(new)) = (&old, documents.last())
            && is_site(&own)
            && is_stopped(&old.resource) != is_stopped(new)
        {
            wished = Some(self.wish(&own, !is_stopped(new)));
        }
        marked.sort();
        marked.dedup();
        for site in &marked {
            batch = self.mark(batch, site);
        }
        let status = if created { 201 } else { 200 };
        let action = format!("{}/write", own.type_name());
        batch = batch.audit(self.audit(caller, &action, &own, status, &format!("{} was written", own.full_name())));
        // The mark of each site is a document, too: the etags wanted are the first ones.
        let etags = self.commit(batch).await.inspect_err(|_| {
            if let Some(before) = wished {
                self.wish_again(&own, before);
            }
        })?;
        {
            let mut index = self.index_mut();
            for (document, etag) in documents.iter().zip(&etags) {
                index.insert(document.clone(), *etag);
            }
        }
        for site in marked {
            self.wake(&site);
        }
        let etag = etags.get(documents.len() - 1).copied().ok_or_else(|| ArmError::conflict("The write was not recorded."))?;
        let body = self.show(&own, pillion_arm::Secrets::Shown).ok_or_else(|| ArmError::not_found(&own))?;
        Ok(Written { created, body, etag, operation: None })
    }

    /// There is one subscription.
    pub(crate) fn known_subscription(&self, id: &ResourceId) -> Result<(), ArmError> {
        let own = &self.shared.settings.subscription;
        match id.subscription_name() {
            Some(given) if given.eq_ignore_ascii_case(own) => Ok(()),
            Some(given) => {
                Err(ArmError::new(404, "SubscriptionNotFound", format!("The subscription '{given}' could not be found.")))
            }
            None => Err(ArmError::new(404, "InvalidResourceId", format!("'{id}' names no subscription."))),
        }
    }

    /// What app files made is changed by app files.
    pub(crate) fn writable(&self, id: &ResourceId) -> Result<(), ArmError> {
        if !self.is_native(id) {
            return Ok(());
        }
        let what =
            id.production().map_or_else(|| format!("Resource group '{NATIVE_GROUP}'"), |site| format!("App '{}'", site.name()));
        let message = format!(
            "{what} is managed by app files, not by ARM: change the file and run `pillion apply`, or create the app in another resource group."
        );
        Err(ArmError::new(409, "ManagedByAppFile", message))
    }

    fn not_being_deleted(&self, id: &ResourceId) -> Result<(), ArmError> {
        let Some(group) = id.group_id() else { return Ok(()) };
        if !self.shared.operations.deleting(&group) {
            return Ok(());
        }
        let message =
            format!("The resource group '{}' is in deprovisioning state and cannot perform this operation.", group.name());
        Err(ArmError::new(409, "ResourceGroupBeingDeleted", message))
    }

    /// Gives an id in which what exists above keeps its spelling.
    fn as_created(&self, id: &ResourceId) -> ResourceId {
        let Some(parent) = id.site_or_slot().filter(|site| site != id).or_else(|| id.production().filter(|site| site != id))
        else {
            return self.in_group_as_created(id);
        };
        let index = self.index();
        let Some(known) = index.get(&parent) else { return self.in_group_as_created(id) };
        let rest = id.to_string();
        let tail = rest.get(parent.key().len()..).unwrap_or_default();
        format!("{}{tail}", known.resource.id).parse().unwrap_or_else(|_| id.clone())
    }

    fn in_group_as_created(&self, id: &ResourceId) -> ResourceId {
        let Some(group) = id.group_id().filter(|group| group != id) else { return id.clone() };
        let index = self.index();
        let Some(known) = index.get(&group) else { return id.clone() };
        let rest = id.to_string();
        let tail = rest.get(group.key().len()..).unwrap_or_default();
        format!("{}{tail}", known.resource.id).parse().unwrap_or_else(|_| id.clone())
    }

    /// Public names are the machine's: `a--b` may be a site as well as a slot, but only one of them.
    async fn name_is_free(&self, site: &ResourceId) -> Result<(), ArmError> {
        let Some(name) = public_name(site) else {
            return Err(ArmError::bad_request("name", format!("'{}' cannot be the name of an app.", site.full_name())));
        };
        let taken = self.index().by_public_name(&name).is_some_and(|other| other != site);
        let of_file = self.shared.control.is_of_file(&name).await.map_err(|wrong| refusal(&wrong))?;
        if taken || of_file {
            return Err(ArmError::conflict(format!("Website with given name {name} already exists.")));
        }
        Ok(())
    }

    async fn keep_port(&self, site: &ResourceId) -> Result<(), ArmError> {
        let Some(name) = public_name(site) else { return Ok(()) };
        let port = self.shared.control.reserve_port(&name).await.map_err(|wrong| refusal(&wrong))?;
        self.ports_mut().insert(name, port);
        Ok(())
    }
}

/// `If-Match`: `*` is any version of what exists; else the etag of the one that was read.
pub(crate) fn expected(if_match: Option<&str>, found: Option<Etag>, always_there: bool) -> Result<(), ArmError> {
    let Some(wanted) = if_match.map(str::trim).filter(|wanted| !wanted.is_empty()) else { return Ok(()) };
    let met = match (wanted, found) {
        ("*", Some(_)) => true,
        ("*", None) => always_there,
        (wanted, Some(found)) => {
            wanted.split(',').any(|one| one.trim().trim_start_matches("W/").parse::<Etag>().is_ok_and(|one| one == found))
        }
        (wanted, None) => always_there && wanted.trim_matches('"') == "0",
    };
    if met {
        return Ok(());
    }
    let message = "The resource was changed since the etag in If-Match was read. Read it again and repeat the change.";
    Err(ArmError::new(412, "PreconditionFailed", message))
}

/// Gives the sites whose apps may look different after this document was written.
fn touched(index: &Index, document: &Resource) -> Vec<ResourceId> {
    match document.id.kind() {
        ResourceKind::Plan => index.on_plan(&document.id),
        ResourceKind::Site | ResourceKind::Slot | ResourceKind::SiteConfig(_) | ResourceKind::SiteContainer => {
            document.id.site_or_slot().into_iter().collect()
        }
        ResourceKind::Subscription
        | ResourceKind::Group
        | ResourceKind::PublishingPolicy
        | ResourceKind::UserIdentity
        | ResourceKind::Autoscale
        | ResourceKind::Deployment
        | ResourceKind::Unknown(_) => Vec::new(),
    }
}
