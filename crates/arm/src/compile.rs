//! A site and everything that belongs to it, made into the app that runs.
//!
//! The mapping, where App Service leaves it open: a plan's size is what each container of an instance may use at most; `/home` is
//! a persistent volume of the app, sub paths of `volumeMounts` are directories of one volume of the instance; app settings and
//! connection strings are secrets of the app, so that no surface shows them.

mod environment;
mod login;
mod mode;
mod platform;
mod storage;

use std::{collections::BTreeMap, sync::Arc};

use indexmap::IndexMap;
use pillion_fault::Fault;
use pillion_model::{
    App, AppName, Bytes, Check, Container, ContainerName, HttpCheck, Network, Probe, Resources, Setting, Stop, UserNamespace,
    split_words, validate,
};
use serde_json::Value;

use crate::{Resource, accept::SIZES};
use environment::Settings;
use mode::Program;
use platform::Limits;

/// Everything that belongs to a site or a slot. Config documents that nobody wrote are none.
#[derive(Debug, Clone)]
pub struct SiteParts {
    /// The control plane's app behind the site; after a swap it is not the site's own name.
    pub app: AppName,
    pub site: Arc<Resource>,
    pub web: Option<Arc<Resource>>,
    pub settings: Option<Arc<Resource>>,
    pub connections: Option<Arc<Resource>>,
    pub storage: Option<Arc<Resource>>,
    pub containers: Vec<Arc<Resource>>,
    pub plan: Option<Arc<Resource>>,
    /// User-assigned identities attached to the site, to name them in problems.
    pub identities: Vec<Arc<Resource>>,
    /// `host[:port]` by which clients reach the site at the gateway: `WEBSITE_HOSTNAME`.
    pub host_name: String,
    /// No more instances than this.
    pub max_instances: u32,
}

/// A site as an app.
#[derive(Debug, Clone, PartialEq)]
pub struct Compiled {
    pub app: App,
    /// By registry host.
    pub credentials: BTreeMap<String, RegistryCredential>,
    /// What the site asks for and does not get, for people to read.
    pub warnings: Vec<String>,
}

#[derive(Clone, PartialEq, Eq)]
pub struct RegistryCredential {
    pub username: String,
    pub password: String,
}

impl std::fmt::Debug for RegistryCredential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "RegistryCredential({}, ***)", self.username)
    }
}

/// Why a site cannot become an app as it stands.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum SiteProblem {
    /// More writes are to come: there is no main container yet. Nothing has failed.
    #[error("the site has no main container yet")]
    NotYet,
    /// A revision of it fails, for this reason.
    #[error("{fault}")]
    Fails { container: Option<String>, fault: Fault },
}

/// Makes the app of a site. Equal to the app that a native file gives which spells out the same.
///
/// # Errors
/// Every reason why there is none.
pub fn compile(site: &SiteParts) -> Result<Compiled, Vec<SiteProblem>> {
    let mut problems = Vec::new();
    let mut warnings = Vec::new();
    let settings = Settings::of(site);
    let mode = mode::of(site, &settings, &mut problems).map_err(|problem| vec![problem])?;
    let limits = platform::limits(site, &settings, &mut problems);
    let mut credentials = BTreeMap::new();
    let mut volumes = IndexMap::new();
    let mut containers = IndexMap::new();
    for program in mode.programs() {
        let name = ContainerName::try_from(program.name.to_ascii_lowercase());
        let Ok(name) = name else {
            let reason = format!("`{}` is no container name", program.name);
            problems.push(fails(None, Fault::DefinitionRefused { field: "containers".into(), reason }));
            continue;
        };
        login::add(site, &settings, program, &mode, &mut credentials, &mut warnings, &mut problems);
        let container = container(site, &settings, &limits, program, &mut volumes, &mut problems);
        containers.insert(name, container);
    }
    storage::warn(site, &mut warnings);
    let app = App {
        name: site.app.clone(),
        containers,
        volumes,
        settings: settings.as_model(),
        scale: scale(site),
        network: Network::Outbound,
        hosts: Vec::new(),
        ready_within: limits.start,
        unhealthy_limit: limits.unhealthy_percent,
        user_namespace: UserNamespace::Required,
    };
    // Rules that span resources written one by one: two programs on one port, a mount over another.
    if let Err(broken) = validate(&app) {
        problems.extend(broken.into_iter().map(|problem| {
            let fault = Fault::DefinitionRefused { field: problem.path, reason: problem.message };
            fails(None, fault)
        }));
    }
    if problems.is_empty() { Ok(Compiled { app, credentials, warnings }) } else { Err(problems) }
}

