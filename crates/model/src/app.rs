//! The app definition: the native app file's shape after decoding and defaults, before settings are resolved.
//!
//! Everything here has passed [`crate::AppFile`]-level decoding; cross-field rules (one main, at most nine
//! sidecars, unique ports, known dependencies, no cycle, known volumes) are checked by `validate`.

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use crate::{AppName, ContainerName, VolumeName};

/// Sidecars an app may have beside its main container (App Service's limit).
pub const MAX_SIDECARS: usize = 9;

/// What a person deploys.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct App {
    pub name: AppName,
    pub containers: IndexMap<ContainerName, Container>,
    #[serde(default)]
    pub volumes: IndexMap<VolumeName, Volume>,
    #[serde(default)]
    pub settings: IndexMap<String, Setting>,
    /// How many instances; 1 where absent.
    #[serde(default = "one")]
    pub scale: u32,
    #[serde(default)]
    pub network: Network,
    /// Host names, besides `<app>.localhost`, that reach the app at the gateway.
    #[serde(default)]
    pub hosts: Vec<String>,
    /// How long a new revision may take to prove itself ready, in seconds; 230 where absent (App Service's limit).
    #[serde(default = "default_ready_within")]
    pub ready_within: u64,
    /// Whether root inside is somebody else outside. `optional` also runs on kernels that cannot do it.
    #[serde(default)]
    pub user_namespace: UserNamespace,
}

fn one() -> u32 {
    1
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
    #[serde(default)]
    pub port: Option<u16>,
    /// Replaces the image's entrypoint.
    #[serde(default)]
    pub entrypoint: Option<Vec<String>>,
    /// Replaces the image's command (the arguments after the entrypoint).
    #[serde(default)]
    pub command: Option<Vec<String>>,
    #[serde(default)]
    pub env: IndexMap<String, EnvValue>,
    #[serde(default)]
    pub working_dir: Option<String>,
    /// `user[:group]`, names or numbers, looked up in the image.
    #[serde(default)]
    pub user: Option<String>,
    #[serde(default)]
    pub depends_on: IndexMap<ContainerName, Condition>,
    /// The readiness probe; with no `startup` probe it gates the start too.
    #[serde(default)]
    pub probe: Option<Probe>,
    #[serde(default)]
    pub startup: Option<Probe>,
    #[serde(default)]
    pub liveness: Option<Probe>,
    #[serde(default)]
    pub resources: Resources,
    #[serde(default)]
    pub volumes: Vec<VolumeMount>,
    /// Files with content given inline, mounted read-only.
    #[serde(default)]
    pub files: Vec<InlineFile>,
    #[serde(default)]
    pub tmpfs: Vec<Tmpfs>,
    #[serde(default)]
    pub read_only: bool,
    /// Its end is the instance's end; main always is.
    #[serde(default)]
    pub essential: bool,
    /// Runs to its end once per instance and is not started again when it ends with 0.
    #[serde(default)]
    pub run_once: bool,
    #[serde(default)]
    pub stop: Stop,
    /// `nofile`, `nproc`, …: soft and hard limit, clamped to what the host allows.
    #[serde(default)]
    pub ulimits: IndexMap<String, Ulimit>,
    /// Size of `/dev/shm` in bytes; 64 MiB where absent.
    #[serde(default)]
    pub shm_size: Option<Bytes>,
}

/// A byte count; in files a number or text such as `128Mi`, `1.5Gi`, `500M`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Bytes(pub u64);

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum EnvValue {
    Literal(String),
    #[serde(rename_all = "camelCase")]
    FromSetting { from_setting: String },
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Setting {
    Plain(String),
    /// Encrypted at rest and never shown again.
    Secret { secret: String },
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

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Probe {
    #[serde(flatten)]
    pub check: Check,
    /// Seconds between two checks once it has passed; 10 where absent. Before that, checks start 5 ms apart and back off.
    #[serde(default)]
    pub interval: Option<f64>,
    /// Seconds one check may take; 1 where absent.
    #[serde(default)]
    pub timeout: Option<f64>,
    /// Failures in a row that count as failed; 3 where absent.
    #[serde(default)]
    pub failures: Option<u32>,
    /// Seconds a startup may take before it counts as failed.
    #[serde(default)]
    pub within: Option<f64>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Check {
    /// `http: /path` on the container's port, or `{ path, port, statuses: "200-399" }`.
    Http(HttpCheck),
    Tcp(u16),
    Exec(Vec<String>),
    /// No probe at all: running is ready.
    None(bool),
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HttpCheck {
    pub path: String,
    #[serde(default)]
    pub port: Option<u16>,
    /// `200-399` where absent; `any` accepts every answer.
    #[serde(default)]
    pub statuses: Option<String>,
    #[serde(default)]
    pub headers: IndexMap<String, String>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Resources {
    #[serde(default)]
    pub memory: Option<Bytes>,
    /// In CPUs: 0.5 is half of one.
    #[serde(default)]
    pub cpu: Option<f64>,
    #[serde(default)]
    pub pids: Option<u64>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct VolumeMount {
    pub volume: VolumeName,
    pub path: String,
    #[serde(default)]
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
    #[serde(default)]
    pub mode: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Tmpfs {
    pub path: String,
    #[serde(default)]
    pub size: Option<Bytes>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Stop {
    /// Name or number; the image's, else SIGTERM.
    #[serde(default)]
    pub signal: Option<String>,
    /// Seconds between that signal and SIGKILL; 10 where absent.
    #[serde(default)]
    pub grace: Option<f64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Ulimit {
    pub soft: u64,
    pub hard: u64,
}

/// Where a volume's files live and for how long.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Volume {
    /// Kept with the app and shared by its instances; otherwise it lives and dies with each instance.
    #[serde(default)]
    pub persistent: bool,
    /// A directory of the host; only where the server's settings allow it.
    #[serde(default)]
    pub host_path: Option<String>,
}
