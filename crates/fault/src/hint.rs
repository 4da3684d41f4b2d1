//! The way out of each fault, in the words of the app file or of App Service's resources.

mod app_service;

use crate::{Exit, Fault, Listener, OomScope, ProbeKind, exit::size, sentence::span};

/// How changed settings of the server come into force.
const RELOAD: &str = "run `pillion system reload` and apply again";

/// What people describe an app in, and so what a hint speaks of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Words {
    AppFile,
    AppService,
}

impl Fault {
    /// Returns what to do next; none where nothing general can be said.
    pub fn hint_in(&self, words: Words) -> Option<String> {
        match words {
            Words::AppFile => self.hint(),
            Words::AppService => app_service::hint(self).or_else(|| self.hint()),
        }
    }

    /// Returns what to do next, in the words of the app file; none where nothing general can be said.
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Fault::ImageNameInvalid { .. } => {
                "write `image:` as [REGISTRY/]NAME[:TAG] in lower case, for example `docker.io/library/redis:7`".to_owned()
            }
            Fault::ImageNotFound { registry, .. } => {
                format!("correct the name in `image:`; if the repository is private, run `{}` and apply again", login(registry))
            }
            Fault::ImageTagNotFound { image, .. } => {
                format!("set `image: {}:TAG` to a tag that the registry has", without_tag(image))
            }
            Fault::RegistryUnreachable { registry, .. } => {
                format!("check the registry's name in `image:` and that this machine reaches {registry}, then apply again")
            }
            Fault::RegistryLoginRefused { registry, .. } => {
                format!("run `{}` and apply again", login(registry))
            }
            Fault::RegistryRateLimited { registry, .. } => {
                format!("run `{}` for a higher limit, or apply again later", login(registry))
            }
            Fault::RegistryTlsFailed { registry, .. } => format!(
                "list the file with its certificate authority under `registryCertificates` in the server's settings, or, if it \
                 speaks plain HTTP, add `insecureRegistries: ['{registry}']` there; {RELOAD}"
            ),
            Fault::ImagePlatformMissing { wanted, .. } => {
                format!("set `image:` to one that is built for {wanted}, or build it for that platform")
            }
            Fault::ImageDigestMismatch { .. } => {
                "apply again; if it stays, correct the digest in `image:` or have the image pushed again".to_owned()
            }
            Fault::ImageLayerRefused { .. } => "build the image anew without that entry".to_owned(),
            Fault::ImageUnsupported { .. } => "set `image:` to an OCI or Docker schema 2 image for Linux containers".to_owned(),
            Fault::DiskFull { path, .. } => {
                format!("free space on the disk that holds {path}, for example with `pillion image prune`, and apply again")
            }

            Fault::CommandMissing { .. } => {
                "set `command:` or `entrypoint:` to a program in the image, by its full path or a name in its PATH".to_owned()
            }
            Fault::CommandNotExecutable { command } => format!(
                "make it executable when the image is built (`chmod +x {command}`), or run it through its interpreter: \
                 `entrypoint: [sh, {command}]`"
            ),
            Fault::CommandWrongFormat { command, .. } => format!(
                "use an image for this machine's CPU; a script needs a first line such as `#!/bin/sh`, or \
                 `entrypoint: [sh, {command}]`"
            ),
            Fault::InterpreterMissing { interpreter, .. } => {
                format!(
                    "set `image:` to one that has {interpreter}, or correct the script's first line (end it in LF, not CR LF)"
                )
            }
            Fault::LibraryMissing { library, .. } => {
                format!("add {library} to the image; `pillion image pack` finds a program's libraries by itself")
            }
            Fault::NoCommand { .. } => "set `command:` on this container to the program and its arguments".to_owned(),
            Fault::WorkingDirectoryMissing { path } => {
                format!("set `workingDir:` to a directory that the image has, or make {path} when the image is built")
            }
            Fault::UserUnknown { .. } => {
                "set `user:` to a name in the image's /etc/passwd, or to numbers such as `user: \"1000:1000\"`".to_owned()
            }
            Fault::MountFailed { path, .. } => format!("mount the volume elsewhere, or make {path} a directory in the image"),
            Fault::StartFailed { .. } => return None,

            Fault::Exited { exit, .. } => return ended(exit),
            Fault::PidsLimit { limit } => format!(
                "set `resources: {{ pids: {} }}` on this container, or make the program start fewer threads",
                limit.saturating_mul(2)
            ),
            Fault::PortNeverOpened { port: Some(port), .. } => {
                format!("make the program listen on {port}, or set `port:` on this container to the port that it opens")
            }
            Fault::PortNeverOpened { port: None, .. } => {
                "make the program listen on a TCP port, or set `probe: none` if it serves nothing".to_owned()
            }
            Fault::OtherPortOpened { wanted, found } => other_port(*wanted, found),
            Fault::PortTaken { port, holder } => format!(
                "give this container another port, in `port:` and in the program's own options; all containers of an \
                 instance share one network, and {holder:?} has {port}"
            ),
            Fault::ProbeStatus { probe, status, .. } => probe_status(*probe, *status),
            Fault::ProbeSlow { probe, timeout_ms, .. } => format!(
                "set `timeout: {}` in `{}:` of this container, or make the answer quicker",
                span(timeout_ms.saturating_mul(5)).replace(' ', ""),
                probe.key()
            ),
            Fault::ProbeRefused { probe, .. } => {
                format!("check the port in `{}:` of this container against the port that the program opens", probe.key())
            }
            Fault::ProbeExec { probe, .. } => {
                format!("correct the command in `exec:` of `{}:`, or what it finds missing", probe.key())
            }
            Fault::DependencyNeverReady { dependency, condition, .. } => format!(
                "find out why {dependency:?} is not {condition} (`pillion status APP`), or set `dependsOn: {{ {dependency}: \
                 started }}`"
            ),
            Fault::DependencyFailed { dependency, .. } => {
                format!("repair {dependency:?} first: `pillion logs APP -c {dependency}`")
            }
            Fault::VolumeHidesFiles { volume, mount, .. } => {
                format!("mount volume {volume:?} on a directory that holds nothing the program needs, not on {mount}")
            }
            Fault::ReadOnlyWrite { path } => {
                format!("mount a volume or `tmpfs: [{{ path: {} }}]` there, or take `readOnly: true` away", parent(path))
            }

