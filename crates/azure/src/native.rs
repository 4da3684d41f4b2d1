//! Apps made by app files, shown as ARM resources: a group, a plan and sites that can be read and not written.

use std::{sync::Arc, time::Duration};

use pillion_arm::{ArmError, ConfigName, Facts, Resource, ResourceId, ResourceKind, Secrets, initial, render};
use pillion_control::ControlError;
use pillion_model::{App, AppName, Container, EnvValue, Setting};
use serde_json::{Map, Value, json};

use crate::{
    Azure,
    index::is_site,
    service::{NATIVE_GROUP, NATIVE_PLAN, refusal, unavailable},
    settings::LOCATION,
    site::States,
};

/// How long changes of the state are gathered before the apps are looked through again.
const GATHER: Duration = Duration::from_millis(200);

impl Azure {
    pub(crate) fn native_group(&self) -> ResourceId {
        ResourceId::group(&self.shared.settings.subscription, NATIVE_GROUP)
    }

    /// Keeps the list of such apps as the state says, for ever.
    pub(crate) async fn watch_native_apps(&self) {
        let mut changes = self.shared.store.changes();
        loop {
            match self.look_for_native_apps().await {
                Ok(()) => {}
                Err(ControlError::Store(wrong)) => drop(unavailable(&wrong)),
                Err(wrong) => drop(refusal(&wrong)),
            }
            if changes.changed().await.is_err() {
                return;
            }
            tokio::time::sleep(GATHER).await;
            changes.mark_unchanged();
        }
    }

    pub(crate) async fn native_get(&self, id: &ResourceId) -> Result<Value, ArmError> {
        let found = match id.site_or_slot() {
            Some(site) => self.native_resources(&site).await?.into_iter().find(|one| one.id == *id).or_else(|| initial(id)),
            None => self.native_shell().into_iter().find(|one| one.id == *id),
        };
        found.map(|resource| self.native_render(&resource)).ok_or_else(|| ArmError::not_found(id))
    }

    pub(crate) async fn native_list(&self, scope: &ResourceId, kind: &ResourceKind) -> Result<Vec<Value>, ArmError> {
        if let Some(site) = scope.site_or_slot() {
            let all = self.native_resources(&site).await?;
            return Ok(all.iter().filter(|one| one.id.kind() == *kind).map(|one| self.native_render(one)).collect());
        }
        let mut all: Vec<Resource> = self.native_shell().into_iter().filter(|one| one.id.kind() == *kind).collect();
        if *kind == ResourceKind::Site {
            let names: Vec<AppName> = self.native().iter().cloned().collect();
            for name in names {
                let site = self.native_group().resource("Microsoft.Web", "sites", name.as_str());
                // One that went away in between is not there any more.
                if let Ok(resources) = self.native_resources(&site).await {
                    all.extend(resources.into_iter().filter(|one| one.id == site));
                }
            }
        }
        if scope.kind() == ResourceKind::Group && all.is_empty() && self.native().is_empty() {
            return Err(ArmError::group_not_found(NATIVE_GROUP));
        }
        Ok(all.iter().map(|one| self.native_render(one)).collect())
    }

    /// The group and the plan; nothing while there is no such app.
    fn native_shell(&self) -> Vec<Resource> {
        let apps = self.native().len();
        if apps == 0 {
            return Vec::new();
        }
        let group = self.native_group();
        let plan = group.resource("Microsoft.Web", "serverfarms", NATIVE_PLAN);
        let managed = Some([("managedBy".to_owned(), "app files".to_owned())].into());
        vec![
            Resource { location: Some(LOCATION.into()), tags: managed.clone(), ..Resource::new(group, 0) },
            Resource {
                location: Some(LOCATION.into()),
                tags: managed,
                kind: Some("linux".into()),
                sku: Some(json!({ "name": "P1v3", "tier": "PremiumV3", "size": "P1v3", "family": "Pv3", "capacity": 1 })),
                properties: Map::from_iter([("reserved".to_owned(), Value::Bool(true))]),
                ..Resource::new(plan, 0)
            },
        ]
    }

