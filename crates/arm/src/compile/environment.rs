//! What a container finds in its environment: facts of the site, every setting twice, connection strings, its own variables.

use indexmap::IndexMap;
use pillion_fault::Fault;
use pillion_model::{EnvValue, InstanceFact};
use serde_json::Value;

use super::{SiteParts, SiteProblem, fails, mode::Program};
use crate::accept::CONNECTION_TYPES;

/// What containers never see: registry logins, and what only steers the platform.
const KEPT_BACK: [&str; 5] = [
    "DOCKER_REGISTRY_SERVER_URL",
    "DOCKER_REGISTRY_SERVER_USERNAME",
    "DOCKER_REGISTRY_SERVER_PASSWORD",
    "WEBSITES_PORT",
    "PILLION_ENV_LITERALS",
];

/// App settings and connection strings of a site, in the order of their names: the order of keys in bodies is chance.
pub(super) struct Settings {
    app: IndexMap<String, String>,
    /// By the variable's name, such as `SQLCONNSTR_db`; with the bare name.
    connections: IndexMap<String, (String, String)>,
}

impl Settings {
    pub(super) fn of(site: &SiteParts) -> Settings {
        let mut app: IndexMap<String, String> = site
            .settings
            .iter()
            .flat_map(|document| &document.properties)
            .filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())))
            .collect();
        app.sort_keys();
        let mut connections = IndexMap::new();
        for (name, entry) in site.connections.iter().flat_map(|document| &document.properties) {
            let kind = entry["type"].as_str().unwrap_or("Custom");
            let prefix = CONNECTION_TYPES.iter().find(|(known, _)| known.eq_ignore_ascii_case(kind));
            let prefix = prefix.map_or("CUSTOMCONNSTR_", |(_, prefix)| prefix);
            let text = entry["value"].as_str().unwrap_or_default().to_owned();
            connections.insert(format!("{prefix}{name}"), (name.clone(), text));
        }
        // A setting of the same name is the more particular word.
        connections.retain(|variable, _| !app.contains_key(variable));
        connections.sort_keys();
        Settings { app, connections }
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.named(name).and_then(|name| self.app.get(name)).map(String::as_str)
    }

    /// Returns true for `1` and `true`.
    pub(super) fn on(&self, name: &str) -> bool {
        self.get(name).is_some_and(|text| text.trim() == "1" || text.trim().eq_ignore_ascii_case("true"))
    }

    /// Returns true for `0` and `false`.
    pub(super) fn off(&self, name: &str) -> bool {
        self.get(name).is_some_and(|text| text.trim() == "0" || text.trim().eq_ignore_ascii_case("false"))
    }

    /// Finds a setting: written exactly so, else in another case.
    fn named(&self, name: &str) -> Option<&str> {
        let exact = self.app.get_key_value(name).map(|(name, _)| name.as_str());
        exact.or_else(|| self.app.keys().find(|key| key.eq_ignore_ascii_case(name)).map(String::as_str))
    }

    /// Finds what a reference means: an app setting, or a connection string by its own name or its variable's.
    fn referred(&self, name: &str) -> Option<&str> {
        let connection = || {
            let found = self.connections.iter().find(|(variable, (bare, _))| *variable == name || bare == name);
            found.map(|(variable, _)| variable.as_str())
        };
        self.named(name).or_else(connection)
    }

    pub(super) fn all(&self) -> impl Iterator<Item = (&str, &str)> {
        let app = self.app.iter().map(|(name, text)| (name.as_str(), text.as_str()));
        app.chain(self.connections.iter().map(|(variable, (_, text))| (variable.as_str(), text.as_str())))
    }
}

