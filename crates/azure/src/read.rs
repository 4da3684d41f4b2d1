//! Reading resources: one, or a list of those that the caller may see.

use pillion_arm::{ArmError, ConfigName, ResourceId, ResourceKind, Secrets};
use pillion_identity::{Access, Caller};
use pillion_store::Etag;
use serde_json::Value;

use crate::{Azure, service::allow, site::States};

impl Azure {
    /// Gives a resource as GET shows it, with its etag (none where nobody has written it yet).
    ///
    /// # Errors
    /// 403, 404, and 405 for documents that only POST `…/list` shows.
    pub async fn get(&self, caller: &Caller, id: &ResourceId) -> Result<(Value, Option<Etag>), ArmError> {
        allow_or_below(caller, id)?;
        self.known_subscription(id)?;
        if let ResourceKind::SiteConfig(name) = id.kind()
            && name.listed()
        {
            return Err(ArmError::new(
                405,
                "MethodNotAllowed",
                "The values are secrets: POST to this path with /list shows them.",
            ));
        }
        if self.is_native(id) {
            return self.native_get(id).await.map(|body| (body, None));
        }
        self.stored(id, Secrets::Hidden)
    }

    /// Gives a config document with its values.
    ///
    /// # Errors
    /// 403, 404.
    pub async fn list_values(&self, caller: &Caller, id: &ResourceId) -> Result<Value, ArmError> {
        self.values(caller, id).await.map(|(body, _)| body)
    }

    /// Gives a config document with its values, and its etag (none where nobody has written it yet).
    ///
    /// # Errors
    /// 403, 404.
    pub async fn values(&self, caller: &Caller, id: &ResourceId) -> Result<(Value, Option<Etag>), ArmError> {
        allow(caller, Access::Write, id)?;
        self.known_subscription(id)?;
        if self.is_native(id) {
            return self.native_get(id).await.map(|body| (body, None));
        }
        self.stored(id, Secrets::Shown)
    }

    /// Lists the resources of a kind at or below `scope` that the caller may see; children of a site only directly.
    ///
    /// # Errors
    /// 403; 404 where `scope` is not there.
    pub async fn list(&self, caller: &Caller, scope: &ResourceId, kind: &ResourceKind) -> Result<Vec<Value>, ArmError> {
        allow_or_below(caller, scope)?;
        self.known_subscription(scope)?;
        let mut all = Vec::new();
        if self.is_native(scope) {
            let mut all = self.native_list(scope, kind).await?;
            let seen = |id: &str| caller.may(Access::Read, id) || (*kind == ResourceKind::Group && caller.may_see_below(id));
            all.retain(|one| one["id"].as_str().is_some_and(seen));
            return Ok(all);
        }
        if scope.kind() != ResourceKind::Subscription && self.index().get(scope).is_none() {
            return Err(ArmError::not_found(scope));
        }
        if scope.kind() == ResourceKind::Subscription && caller.may(Access::Read, self.native_group().key()) {
            all = self.native_list(scope, kind).await?;
        }
        let routes = self.shared.control.routes().borrow().clone();
        let states = States::new(&routes);
        let index = self.index();
        let direct = matches!(scope.kind(), ResourceKind::Site | ResourceKind::Slot);
        let own = index
            .of_kind(scope, kind)
            .filter(|entry| !direct || entry.resource.id.parent().as_ref() == Some(scope))
            .filter(|entry| {
                let key = entry.resource.id.key();
                if *kind == ResourceKind::Group { caller.may_see_below(key) } else { caller.may(Access::Read, key) }
            })
            .map(|entry| self.render(&index, &entry.resource, Secrets::Hidden, &states));
        all.extend(own);
        Ok(all)
    }

    /// Lists the sites that run on a plan.
    ///
    /// # Errors
    /// 403, 404.
    pub async fn sites_on(&self, caller: &Caller, plan: &ResourceId) -> Result<Vec<Value>, ArmError> {
        allow(caller, Access::Read, plan)?;
        self.known_subscription(plan)?;
        let routes = self.shared.control.routes().borrow().clone();
        let states = States::new(&routes);
        let index = self.index();
        if index.get(plan).is_none() {
            return Err(ArmError::not_found(plan));
        }
        let sites = index.on_plan(plan).into_iter().filter(|site| caller.may(Access::Read, site.key()));
        Ok(sites
            .filter_map(|site| index.get(&site))
            .map(|entry| self.render(&index, &entry.resource, Secrets::Hidden, &states))
            .collect())
    }

    fn stored(&self, id: &ResourceId, secrets: Secrets) -> Result<(Value, Option<Etag>), ArmError> {
        let etag = self.index().get(id).map(|entry| entry.etag);
        self.show(id, secrets).map(|body| (body, etag)).ok_or_else(|| self.absent(id))
    }

    /// Says what is missing: the group, else the site, else the resource itself.
    pub(crate) fn absent(&self, id: &ResourceId) -> ArmError {
        let index = self.index();
        if let Some(group) = id.group_id().filter(|group| group != id)
            && index.get(&group).is_none()
        {
            return ArmError::group_not_found(group.name());
        }
        match id.site_or_slot().filter(|site| site != id) {
            Some(site) if index.get(&site).is_none() => ArmError::not_found(&site),
            Some(_) | None => ArmError::not_found(id),
        }
    }

    /// Gives a value of a site's app settings, whoever asks.
    pub fn app_setting(&self, site: &ResourceId, name: &str) -> Option<String> {
        let index = self.index();
        let settings = index.get(&site.config(ConfigName::AppSettings)).map(|entry| entry.resource.clone());
        pillion_arm::setting_text(settings.as_deref(), name)
    }
}

/// A group or subscription may be seen by who may see something in it.
pub(crate) fn allow_or_below(caller: &Caller, id: &ResourceId) -> Result<(), ArmError> {
    match id.kind() {
        ResourceKind::Subscription | ResourceKind::Group if caller.may_see_below(id.key()) => Ok(()),
        _ => allow(caller, Access::Read, id),
    }
}
