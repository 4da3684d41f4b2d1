//! The faults themselves.
//!
//! A variant carries facts, never prose. `Display` is the sentence "what happened, to which thing, why";
//! [`Fault::hint`] is "what to do next", in the words of the app file.

use serde::{Deserialize, Serialize};

use crate::{Exit, Listener};

/// Which probe of a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ProbeKind {
    Startup,
    Readiness,
    Liveness,
}

/// A fault and the container it struck, if it struck one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Diagnosis {
    pub container: Option<String>,
    #[serde(flatten)]
    pub fault: Fault,
    /// The last lines the container printed, newest last; they often say more than any rule.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub log_tail: Vec<String>,
}

/// Everything Pillion can tell apart. `code` in JSON is stable; see `docs/reference/failures.md`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "code", rename_all_fields = "camelCase")]
pub enum Fault {
    // ---- image
    #[serde(rename = "ImageNameInvalid")]
    ImageNameInvalid { image: String, reason: String },
    /// The registry does not know the repository (or hides it from this user).
    #[serde(rename = "ImageNotFound")]
    ImageNotFound { image: String, registry: String },
    #[serde(rename = "ImageTagNotFound")]
    ImageTagNotFound { image: String, tag: String },
    #[serde(rename = "RegistryUnreachable")]
    RegistryUnreachable { image: String, registry: String, reason: String },
    /// Credentials were needed and none were given (`user` none), or those given were refused.
    #[serde(rename = "RegistryLoginRefused")]
    RegistryLoginRefused { image: String, registry: String, user: Option<String> },
    /// The registry answered 429: too many pulls from this address or account.
    #[serde(rename = "RegistryRateLimited")]
    RegistryRateLimited { image: String, registry: String, retry_after_s: Option<u64> },
    #[serde(rename = "RegistryTlsFailed")]
    RegistryTlsFailed { image: String, registry: String, reason: String },
    #[serde(rename = "ImagePlatformMissing")]
    ImagePlatformMissing { image: String, wanted: String, available: Vec<String> },
    #[serde(rename = "ImageDigestMismatch")]
    ImageDigestMismatch { image: String, expected: String, got: String },
    /// A layer tried something that unpacking refuses.
    #[serde(rename = "ImageLayerRefused")]
    ImageLayerRefused { image: String, entry: String, reason: String },
    #[serde(rename = "ImageUnsupported")]
    ImageUnsupported { image: String, reason: String },
    #[serde(rename = "DiskFull")]
    DiskFull { path: String, doing: String },

    // ---- start
    #[serde(rename = "CommandMissing")]
    CommandMissing { command: String, searched: Vec<String> },
    #[serde(rename = "CommandNotExecutable")]
    CommandNotExecutable { command: String },
    /// The kernel does not know the file's format: another CPU's program, or a script with no `#!` line.
    #[serde(rename = "CommandWrongFormat")]
    CommandWrongFormat { command: String, detail: String },
    /// The file is there, but the program that its first line (`#!`) or ELF header names is not.
    #[serde(rename = "InterpreterMissing")]
    InterpreterMissing { command: String, interpreter: String },
    /// The dynamic linker looked for this library and did not find it.
    #[serde(rename = "LibraryMissing")]
    LibraryMissing { command: String, library: String },
    #[serde(rename = "NoCommand")]
    NoCommand { image: String },
    #[serde(rename = "WorkingDirectoryMissing")]
    WorkingDirectoryMissing { path: String },
    #[serde(rename = "UserUnknown")]
    UserUnknown { user: String },
    #[serde(rename = "MountFailed")]
    MountFailed { path: String, reason: String },
    #[serde(rename = "StartFailed")]
    StartFailed { doing: String, reason: String },

    // ---- run
    /// It ended although it should keep running; `after_ms` counts from its start.
    #[serde(rename = "Exited")]
    Exited { exit: Exit, after_ms: u64 },
    #[serde(rename = "PidsLimit")]
    PidsLimit { limit: u64 },
    #[serde(rename = "PortNeverOpened")]
    PortNeverOpened { port: Option<u16>, waited_ms: u64 },
    #[serde(rename = "OtherPortOpened")]
    OtherPortOpened { wanted: u16, found: Vec<Listener> },
    #[serde(rename = "PortTaken")]
    PortTaken { port: u16, holder: String },
    #[serde(rename = "ProbeStatus")]
    ProbeStatus { probe: ProbeKind, url: String, status: u16 },
    #[serde(rename = "ProbeSlow")]
    ProbeSlow { probe: ProbeKind, target: String, timeout_ms: u64 },
    #[serde(rename = "ProbeRefused")]
    ProbeRefused { probe: ProbeKind, target: String, reason: String },
    #[serde(rename = "ProbeExec")]
    ProbeExec { probe: ProbeKind, command: String, exit: Exit, output: String },
    #[serde(rename = "DependencyNeverReady")]
    DependencyNeverReady { dependency: String, condition: String, waited_ms: u64 },
    #[serde(rename = "DependencyFailed")]
    DependencyFailed { dependency: String, condition: String },
    /// The program is in the image, but a volume mounted over its directory hides it.
    #[serde(rename = "VolumeHidesFiles")]
    VolumeHidesFiles { path: String, mount: String, volume: String },
    #[serde(rename = "ReadOnlyWrite")]
    ReadOnlyWrite { path: String },

