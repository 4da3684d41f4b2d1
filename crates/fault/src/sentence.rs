//! The sentences: what happened, to which thing, why.
//!
//! A sentence is either whole ("image … has no tag …") or a predicate ("did not open port …") whose subject is the
//! container; [`crate::Diagnosis`] puts the two together.

use std::{fmt, time::Duration};

use crate::{Exit, Fault, Listener, OomScope, ProbeKind};

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::ImageNameInvalid { image, reason } => write!(f, "{image:?} is not an image name: {reason}"),
            Fault::ImageNotFound { image, registry } => {
                write!(f, "image {image:?} was not found: registry {registry} has no such repository, or hides it")
            }
            Fault::ImageTagNotFound { image, tag } => write!(f, "image {image:?} has no tag {tag:?}"),
            Fault::RegistryUnreachable { image, registry, reason } => {
                write!(f, "image {image:?} could not be pulled: registry {registry} cannot be reached: {reason}")
            }
            Fault::RegistryLoginRefused { image, registry, user: None } => {
                write!(f, "image {image:?} could not be pulled: registry {registry} wants a login and none was given")
            }
            Fault::RegistryLoginRefused { image, registry, user: Some(user) } => {
                write!(f, "image {image:?} could not be pulled: registry {registry} refused the login of user {user:?}")
            }
            Fault::RegistryRateLimited { image, registry, retry_after_s } => {
                write!(f, "image {image:?} could not be pulled: registry {registry} allows no more pulls")?;
                match retry_after_s {
                    Some(seconds) => write!(f, " for the next {}", span(seconds.saturating_mul(1000))),
                    None => write!(f, " for now"),
                }
            }
            Fault::RegistryTlsFailed { image, registry, reason } => {
                write!(f, "image {image:?} could not be pulled: no TLS connection to registry {registry}: {reason}")
            }
            Fault::ImagePlatformMissing { image, wanted, available } => {
                write!(f, "image {image:?} does not exist for {wanted}, only for {}", list(available))
            }
            Fault::ImageDigestMismatch { image, expected, got } => {
                write!(f, "image {image:?} is not what its digest promises: expected {expected}, got {got}")
            }
            Fault::ImageLayerRefused { image, entry, reason } => {
                write!(f, "image {image:?} was refused for its entry {entry:?}: {reason}")
            }
            Fault::ImageUnsupported { image, reason } => write!(f, "image {image:?} cannot be used: {reason}"),
            Fault::DiskFull { path, doing } => write!(f, "the disk that holds {path} is full ({doing})"),

            Fault::CommandMissing { command, searched } if searched.is_empty() => {
                write!(f, "command {command:?} does not exist in the image")
            }
            Fault::CommandMissing { command, searched } => {
                write!(f, "command {command:?} does not exist in the image; looked in {}", searched.join(", "))
            }
            Fault::CommandNotExecutable { command } => write!(f, "command {command:?} exists but is not executable"),
            Fault::CommandWrongFormat { command, detail } => {
                write!(f, "command {command:?} is no program that this machine can run: {detail}")
            }
            Fault::InterpreterMissing { command, interpreter } => {
                write!(f, "command {command:?} needs {interpreter:?} to run, which does not exist in the image")
            }
            Fault::LibraryMissing { command, library } => {
                write!(f, "command {command:?} needs the library {library:?}, which does not exist in the image")
            }
            Fault::NoCommand { image } => {
                write!(f, "nothing to run: image {image:?} names no command, and neither does the app file")
            }
            Fault::WorkingDirectoryMissing { path } => {
                write!(f, "working directory {path:?} is no directory of the image and cannot be made one")
            }
            Fault::UserUnknown { user } => write!(f, "user {user:?} does not exist in the image"),
            Fault::MountFailed { path, reason } => write!(f, "nothing could be mounted on {path:?}: {reason}"),
            Fault::StartFailed { doing, reason } => write!(f, "could not be started: {doing}: {reason}"),

            Fault::Exited { exit, after_ms } => ended(f, exit, *after_ms),
            Fault::PidsLimit { limit } => write!(f, "reached its limit of {limit} processes and threads"),
            Fault::PortNeverOpened { port: Some(port), waited_ms } => {
                write!(f, "did not open port {port} within {}", span(*waited_ms))
            }
            Fault::PortNeverOpened { port: None, waited_ms } => {
                write!(f, "did not open any port within {}", span(*waited_ms))
            }
            Fault::OtherPortOpened { wanted, found } => {
                write!(f, "was expected to listen on port {wanted}, but listens on {}", ports(found))
            }
            Fault::PortTaken { port, holder } => write!(f, "wants port {port}, which {holder:?} already has"),
            Fault::ProbeStatus { probe, url, status } => {
                write!(f, "failed its {} probe: GET {url} answered {status}", probe.word())
            }
            Fault::ProbeSlow { probe, target, timeout_ms } => {
                write!(f, "failed its {} probe: {target} did not answer within {}", probe.word(), span(*timeout_ms))
            }
            Fault::ProbeRefused { probe, target, reason } => {
                write!(f, "failed its {} probe: no connection to {target}: {reason}", probe.word())
            }
            Fault::ProbeExec { probe, command, exit, output } => {
                write!(f, "failed its {} probe: `{command}` ended with {exit}", probe.word())?;
                match output.lines().map(str::trim).find(|line| !line.is_empty()) {
                    Some(line) => write!(f, ": {line}"),
                    None => Ok(()),
                }
            }
            Fault::DependencyNeverReady { dependency, condition, waited_ms } => {
                write!(f, "was not started: {dependency:?} was not {condition} within {}", span(*waited_ms))
            }
            Fault::DependencyFailed { dependency, condition } => {
                write!(f, "was not started: {dependency:?} failed before it was {condition}")
            }
            Fault::VolumeHidesFiles { path, mount, volume } => {
                write!(f, "cannot run {path:?}: volume {volume:?}, mounted on {mount:?}, hides it")
            }
            Fault::ReadOnlyWrite { path } => write!(f, "tried to write {path:?}, which is read-only"),

            Fault::NotReadyInTime { waited_ms } => write!(f, "was not ready within {}", span(*waited_ms)),
            Fault::SettingMissing { variable, setting } => {
                write!(f, "variable {variable:?} takes its value from setting {setting:?}, which does not exist")
            }
            Fault::SettingRefused { setting, reason } => write!(f, "app setting {setting:?} cannot be used: {reason}"),
            Fault::DefinitionRefused { field, reason } if field.is_empty() => write!(f, "the site cannot run: {reason}"),
            Fault::DefinitionRefused { field, reason } => write!(f, "the site cannot run: {field}: {reason}"),
            Fault::ComposeNotYetSupported { mode } => {
                write!(f, "the site runs a compose file (linuxFxVersion {mode}|…), which this version of Pillion cannot run yet")
            }
            Fault::CodeNotYetSupported { stack } => {
                write!(f, "the site runs code on the built-in stack {stack:?}, and code-only apps come in a later version")
            }
            Fault::IdentityPullNotAvailable { image, identity } => {
                write!(f, "image {image:?} is to be pulled with {identity}, and managed identities cannot pull images yet")
            }
            Fault::HostUnsupported { feature, reason, fix: _ } => write!(f, "this host cannot do {feature}: {reason}"),
            Fault::HostPathRefused { path } => {
                write!(f, "the server's settings do not allow apps to use the host directory {path:?}")
            }
            Fault::SupervisorLost { reason } => write!(f, "the instance's supervisor is gone: {reason}"),
            Fault::Internal { doing, reason } => write!(f, "Pillion itself failed while {doing}: {reason}"),
        }
    }
}