            Fault::NotReadyInTime { waited_ms } => format!(
                "set `readyWithin: {}` if it only needs longer; otherwise `pillion logs APP` says what it waits for",
                waited_ms.saturating_mul(2).div_ceil(1000)
            ),
            Fault::SettingMissing { setting, .. } => format!(
                "add `settings: {{ {setting}: … }}` to the app; of a site managed with az, add the app setting {setting}, or set \
                 the app setting PILLION_ENV_LITERALS=1 to have such values taken as they are"
            ),
            Fault::SettingRefused { setting, .. } => format!("correct the app setting {setting}, or delete it"),
            Fault::DefinitionRefused { .. } => return None,
            Fault::ComposeNotYetSupported { .. } => {
                "convert the site: `az webapp sitecontainers convert --mode sitecontainers`, or set linuxFxVersion to SITECONTAINERS \
                 and create one site container for each service"
                    .to_owned()
            }
            Fault::CodeNotYetSupported { .. } => {
                "build the code into an image, set linuxFxVersion to SITECONTAINERS and create a site container with isMain true"
                    .to_owned()
            }
            Fault::IdentityPullNotAvailable { .. } => {
                "set authType to UserCredentials with userName and passwordSecret, or to Anonymous".to_owned()
            }
            Fault::HostUnsupported { fix, .. } => fix.clone(),
            Fault::HostPathRefused { path } => {
                format!(
                    "add `allowHostPaths: ['{path}']` to the server's settings, {RELOAD}; or use a volume with `persistent: \
                     true` instead"
                )
            }
            Fault::SupervisorLost { .. } => {
                "nothing to do: the instance is replaced; if it goes on, see the host's log".to_owned()
            }
            Fault::Internal { .. } => return None,
        };
        Some(hint)
    }
}

fn ended(exit: &Exit) -> Option<String> {
    let hint = match exit {
        Exit::Code { code: 0 } => {
            "make the program stay in the foreground (no daemon option), or set `runOnce: true` on a sidecar that is \
             meant to end"
                .to_owned()
        }
        Exit::Code { code: 126 | 127 } => {
            "a shell in it did not find, or could not execute, a program: check `command:` against the image".to_owned()
        }
        Exit::Code { .. } => "its own last lines say why; all of them: `pillion logs APP -c CONTAINER`".to_owned(),
        // SIGSYS: a seccomp filter that kills; Pillion's own filter never does.
        Exit::Signal { signal: 31, .. } => "the program asked for a system call that it forbids itself".to_owned(),
        Exit::Signal { signal: 9, .. } => {
            "something outside the container killed it (not for memory): look for who on the host".to_owned()
        }
        Exit::Signal { signal: 4 | 6 | 7 | 8 | 11, .. } => {
            "the program crashed: its own last lines may say why; try another version of its image".to_owned()
        }
        Exit::Signal { .. } => "something sent it that signal; its own last lines may say what".to_owned(),
        Exit::Oom { scope: OomScope::Limit { bytes } } => format!(
            "set `resources: {{ memory: {} }}` on this container, or make the program use less",
            size(bytes.saturating_mul(2))
        ),
        Exit::Oom { scope: OomScope::Host } => {
            "give the host more memory, or run less on it: lower `scale`, or set `resources: { memory: … }` so that one \
             container cannot take it all"
                .to_owned()
        }
    };
    Some(hint)
}

fn other_port(wanted: u16, found: &[Listener]) -> String {
    let loopback_or_any = found.iter().map(|l| l.address.port()).find(|&port| port != wanted);
    match loopback_or_any {
        Some(port) => format!("set `port: {port}` on this container or make the program listen on {wanted}"),
        None => format!("make the program listen on {wanted}, or set `port:` on this container to the port that it opens"),
    }
}

fn probe_status(probe: ProbeKind, status: u16) -> String {
    let key = probe.key();
    match status {
        404 => format!("set `{key}: {{ http: PATH }}` to a path that the program answers"),
        401 | 403 => {
            format!("give the probe a path that needs no login, or `statuses: \"200-399,{status}\"` in `http:` of `{key}:`")
        }
        500.. => format!(
            "the program says itself that it is not well, see `pillion logs APP`; if {status} is a good answer there, set \
             `statuses: \"200-399,{status}\"` in `http:` of `{key}:`"
        ),
        _ => format!("set `statuses: \"200-399,{status}\"` in `http:` of `{key}:` if that is a good answer, or another path"),
    }
}

/// Returns the command that logs in; Docker Hub's credentials are kept under no host name of their own.
fn login(registry: &str) -> String {
    match registry {
        "docker.io" | "index.docker.io" | "registry-1.docker.io" => "docker login".to_owned(),
        other => format!("docker login {other}"),
    }
}

fn without_tag(image: &str) -> &str {
    let name = image.split('@').next().unwrap_or(image);
    let last = name.rfind('/').map_or(0, |slash| slash + 1);
    name[last..].find(':').map_or(name, |colon| &name[..last + colon])
}

fn parent(path: &str) -> &str {
    match path.rfind('/') {
        Some(slash) if slash > 0 => &path[..slash],
        _ => path,
    }
}