    async fn native_resources(&self, site: &ResourceId) -> Result<Vec<Resource>, ArmError> {
        let name: Option<AppName> = site.name().to_ascii_lowercase().parse().ok();
        let name = name.filter(|name| site.kind() == ResourceKind::Site && self.native().contains(name));
        let Some(name) = name else { return Err(ArmError::not_found(site)) };
        let shown = self.shared.control.show(&name).await.map_err(|wrong| refusal(&wrong))?;
        Ok(resources(&self.native_group(), &shown.definition))
    }

    fn native_render(&self, resource: &Resource) -> Value {
        let settings = &self.shared.settings;
        let mut facts = Facts {
            endpoint: settings.endpoint.clone(),
            gateway_port: settings.gateway_port,
            secrets: Secrets::Shown,
            number_of_sites: self.native().len(),
            ..Facts::default()
        };
        let routes: Arc<pillion_control::Routes> = self.shared.control.routes().borrow().clone();
        let shell = self.native_shell();
        if is_site(&resource.id) {
            let name: Option<AppName> = resource.id.name().parse().ok();
            facts.port = routes.apps.iter().find(|route| Some(&route.app) == name.as_ref()).map(|route| route.port);
            facts.state = States::new(&routes).of(name.as_ref(), resource);
            facts.public_name = name.map(|name| name.to_string());
            facts.plan = shell.last();
        }
        render(resource, &facts)
    }
}

/// Spells an app out as a site with its documents.
fn resources(group: &ResourceId, app: &App) -> Vec<Resource> {
    let site = group.resource("Microsoft.Web", "sites", app.name.as_str());
    let plan = group.resource("Microsoft.Web", "serverfarms", NATIVE_PLAN);
    let document = |id: ResourceId, properties: Value| {
        let Value::Object(properties) = properties else { return Resource::new(id, 0) };
        Resource { properties, ..Resource::new(id, 0) }
    };
    let settings: Map<String, Value> = app
        .settings
        .iter()
        .map(|(name, setting)| {
            let text = match setting {
                Setting::Plain(text) => text.clone(),
                Setting::Secret { secret } => secret.clone(),
            };
            (name.clone(), Value::String(text))
        })
        .collect();
    let mut own = document(site.clone(), json!({ "serverFarmId": plan.to_string(), "httpsOnly": false, "reserved": true }));
    own.location = Some(LOCATION.into());
    own.kind = Some("app,linux,container".into());
    own.tags = Some([("managedBy".to_owned(), "app file".to_owned())].into());
    let mut all = vec![
        own,
        document(
            site.config(ConfigName::Web),
            json!({ "linuxFxVersion": "SITECONTAINERS", "numberOfWorkers": app.scale, "alwaysOn": true }),
        ),
        document(site.config(ConfigName::AppSettings), Value::Object(settings)),
    ];
    for (name, container) in &app.containers {
        all.push(document(site.child("sitecontainers", name.as_str()), container_properties(container)));
    }
    all
}

fn container_properties(container: &Container) -> Value {
    let command = container.entrypoint.iter().chain(&container.command).flatten().cloned().collect::<Vec<_>>().join(" ");
    // The route's variables name settings; a literal has no name to give.
    let variables: Vec<Value> = container
        .env
        .iter()
        .filter_map(|(name, value)| match value {
            EnvValue::FromSetting { from_setting } => Some(json!({ "name": name, "value": from_setting })),
            EnvValue::Literal(_) | EnvValue::FromInstance { .. } => None,
        })
        .collect();
    let mounts: Vec<Value> = container
        .volumes
        .iter()
        .map(|mount| {
            let below = mount.sub_path.as_deref().map(|path| format!("/{path}")).unwrap_or_default();
            json!({
                "volumeSubPath": format!("/{}{below}", mount.volume),
                "containerMountPath": mount.path,
                "readOnly": mount.read_only,
                "data": null,
            })
        })
        .collect();
    json!({
        "image": container.image,
        "isMain": container.main,
        "targetPort": container.port.map(|port| port.to_string()),
        "startUpCommand": (!command.is_empty()).then_some(command),
        "authType": "Anonymous",
        "inheritAppSettingsAndConnectionStrings": false,
        "environmentVariables": variables,
        "volumeMounts": mounts,
    })
}