    // ---- the unit and the host
    #[serde(rename = "NotReadyInTime")]
    NotReadyInTime { waited_ms: u64 },
    #[serde(rename = "SettingMissing")]
    SettingMissing { variable: String, setting: String },
    /// A setting of the platform's own holds what it cannot.
    #[serde(rename = "SettingRefused")]
    SettingRefused { setting: String, reason: String },
    /// The definition that a site's resources make up breaks a rule.
    #[serde(rename = "DefinitionRefused")]
    DefinitionRefused { field: String, reason: String },
    #[serde(rename = "ComposeNotYetSupported")]
    ComposeNotYetSupported { mode: String },
    /// The site runs code on a built-in stack, not an image.
    #[serde(rename = "CodeNotYetSupported")]
    CodeNotYetSupported { stack: String },
    /// The image is to be pulled with a managed identity.
    #[serde(rename = "IdentityPullNotAvailable")]
    IdentityPullNotAvailable { image: String, identity: String },
    #[serde(rename = "HostUnsupported")]
    HostUnsupported { feature: String, reason: String, fix: String },
    #[serde(rename = "HostPathRefused")]
    HostPathRefused { path: String },
    #[serde(rename = "SupervisorLost")]
    SupervisorLost { reason: String },
    /// A failure of Pillion's own; the text is what the layer below said.
    #[serde(rename = "Internal")]
    Internal { doing: String, reason: String },
}

impl Fault {
    /// Returns the stable word for this kind of fault, the same as `code` in JSON.
    pub fn code(&self) -> &'static str {
        match self {
            Fault::ImageNameInvalid { .. } => "ImageNameInvalid",
            Fault::ImageNotFound { .. } => "ImageNotFound",
            Fault::ImageTagNotFound { .. } => "ImageTagNotFound",
            Fault::RegistryUnreachable { .. } => "RegistryUnreachable",
            Fault::RegistryLoginRefused { .. } => "RegistryLoginRefused",
            Fault::RegistryRateLimited { .. } => "RegistryRateLimited",
            Fault::RegistryTlsFailed { .. } => "RegistryTlsFailed",
            Fault::ImagePlatformMissing { .. } => "ImagePlatformMissing",
            Fault::ImageDigestMismatch { .. } => "ImageDigestMismatch",
            Fault::ImageLayerRefused { .. } => "ImageLayerRefused",
            Fault::ImageUnsupported { .. } => "ImageUnsupported",
            Fault::DiskFull { .. } => "DiskFull",
            Fault::CommandMissing { .. } => "CommandMissing",
            Fault::CommandNotExecutable { .. } => "CommandNotExecutable",
            Fault::CommandWrongFormat { .. } => "CommandWrongFormat",
            Fault::InterpreterMissing { .. } => "InterpreterMissing",
            Fault::LibraryMissing { .. } => "LibraryMissing",
            Fault::NoCommand { .. } => "NoCommand",
            Fault::WorkingDirectoryMissing { .. } => "WorkingDirectoryMissing",
            Fault::UserUnknown { .. } => "UserUnknown",
            Fault::MountFailed { .. } => "MountFailed",
            Fault::StartFailed { .. } => "StartFailed",
            Fault::Exited { .. } => "Exited",
            Fault::PidsLimit { .. } => "PidsLimit",
            Fault::PortNeverOpened { .. } => "PortNeverOpened",
            Fault::OtherPortOpened { .. } => "OtherPortOpened",
            Fault::PortTaken { .. } => "PortTaken",
            Fault::ProbeStatus { .. } => "ProbeStatus",
            Fault::ProbeSlow { .. } => "ProbeSlow",
            Fault::ProbeRefused { .. } => "ProbeRefused",
            Fault::ProbeExec { .. } => "ProbeExec",
            Fault::DependencyNeverReady { .. } => "DependencyNeverReady",
            Fault::DependencyFailed { .. } => "DependencyFailed",
            Fault::VolumeHidesFiles { .. } => "VolumeHidesFiles",
            Fault::ReadOnlyWrite { .. } => "ReadOnlyWrite",
            Fault::NotReadyInTime { .. } => "NotReadyInTime",
            Fault::SettingMissing { .. } => "SettingMissing",
            Fault::SettingRefused { .. } => "SettingRefused",
            Fault::DefinitionRefused { .. } => "DefinitionRefused",
            Fault::ComposeNotYetSupported { .. } => "ComposeNotYetSupported",
            Fault::CodeNotYetSupported { .. } => "CodeNotYetSupported",
            Fault::IdentityPullNotAvailable { .. } => "IdentityPullNotAvailable",
            Fault::HostUnsupported { .. } => "HostUnsupported",
            Fault::HostPathRefused { .. } => "HostPathRefused",
            Fault::SupervisorLost { .. } => "SupervisorLost",
            Fault::Internal { .. } => "Internal",
        }
    }
}