pub(super) fn of(
    site: &SiteParts,
    settings: &Settings,
    program: &Program,
    problems: &mut Vec<SiteProblem>,
) -> IndexMap<String, EnvValue> {
    let mut env = facts(site, program);
    if program.inherit {
        for name in settings.app.keys().filter(|name| !KEPT_BACK.iter().any(|kept| kept.eq_ignore_ascii_case(name))) {
            let variable = name.replace(':', "__");
            let value = EnvValue::FromSetting { from_setting: name.clone() };
            env.insert(format!("APPSETTING_{variable}"), value.clone());
            env.insert(variable, value);
        }
        for variable in settings.connections.keys() {
            env.insert(variable.replace(':', "__"), EnvValue::FromSetting { from_setting: variable.clone() });
        }
    }
    own(settings, program, &mut env, problems);
    env
}

/// The container's own variables: each value names a setting. One that names none fails the revision, unless the site says
/// that such values are literals.
fn own(settings: &Settings, program: &Program, env: &mut IndexMap<String, EnvValue>, problems: &mut Vec<SiteProblem>) {
    let literals = settings.on("PILLION_ENV_LITERALS");
    let entries = program.properties.get("environmentVariables").and_then(Value::as_array);
    for entry in entries.into_iter().flatten() {
        let (Some(name), value) = (entry["name"].as_str(), entry["value"].as_str().unwrap_or_default()) else { continue };
        let value = match settings.referred(value) {
            Some(setting) => EnvValue::FromSetting { from_setting: setting.to_owned() },
            None if literals || value.is_empty() => EnvValue::Literal(value.to_owned()),
            None => {
                let fault = Fault::SettingMissing { variable: name.to_owned(), setting: value.to_owned() };
                problems.push(fails(Some(&program.name), fault));
                continue;
            }
        };
        env.insert(name.to_owned(), value);
    }
}

fn facts(site: &SiteParts, program: &Program) -> IndexMap<String, EnvValue> {
    let id = &site.site.id;
    let name = id.production().map(|site| site.name().to_owned()).unwrap_or_default();
    let group = id.group_name().unwrap_or_default();
    let region = site.site.location.as_deref().unwrap_or_default();
    let plan = site.plan.as_ref();
    let tier = plan.and_then(|plan| plan.sku.as_ref()).and_then(|sku| sku["tier"].as_str()).unwrap_or("Standard");
    let space = plan.and_then(|plan| plan.id.group_name()).unwrap_or(group);
    let owner = format!("{}+{space}-{}webspace-Linux", id.subscription_name().unwrap_or_default(), region.replace(' ', ""));
    let logging = site.web.as_ref().and_then(|web| web.property("httpLoggingEnabled")).and_then(Value::as_bool);
    let mut env: IndexMap<String, EnvValue> = [
        ("WEBSITE_SITE_NAME", name),
        ("WEBSITE_SLOT_NAME", id.slot_name().unwrap_or_else(|| "Production".to_owned())),
        ("WEBSITE_HOSTNAME", site.host_name.clone()),
        ("WEBSITE_RESOURCE_GROUP", group.to_owned()),
        ("WEBSITE_OWNER_NAME", owner),
        ("REGION_NAME", region.to_owned()),
        ("WEBSITE_SKU", tier.to_owned()),
        ("WEBSITE_COMPUTE_MODE", "Dedicated".to_owned()),
        ("WEBSITE_PLATFORM_VERSION", "pillion".to_owned()),
        ("WEBSITE_AUTH_ENABLED", "False".to_owned()),
        ("HTTP_LOGGING_ENABLED", if logging.unwrap_or(false) { "1" } else { "0" }.to_owned()),
        ("DOCKER_CUSTOM_IMAGE_NAME", program.image.clone()),
        ("HOME", "/home".to_owned()),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), EnvValue::Literal(value)))
    .collect();
    for (name, fact) in [("WEBSITE_INSTANCE_ID", InstanceFact::Id), ("WEBSITE_ROLE_INSTANCE_ID", InstanceFact::Index)] {
        env.insert(name.to_owned(), EnvValue::FromInstance { from_instance: fact });
    }
    // Each container is told its own port, never another's.
    if let Some(port) = program.port {
        env.insert("PORT".to_owned(), EnvValue::Literal(port.to_string()));
    }
    env
}