impl std::error::Error for Fault {}

/// How a sentence joins to the name of the container it is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Voice {
    /// A sentence of its own: `container "web": image …`.
    Whole,
    /// The container is its subject: `container "web" did not open …`.
    Predicate,
}

impl Fault {
    pub(crate) fn voice(&self) -> Voice {
        match self {
            Fault::ImageNameInvalid { .. }
            | Fault::ImageNotFound { .. }
            | Fault::ImageTagNotFound { .. }
            | Fault::RegistryUnreachable { .. }
            | Fault::RegistryLoginRefused { .. }
            | Fault::RegistryRateLimited { .. }
            | Fault::RegistryTlsFailed { .. }
            | Fault::ImagePlatformMissing { .. }
            | Fault::ImageDigestMismatch { .. }
            | Fault::ImageLayerRefused { .. }
            | Fault::ImageUnsupported { .. }
            | Fault::DiskFull { .. }
            | Fault::CommandMissing { .. }
            | Fault::CommandNotExecutable { .. }
            | Fault::CommandWrongFormat { .. }
            | Fault::InterpreterMissing { .. }
            | Fault::LibraryMissing { .. }
            | Fault::NoCommand { .. }
            | Fault::WorkingDirectoryMissing { .. }
            | Fault::UserUnknown { .. }
            | Fault::MountFailed { .. }
            | Fault::SettingMissing { .. }
            | Fault::SettingRefused { .. }
            | Fault::DefinitionRefused { .. }
            | Fault::ComposeNotYetSupported { .. }
            | Fault::CodeNotYetSupported { .. }
            | Fault::IdentityPullNotAvailable { .. }
            | Fault::HostUnsupported { .. }
            | Fault::HostPathRefused { .. }
            | Fault::SupervisorLost { .. }
            | Fault::Internal { .. } => Voice::Whole,
            Fault::StartFailed { .. }
            | Fault::Exited { .. }
            | Fault::PidsLimit { .. }
            | Fault::PortNeverOpened { .. }
            | Fault::OtherPortOpened { .. }
            | Fault::PortTaken { .. }
            | Fault::ProbeStatus { .. }
            | Fault::ProbeSlow { .. }
            | Fault::ProbeRefused { .. }
            | Fault::ProbeExec { .. }
            | Fault::DependencyNeverReady { .. }
            | Fault::DependencyFailed { .. }
            | Fault::VolumeHidesFiles { .. }
            | Fault::ReadOnlyWrite { .. }
            | Fault::NotReadyInTime { .. } => Voice::Predicate,
        }
    }
}

