//! The way out of a fault where a site of App Service's resources stands behind: its fields, its app settings, `az`.

use crate::{Exit, Fault, Listener, OomScope, ProbeKind, exit::size};

const LOGIN: &str = "give the site container authType UserCredentials with userName and passwordSecret \
                     (`az webapp sitecontainers update --registry-username … --registry-password …`)";

/// Returns what differs from the words of the app file.
pub(super) fn hint(fault: &Fault) -> Option<String> {
    let hint = match fault {
        Fault::ImageNameInvalid { .. } => {
            "write the image as [REGISTRY/]NAME[:TAG] in lower case, for example `docker.io/library/redis:7`".to_owned()
        }
        Fault::ImageNotFound { .. } => format!("correct the site container's image; if the repository is private, {LOGIN}"),
        Fault::ImageTagNotFound { image, .. } => {
            format!("set the site container's image to `{}:TAG` with a tag that the registry has", super::without_tag(image))
        }
        Fault::RegistryUnreachable { registry, .. } => format!(
            "check the registry's name in the site container's image and that this machine reaches {registry}, then \
             `az webapp restart`"
        ),
        Fault::RegistryLoginRefused { .. } => LOGIN.to_owned(),
        Fault::RegistryRateLimited { .. } => format!("{LOGIN} for a higher limit, or `az webapp restart` later"),
        Fault::ImagePlatformMissing { wanted, .. } => {
            format!("set the site container's image to one that is built for {wanted}, or build it for that platform")
        }
        Fault::CommandMissing { .. } | Fault::NoCommand { .. } => {
            "set startUpCommand (`--startup-cmd`) to a program in the image, by its full path or a name in its PATH".to_owned()
        }
        Fault::CommandNotExecutable { command } => format!(
            "make it executable when the image is built (`chmod +x {command}`), or run it through its interpreter: \
             `--startup-cmd \"sh {command}\"`"
        ),
        Fault::InterpreterMissing { interpreter, .. } => format!(
            "set the site container's image to one that has {interpreter}, or correct the script's first line (end it in LF, \
             not CR LF)"
        ),
        Fault::WorkingDirectoryMissing { path } => format!("make {path} when the image is built"),
        Fault::UserUnknown { .. } => "make the user when the image is built, or have it run as another".to_owned(),
        Fault::MountFailed { path, .. } => {
            format!("set the containerMountPath of the volume mount elsewhere, or make {path} a directory in the image")
        }
        Fault::PidsLimit { .. } => "make the program start fewer threads".to_owned(),
        Fault::PortNeverOpened { port: Some(port), .. } => {
            format!("make the program listen on {port}, or {}", port_setting(None))
        }
        Fault::PortNeverOpened { port: None, .. } => "make the program listen on a TCP port".to_owned(),
        Fault::OtherPortOpened { wanted, found } => other_port(*wanted, found),
        Fault::PortTaken { port, holder } => format!(
            "give this site container another port, in targetPort (`--target-port`) and in the program's own options; all \
             containers of a site share one network, and {holder:?} has {port}"
        ),
        Fault::ProbeStatus { probe: ProbeKind::Startup, status, .. } => format!(
            "set the app setting WEBSITE_WARMUP_PATH to a path that the program answers well, or WEBSITE_WARMUP_STATUSES to a \
             list that holds {status}"
        ),
        Fault::ProbeStatus { .. } | Fault::ProbeRefused { probe: ProbeKind::Readiness | ProbeKind::Liveness, .. } => {
            "set the site's healthCheckPath to a path that the program answers with 200 to 299, or see what it says: \
             `az webapp log tail`"
                .to_owned()
        }
        Fault::ProbeSlow { .. } => "make the answer quicker, or set the path to one that answers at once".to_owned(),
        Fault::ProbeRefused { probe: ProbeKind::Startup, .. } => {
            format!("make the program listen on the port that is asked, or {}", port_setting(None))
        }
        Fault::VolumeHidesFiles { volume, mount, .. } => format!(
            "set the containerMountPath of volume {volume:?} to a directory that holds nothing the program needs, not {mount}"
        ),
        Fault::ReadOnlyWrite { path } => {
            format!("give the site container a volume mount on {}", super::parent(path))
        }
        Fault::NotReadyInTime { waited_ms } => format!(
            "set the app setting WEBSITES_CONTAINER_START_TIME_LIMIT to {} seconds if it only needs longer; otherwise \
             `az webapp log tail` shows what it waits for",
            waited_ms.saturating_mul(2).div_ceil(1000).min(1800)
        ),
        Fault::SettingMissing { setting, .. } => format!(
            "add the app setting {setting}, or set the app setting PILLION_ENV_LITERALS=1 to have such values taken as they are"
        ),
        Fault::Exited { exit: Exit::Code { code: 0 }, .. } => {
            "make the program stay in the foreground (no daemon option)".to_owned()
        }
        Fault::Exited { exit: Exit::Code { code: 126 | 127 }, .. } => {
            "a shell in it did not find, or could not execute, a program: check startUpCommand against the image".to_owned()
        }
        Fault::Exited { exit: Exit::Code { .. }, .. } => {
            "its own last lines say why; all of them: `az webapp log download`, or while it runs `az webapp log tail`".to_owned()
        }
        Fault::Exited { exit: Exit::Oom { scope: OomScope::Limit { bytes } }, .. } => format!(
            "choose a size of plan with more than {} of memory (`az appservice plan update --sku …`), or make the program use \
             less",
            size(*bytes)
        ),
        Fault::Exited { exit: Exit::Oom { scope: OomScope::Host }, .. } => {
            "give the host more memory, or run less on it: `az appservice plan update --number-of-workers …`".to_owned()
        }
        Fault::CommandWrongFormat { command, .. } => format!(
            "use an image for this machine's CPU; a script needs a first line such as `#!/bin/sh`, or \
             `--startup-cmd \"sh {command}\"`"
        ),
        Fault::ImageDigestMismatch { .. } => {
            "`az webapp restart`; if it stays, correct the digest in the site container's image or have the image pushed again"
                .to_owned()
        }
        // Nothing in them is of the app file.
        Fault::RegistryTlsFailed { .. }
        | Fault::ImageLayerRefused { .. }
        | Fault::ImageUnsupported { .. }
        | Fault::DiskFull { .. }
        | Fault::LibraryMissing { .. }
        | Fault::StartFailed { .. }
        | Fault::Exited { exit: Exit::Signal { .. }, .. }
        | Fault::SettingRefused { .. }
        | Fault::DefinitionRefused { .. }
        | Fault::ComposeNotYetSupported { .. }
        | Fault::CodeNotYetSupported { .. }
        | Fault::IdentityPullNotAvailable { .. }
        | Fault::HostUnsupported { .. }
        | Fault::SupervisorLost { .. }
        | Fault::Internal { .. } => return None,
        // A site has neither such checks, nor dependencies, nor directories of the host.
        Fault::ProbeExec { .. }
        | Fault::DependencyNeverReady { .. }
        | Fault::DependencyFailed { .. }
        | Fault::HostPathRefused { .. } => return None,
    };
    Some(hint)
}

fn other_port(wanted: u16, found: &[Listener]) -> String {
    let other = found.iter().map(|listener| listener.address.port()).find(|&port| port != wanted);
    format!("{}, or make the program listen on {wanted}", port_setting(other))
}

fn port_setting(port: Option<u16>) -> String {
    let port = port.map_or_else(|| "the port that it opens".to_owned(), |port| port.to_string());
    format!("set targetPort (`--target-port`), or the app setting WEBSITES_PORT where there is none, to {port}")
}
