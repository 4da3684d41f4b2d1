//! The app definition: the native app file's shape after decoding and defaults, before settings are resolved.
//!
//! Everything here has passed [`crate::AppFile`]-level decoding; cross-field rules (one main, at most nine
//! sidecars, unique ports, known dependencies, no cycle, known volumes) are checked by `validate`.

mod probe;
mod quantity;
mod scalar;
mod value;

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

pub use probe::{Check, HttpCheck, Probe, StatusesError};
pub use quantity::{Bytes, QuantityError, seconds};
pub(crate) use scalar::RAW_TEXT;
pub use scalar::split_words;
pub use value::{EnvValue, InstanceFact, Setting, Ulimit};

use crate::{AppName, ContainerName, VolumeName};

/// Sidecars an app may have beside its main container (App Service's limit).
pub const MAX_SIDECARS: usize = 9;

/// What a person deploys.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct App {
    pub name: AppName,
    pub containers: IndexMap<ContainerName, Container>,
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub volumes: IndexMap<VolumeName, Volume>,
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub settings: IndexMap<String, Setting>,
    /// How many instances; 1 where absent.
    #[serde(default = "one")]
    pub scale: u32,
    #[serde(default)]
    pub network: Network,
    /// Host names, besides `<app>.localhost`, that reach the app at the gateway.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hosts: Vec<String>,
    /// How long a new revision may take to prove itself ready, in seconds; 230 where absent (App Service's limit).
    #[serde(default = "default_ready_within", deserialize_with = "quantity::whole_seconds")]
    pub ready_within: u64,
    /// How many of the app's instances, in percent, may be without traffic because their readiness probe fails; 100 where
    /// absent. Below 100 one instance always keeps its traffic, and where all fail, all keep it (App Service's health check).
    #[serde(default = "default_unhealthy_limit", skip_serializing_if = "is_all")]
    pub unhealthy_limit: u32,
    /// Whether root inside is somebody else outside. `optional` also runs on kernels that cannot do it.
    #[serde(default)]
    pub user_namespace: UserNamespace,
}

impl App {
    /// Returns the main container; validation guarantees that there is exactly one.
    pub fn main(&self) -> Option<(&ContainerName, &Container)> {
        self.containers.iter().find(|(_, container)| container.main)
    }
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
fn one() -> u32 {
    1
}
fn default_unhealthy_limit() -> u32 {
    100
}
fn is_all(percent: &u32) -> bool {
    *percent == 100
}
fn default_ready_within() -> u64 {
    230
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Network {
    /// Own namespace; outbound works; nothing reaches in but the gateway.
    #[default]
    Outbound,
    /// Own namespace with only loopback.
    None,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum UserNamespace {
    #[default]
    Required,
    Off,
}

/// The definition of one container.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Container {
    #[serde(default)]
    pub main: bool,
    pub image: String,
    /// The TCP port the container listens on; for main, where traffic goes (detected where absent).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// Replaces the image's entrypoint. A list, or one line of text that is split into words as a shell would
    /// (quotes and backslashes count; no shell runs, so no variables, globs or pipes).
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "scalar::words")]
    pub entrypoint: Option<Vec<String>>,
    /// Replaces the image's command (the arguments after the entrypoint); written like `entrypoint`.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "scalar::words")]
    pub command: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub env: IndexMap<String, EnvValue>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub working_dir: Option<String>,
    /// `user[:group]`, names or numbers, looked up in the image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// `{ cache: healthy }`, or a list of names, which means `started` for each.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty", deserialize_with = "value::depends_on")]
    pub depends_on: IndexMap<ContainerName, Condition>,
    /// The readiness probe; with no `startup` probe it gates the start too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probe: Option<Probe>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub startup: Option<Probe>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub liveness: Option<Probe>,
    #[serde(default, skip_serializing_if = "is_default")]
    pub resources: Resources,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub volumes: Vec<VolumeMount>,
    /// Files with content given inline, mounted read-only.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<InlineFile>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tmpfs: Vec<Tmpfs>,
    #[serde(default)]
    pub read_only: bool,
    /// Its end is the instance's end; main always is.
    #[serde(default)]
    pub essential: bool,
    /// Runs to its end once per instance and is not started again when it ends with 0.
    #[serde(default)]
    pub run_once: bool,
    #[serde(default, skip_serializing_if = "is_default")]
    pub stop: Stop,
    /// `nofile`, `nproc`, …: soft and hard limit, clamped to what the host allows.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub ulimits: IndexMap<String, Ulimit>,
    /// Size of `/dev/shm` in bytes; 64 MiB where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shm_size: Option<Bytes>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Condition {
    /// Its process runs.
    Started,
    /// Its startup and readiness probes have passed.
    Healthy,
    /// It ended with exit code 0.
    Completed,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Resources {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<Bytes>,
    /// In CPUs: 0.5 is half of one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pids: Option<u64>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct VolumeMount {
    pub volume: VolumeName,
    pub path: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sub_path: Option<String>,
    #[serde(default)]
    pub read_only: bool,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct InlineFile {
    pub path: String,
    pub content: String,
    /// Octal text such as `"0644"`, the default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Tmpfs {
    pub path: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<Bytes>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Stop {
    /// Name or number; the image's, else SIGTERM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal: Option<String>,
    /// Seconds between that signal and SIGKILL; 10 where absent.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "quantity::optional_seconds")]
    pub grace: Option<f64>,
}

/// Where a volume's files live and for how long.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Volume {
    /// Kept with the app and shared by its instances; otherwise it lives and dies with each instance.
    #[serde(default)]
    pub persistent: bool,
    /// A directory of the host; only where the server's settings allow it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host_path: Option<String>,
}