impl ProbeKind {
    /// Returns the probe's word in sentences.
    pub fn word(self) -> &'static str {
        match self {
            ProbeKind::Startup => "startup",
            ProbeKind::Readiness => "readiness",
            ProbeKind::Liveness => "liveness",
        }
    }

    /// Returns the probe's key in the app file.
    pub fn key(self) -> &'static str {
        match self {
            ProbeKind::Startup => "startup",
            ProbeKind::Readiness => "probe",
            ProbeKind::Liveness => "liveness",
        }
    }
}

fn ended(f: &mut fmt::Formatter<'_>, exit: &Exit, after_ms: u64) -> fmt::Result {
    let after = span(after_ms);
    match exit {
        Exit::Code { code: 0 } => write!(f, "ended with exit code 0 after {after}, though it should keep running"),
        Exit::Code { .. } => write!(f, "ended with {exit} after {after}"),
        Exit::Signal { .. } => write!(f, "was ended by {exit} after {after}"),
        Exit::Oom { scope: OomScope::Limit { .. } | OomScope::Host } => write!(f, "was {exit}, after {after}"),
    }
}

/// Returns a length of time as people say it: `12 ms`, `1.5 s`, `230 s`.
pub(crate) fn span(ms: u64) -> String {
    match ms {
        0..1000 => format!("{ms} ms"),
        1000..10_000 if !ms.is_multiple_of(1000) => format!("{:.1} s", Duration::from_millis(ms).as_secs_f64()),
        _ => format!("{} s", ms / 1000),
    }
}

fn list(names: &[String]) -> String {
    if names.is_empty() { "nothing that it names".to_owned() } else { names.join(", ") }
}

fn ports(found: &[Listener]) -> String {
    if found.is_empty() {
        return "none".to_owned();
    }
    let one = |l: &Listener| match &l.process {
        Some(process) => format!("{} ({process})", l.address.port()),
        None => l.address.port().to_string(),
    };
    let mut said: Vec<String> = Vec::new();
    for text in found.iter().map(one) {
        if !said.contains(&text) {
            said.push(text);
        }
    }
    said.join(", ")
}
