//! What belongs to a site: the facts that its document does not hold, and the parts that its app is compiled from.

use std::sync::Arc;

use pillion_arm::{ConfigName, Facts, Resource, ResourceId, ResourceKind, Secrets, SiteParts, SiteState, initial, render};
use pillion_control::RouteState;
use pillion_model::AppName;
use serde_json::Value;

use crate::{
    Azure,
    index::{Index, is_site, plan_of},
    names::public_name,
};

impl Azure {
    /// Gives the body of a GET; none where nothing is there.
    pub(crate) fn show(&self, id: &ResourceId, secrets: Secrets) -> Option<Value> {
        let routes = self.shared.control.routes().borrow().clone();
        self.show_with(id, secrets, &States::new(&routes))
    }

    pub(crate) fn show_with(&self, id: &ResourceId, secrets: Secrets, states: &States<'_>) -> Option<Value> {
        let index = self.index();
        let stored = index.get(id).map(|entry| entry.resource.clone());
        let resource = match stored {
            Some(found) => found,
            None => Arc::new(self.not_yet_written(&index, id)?),
        };
        Some(self.render(&index, &resource, secrets, states))
    }

    pub(crate) fn render(&self, index: &Index, resource: &Resource, secrets: Secrets, states: &States<'_>) -> Value {
        let settings = &self.shared.settings;
        let mut facts =
            Facts { endpoint: settings.endpoint.clone(), gateway_port: settings.gateway_port, secrets, ..Facts::default() };
        if is_site(&resource.id) {
            let web = index.get(&resource.id.config(ConfigName::Web)).map(|entry| entry.resource.clone());
            let plan = plan_of(resource).and_then(|plan| index.get(&plan)).map(|entry| entry.resource.clone());
            let name = public_name(&resource.id);
            facts.port = name.as_ref().and_then(|name| self.ports().get(name).copied());
            facts.state = states.of(name.as_ref(), resource);
            facts.public_name = name.map(|name| name.to_string());
            facts.web = web.as_deref();
            facts.plan = plan.as_deref();
            return render(resource, &facts);
        }
        if resource.id.kind() == ResourceKind::Plan {
            facts.number_of_sites = index.on_plan(&resource.id).len();
        }
        render(resource, &facts)
    }

    /// A document that every site has, before anybody wrote it.
    pub(crate) fn not_yet_written(&self, index: &Index, id: &ResourceId) -> Option<Resource> {
        let site = index.get(&id.site_or_slot()?)?;
        let mut resource = initial(id)?;
        // In the spelling that the site was created with.
        let tail = id.to_string().get(site.resource.id.key().len()..)?.to_owned();
        resource.id = format!("{}{tail}", site.resource.id).parse().ok()?;
        Some(resource)
    }

    /// Puts together what a site's app is compiled from.
    pub(crate) fn parts(&self, site: &ResourceId, app: AppName) -> Option<SiteParts> {
        let index = self.index();
        let own = index.get(site)?.resource.clone();
        let document = |name| index.get(&site.config(name)).map(|entry| entry.resource.clone());
        let attached = own.identity.as_ref().and_then(|identity| identity.get("userAssignedIdentities")?.as_object().cloned());
        let identities = attached
            .map(|attached| attached.keys().filter_map(|id| id.parse::<ResourceId>().ok()).collect::<Vec<_>>())
            .unwrap_or_default();
        let port = public_name(site).and_then(|name| self.ports().get(&name).copied());
        Some(SiteParts {
            app,
            web: document(ConfigName::Web),
            settings: document(ConfigName::AppSettings),
            connections: document(ConfigName::ConnectionStrings),
            storage: document(ConfigName::AzureStorageAccounts),
            containers: index
                .of_kind(site, &ResourceKind::SiteContainer)
                .filter(|entry| entry.resource.id.parent().as_ref() == Some(site))
                .map(|entry| entry.resource.clone())
                .collect(),
            plan: plan_of(&own).and_then(|plan| index.get(&plan)).map(|entry| entry.resource.clone()),
            identities: identities.iter().filter_map(|id| index.get(id)).map(|entry| entry.resource.clone()).collect(),
            host_name: port.map_or_else(|| "127.0.0.1".to_owned(), |port| format!("127.0.0.1:{port}")),
            max_instances: self.shared.settings.max_instances,
            site: own,
        })
    }
}

/// Where sites stand, of one moment.
pub(crate) struct States<'a> {
    by_app: std::collections::BTreeMap<&'a str, &'a RouteState>,
}

impl<'a> States<'a> {
    pub(crate) fn new(routes: &'a pillion_control::Routes) -> States<'a> {
        States { by_app: routes.apps.iter().map(|route| (route.app.as_str(), &route.state)).collect() }
    }

    /// What runs says it; before there is an app, what was asked for.
    pub(crate) fn of(&self, name: Option<&AppName>, site: &Resource) -> SiteState {
        match name.and_then(|name| self.by_app.get(name.as_str())) {
            Some(RouteState::Stopped) => SiteState::Stopped,
            Some(RouteState::Serving | RouteState::Down { .. }) => SiteState::Running,
            None if is_stopped(site) => SiteState::Stopped,
            None => SiteState::Running,
        }
    }
}

/// Whether the site was asked to stop.
pub(crate) fn is_stopped(site: &Resource) -> bool {
    site.property("enabled").and_then(Value::as_bool) == Some(false)
}
