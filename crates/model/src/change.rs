//! What differs between two definitions of an app, and how much must be replaced for it.

use std::fmt;

use indexmap::IndexMap;

use crate::{App, Container, ContainerName, EnvValue, Setting};

/// The differences.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AppChanges {
    /// Every container of either definition: the new one's in its order, then the removed.
    pub containers: IndexMap<ContainerName, ContainerChange>,
    /// Why a running instance cannot become the new definition; empty where it can.
    pub new_instance: Vec<InstanceReason>,
    /// Fields of the app that touch no running container: `scale`, `hosts`, `readyWithin`, `settings.NAME`, `volumes.NAME`.
    pub app: Vec<String>,
}

/// What becomes of one container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ContainerChange {
    Unchanged,
    /// The fields that differ, such as `image`, `env.LOG_LEVEL`, or `env.DB_URL` where only the setting behind it changed.
    Changed {
        fields: Vec<String>,
    },
    Added,
    Removed,
}

/// What instances cannot change while they run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InstanceReason {
    Network,
    UserNamespace,
    /// Another container is the main one.
    Main,
    /// A volume that is mounted lives elsewhere or for another time.
    Volume {
        volume: String,
    },
}

impl AppChanges {
    /// Returns true where both definitions are the same.
    pub fn is_empty(&self) -> bool {
        self.app.is_empty()
            && self.new_instance.is_empty()
            && self.containers.values().all(|change| *change == ContainerChange::Unchanged)
    }

    /// Returns the containers whose process must be started anew in a running instance.
    pub fn restarted(&self) -> impl Iterator<Item = &ContainerName> {
        self.containers.iter().filter(|(_, change)| change.restarts()).map(|(name, _)| name)
    }
}

impl ContainerChange {
    /// Returns true where a process that runs must be replaced. Probes, order and stop are its supervisor's affair.
    pub fn restarts(&self) -> bool {
        const SUPERVISION: [&str; 7] = ["dependsOn", "probe", "startup", "liveness", "essential", "stop", "port"];
        match self {
            ContainerChange::Changed { fields } => fields.iter().any(|field| !SUPERVISION.contains(&field.as_str())),
            ContainerChange::Unchanged | ContainerChange::Added | ContainerChange::Removed => false,
        }
    }
}

impl fmt::Display for InstanceReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            InstanceReason::Network => f.write_str("its network changes"),
            InstanceReason::UserNamespace => f.write_str("its user namespace changes"),
            InstanceReason::Main => f.write_str("another container becomes the main one"),
            InstanceReason::Volume { volume } => write!(f, "volume `{volume}` changes its nature"),
        }
    }
}

/// Compares two definitions of one app.
pub fn changes(old: &App, new: &App) -> AppChanges {
    let mut all = AppChanges::default();
    for (name, container) in &new.containers {
        let change = match old.containers.get(name) {
            None => ContainerChange::Added,
            Some(before) => {
                let mut fields = fields(before, container);
                settings_behind(old, new, before, container, &mut fields);
                if fields.is_empty() { ContainerChange::Unchanged } else { ContainerChange::Changed { fields } }
            }
        };
        all.containers.insert(name.clone(), change);
    }
    for name in old.containers.keys().filter(|name| !new.containers.contains_key(*name)) {
        all.containers.insert(name.clone(), ContainerChange::Removed);
    }
    whole(old, new, &mut all);
    all
}