/// Returns an app setting's text, found in any case.
pub fn setting_text(settings: Option<&Resource>, name: &str) -> Option<String> {
    let properties = &settings?.properties;
    let exact = properties.get(name);
    let found = exact.or_else(|| properties.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value));
    found.and_then(Value::as_str).map(str::to_owned)
}

fn fails(container: Option<&str>, fault: Fault) -> SiteProblem {
    SiteProblem::Fails { container: container.map(str::to_ascii_lowercase), fault }
}

fn container(
    site: &SiteParts,
    settings: &Settings,
    limits: &Limits,
    program: &Program,
    volumes: &mut IndexMap<pillion_model::VolumeName, pillion_model::Volume>,
    problems: &mut Vec<SiteProblem>,
) -> Container {
    let (mounts, files) = storage::mounts(settings, program, volumes);
    Container {
        main: program.main,
        image: program.image.clone(),
        port: program.port,
        entrypoint: None,
        command: command(program, problems),
        env: environment::of(site, settings, program, problems),
        working_dir: None,
        user: None,
        depends_on: IndexMap::new(),
        probe: program.main.then(|| health(site, limits)).flatten(),
        startup: program.main.then(|| warm_up(limits)),
        liveness: None,
        resources: resources(site),
        volumes: mounts,
        files,
        tmpfs: Vec::new(),
        read_only: false,
        essential: false,
        run_once: false,
        stop: Stop { signal: None, grace: Some(limits.stop) },
        ulimits: IndexMap::new(),
        shm_size: None,
    }
}

/// `startUpCommand` is what follows the image's entrypoint, split as a shell would.
fn command(program: &Program, problems: &mut Vec<SiteProblem>) -> Option<Vec<String>> {
    let words = split_words(program.command.as_deref()?);
    if words.is_none() {
        let fault = Fault::DefinitionRefused { field: "startUpCommand".into(), reason: "a quote is not closed".into() };
        problems.push(fails(Some(&program.name), fault));
    }
    words
}

/// The start-up ping: any answer counts, unless statuses are set.
fn warm_up(limits: &Limits) -> Probe {
    let http = HttpCheck {
        path: limits.warm_up_path.clone(),
        port: None,
        statuses: Some(limits.warm_up_statuses.clone()),
        headers: IndexMap::new(),
    };
    // An app that takes long for its first answer is not asked anew each second.
    Probe { check: Check::Http(http), interval: None, timeout: Some(30.0), failures: None, within: Some(limits.start as f64) }
}

/// The health check: 200–299 once a minute; redirects are not followed.
fn health(site: &SiteParts, limits: &Limits) -> Option<Probe> {
    let path = site.web.as_ref()?.text("healthCheckPath").filter(|path| !path.is_empty())?;
    let http = HttpCheck { path: path.to_owned(), port: None, statuses: Some("200-299".to_owned()), headers: IndexMap::new() };
    Some(Probe {
        check: Check::Http(http),
        interval: Some(60.0),
        timeout: Some(60.0),
        failures: Some(limits.health_failures),
        within: None,
    })
}

/// The plan's size, for each container: no App Service field divides it among them.
fn resources(site: &SiteParts) -> Resources {
    let name = site.plan.as_ref().and_then(|plan| plan.sku.as_ref()).and_then(|sku| sku["name"].as_str());
    let size = name.and_then(|name| SIZES.iter().find(|size| size.name.eq_ignore_ascii_case(name)));
    match size {
        Some(size) => Resources { memory: Some(Bytes(size.memory_mib << 20)), cpu: Some(size.cpu), pids: None },
        None => Resources::default(),
    }
}

/// The plan's capacity; with per-site scaling the site's own number. Without it a site's number counts where it is not the 1
/// that every tool echoes.
fn scale(site: &SiteParts) -> u32 {
    let plan = site.plan.as_ref();
    let capacity = plan.and_then(|plan| plan.sku.as_ref()).and_then(|sku| sku["capacity"].as_u64()).unwrap_or(1);
    let per_site = plan.and_then(|plan| plan.property("perSiteScaling")).and_then(Value::as_bool).unwrap_or(false);
    let own = site.web.as_ref().and_then(|web| web.property("numberOfWorkers")).and_then(Value::as_u64);
    let wanted = match own {
        Some(own) if per_site || own > 1 => own,
        Some(_) | None => capacity,
    };
    u32::try_from(wanted).unwrap_or(u32::MAX).clamp(1, site.max_instances.max(1))
}

impl Settings {
    fn as_model(&self) -> IndexMap<String, Setting> {
        self.all().map(|(name, text)| (name.to_owned(), Setting::Secret { secret: text.to_owned() })).collect()
    }
}