fn whole(old: &App, new: &App, all: &mut AppChanges) {
    // Every field by name, so that a new one cannot be forgotten here.
    let App { name: _, containers: _, volumes, settings, scale, network, hosts, ready_within, unhealthy_limit, user_namespace } =
        new;
    if *network != old.network {
        all.new_instance.push(InstanceReason::Network);
    }
    if *user_namespace != old.user_namespace {
        all.new_instance.push(InstanceReason::UserNamespace);
    }
    if old.main().map(|(name, _)| name) != new.main().map(|(name, _)| name) {
        all.new_instance.push(InstanceReason::Main);
    }
    for (name, volume) in volumes {
        let before = old.volumes.get(name);
        if before == Some(volume) {
            continue;
        }
        let mounted = |app: &App| app.containers.values().any(|c| c.volumes.iter().any(|mount| mount.volume == *name));
        if before.is_some() && mounted(old) && mounted(new) {
            all.new_instance.push(InstanceReason::Volume { volume: name.to_string() });
        }
        all.app.push(format!("volumes.{name}"));
    }
    all.app.extend(old.volumes.keys().filter(|name| !volumes.contains_key(*name)).map(|name| format!("volumes.{name}")));
    all.app.extend(differing(&old.settings, settings).map(|name| format!("settings.{name}")));
    let rest = [
        ("scale", *scale != old.scale),
        ("hosts", *hosts != old.hosts),
        ("readyWithin", *ready_within != old.ready_within),
        ("unhealthyLimit", *unhealthy_limit != old.unhealthy_limit),
    ];
    all.app.extend(rest.into_iter().filter(|(_, differs)| *differs).map(|(field, _)| field.to_owned()));
}

fn fields(old: &Container, new: &Container) -> Vec<String> {
    let Container {
        main,
        image,
        port,
        entrypoint,
        command,
        env,
        working_dir,
        user,
        depends_on,
        probe,
        startup,
        liveness,
        resources,
        volumes,
        files,
        tmpfs,
        read_only,
        essential,
        run_once,
        stop,
        ulimits,
        shm_size,
    } = new;
    let before_env = [
        ("main", *main != old.main),
        ("image", *image != old.image),
        ("port", *port != old.port),
        ("entrypoint", *entrypoint != old.entrypoint),
        ("command", *command != old.command),
    ];
    let after_env = [
        ("workingDir", *working_dir != old.working_dir),
        ("user", *user != old.user),
        ("dependsOn", *depends_on != old.depends_on),
        ("probe", *probe != old.probe),
        ("startup", *startup != old.startup),
        ("liveness", *liveness != old.liveness),
        ("resources", *resources != old.resources),
        ("volumes", *volumes != old.volumes),
        ("files", *files != old.files),
        ("tmpfs", *tmpfs != old.tmpfs),
        ("readOnly", *read_only != old.read_only),
        ("essential", *essential != old.essential),
        ("runOnce", *run_once != old.run_once),
        ("stop", *stop != old.stop),
        ("ulimits", *ulimits != old.ulimits),
        ("shmSize", *shm_size != old.shm_size),
    ];
    let named = |list: Vec<(&str, bool)>| {
        list.into_iter().filter(|(_, differs)| *differs).map(|(field, _)| field.to_owned()).collect::<Vec<_>>()
    };
    let mut fields = named(before_env.to_vec());
    fields.extend(differing(&old.env, env).map(|name| format!("env.{name}")));
    fields.extend(named(after_env.to_vec()));
    fields
}

/// Adds the variables that read the same setting as before, whose value has changed.
fn settings_behind(old: &App, new: &App, before: &Container, after: &Container, fields: &mut Vec<String>) {
    for (variable, value) in &after.env {
        let EnvValue::FromSetting { from_setting } = value else { continue };
        if before.env.get(variable) == Some(value) && text(old, from_setting) != text(new, from_setting) {
            fields.push(format!("env.{variable}"));
        }
    }
}

/// Making a setting secret changes nothing for who reads it.
fn text<'a>(app: &'a App, setting: &str) -> Option<&'a str> {
    match app.settings.get(setting)? {
        Setting::Plain(text) | Setting::Secret { secret: text } => Some(text),
    }
}

fn differing<'a, V: PartialEq>(old: &'a IndexMap<String, V>, new: &'a IndexMap<String, V>) -> impl Iterator<Item = &'a str> {
    let changed = new.iter().filter(|(name, value)| old.get(*name) != Some(*value)).map(|(name, _)| name.as_str());
    changed.chain(old.keys().filter(|name| !new.contains_key(*name)).map(String::as_str))
}
