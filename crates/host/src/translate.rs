//! From an app's definition and its images to what a supervisor is told.

use std::collections::BTreeMap;

use pillion_engine::Instance;
use pillion_fault::{Diagnosis, Fault};
use pillion_image::{Image, ImageConfig};
use pillion_model::{Check, Condition, Container, ContainerName, Network, Probe, VolumeMount};
use pillion_runtime::spec::{ContainerSpec as RunSpec, IdRange, Limits, MountSpec, NetworkSpec, RootSpec, SandboxSpec};
use pillion_supervisor::spec::{self, ContainerSpec, InstanceSpec, RestartPolicy};

use crate::{
    HostSettings,
    instance_dir::InstanceDir,
    volumes::{self, Place},
};

const DEFAULT_PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
const DEFAULT_SHM: u64 = 64 << 20;
/// Enough for a thread pool of any runtime, few enough that a fork bomb ends in its own container.
const DEFAULT_PIDS: u64 = 4096;
const SIGTERM: i32 = 15;

/// What else a spec is made of.
pub(crate) struct Surroundings<'a> {
    pub(crate) settings: &'a HostSettings,
    pub(crate) dir: &'a InstanceDir,
    pub(crate) ids: Option<IdRange>,
    /// None for an app without a network.
    pub(crate) network: NetworkSpec,
    pub(crate) images: &'a BTreeMap<ContainerName, Image>,
    pub(crate) generation: u64,
}

/// What the engine keeps in a supervisor's labels.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Labels {
    pub(crate) app: pillion_model::AppName,
    pub(crate) revision: u64,
    pub(crate) index: u32,
    /// Digest of each container's image, so that an adopted instance keeps its lease.
    pub(crate) images: BTreeMap<String, String>,
}

/// Builds the spec of an instance.
///
/// # Errors
/// A container without any command, a volume that cannot be had.
pub(crate) fn instance(instance: &Instance, around: &Surroundings<'_>) -> Result<InstanceSpec, Diagnosis> {
    let app = &instance.definition;
    let labels = Labels {
        app: instance.app.clone(),
        revision: instance.revision,
        index: instance.index,
        images: around.images.iter().map(|(name, image)| (name.to_string(), image.digest.to_string())).collect(),
    };
    let containers = app
        .containers
        .iter()
        .map(|(name, container)| {
            translate_container(instance, name, container, around).map_err(|fault| Diagnosis {
                container: Some(name.to_string()),
                fault,
                log_tail: Vec::new(),
            })
        })
        .collect::<Result<Vec<_>, _>>()?;
    Ok(InstanceSpec {
        id: instance.id.to_string(),
        generation: around.generation,
        labels: serde_json::to_value(&labels).map_err(|error| Diagnosis {
            container: None,
            fault: Fault::Internal { doing: "writing an instance's labels".to_owned(), reason: error.to_string() },
            log_tail: Vec::new(),
        })?,
        sandbox: SandboxSpec {
            dir: around.dir.run.join("sandbox"),
            hostname: instance.id.to_string(),
            ids: around.ids,
            network: around.network.clone(),
            cgroup: around.settings.cgroup_parent.join(instance.id.as_str()),
            host_names: app.containers.keys().map(ToString::to_string).collect(),
        },
        containers,
        log_dir: around.dir.logs.clone(),
        log_limits: spec::LogLimits { file_bytes: around.settings.logs.file_bytes, files: around.settings.logs.files },
        gate_owner: around.settings.gateway_owner,
        gate: Some(around.dir.gate.clone()),
    })
}

/// Returns the network an app asks for; `address` is the instance's.
pub(crate) fn network(
    wish: Network,
    settings: &HostSettings,
    address: Option<std::net::Ipv4Addr>,
    nameservers: Vec<String>,
) -> NetworkSpec {
    match (wish, address) {
        (Network::Outbound, Some(address)) => NetworkSpec::Bridged {
            bridge: settings.bridge.clone(),
            address,
            prefix: settings.subnet.prefix,
            gateway: settings.subnet.gateway(),
            nameservers,
            search: Vec::new(),
        },
        (Network::None, _) | (Network::Outbound, None) => NetworkSpec::None,
    }
}

fn translate_container(
    instance: &Instance,
    name: &ContainerName,
    container: &Container,
    around: &Surroundings<'_>,
) -> Result<ContainerSpec, Fault> {
    let image = around.images.get(name).ok_or_else(|| Fault::Internal {
        doing: format!("describing container `{name}`"),
        reason: "its image was not prepared".to_owned(),
    })?;
    let config = &image.config;
    let argv = argv(container, config);
    if argv.is_empty() {
        return Err(Fault::NoCommand { image: container.image.clone() });
    }
    let mut mounts = Vec::new();
    for mount in &container.volumes {
        mounts.push(volume_mount(instance, mount, around)?);
    }
    mounts.extend(
        container.tmpfs.iter().map(|tmpfs| MountSpec::Tmpfs { path: (&tmpfs.path).into(), size: tmpfs.size.map(|size| size.0) }),
    );
    mounts.extend(container.files.iter().map(|file| MountSpec::File {
        content: file.content.clone(),
        mode: file.mode.as_deref().and_then(|mode| u32::from_str_radix(mode, 8).ok()).unwrap_or(0o644),
        path: (&file.path).into(),
    }));
    let run = RunSpec {
        name: name.to_string(),
        root: RootSpec {
            layers: image.layers.clone(),
            scratch: around.dir.scratch(name.as_str()),
            read_only: container.read_only,
        },
        argv,
        env: environment(config, instance.env.get(name).map_or(&[], Vec::as_slice)),
        cwd: container
            .working_dir
            .clone()
            .or_else(|| Some(config.working_dir.clone()).filter(|dir| !dir.is_empty()))
            .unwrap_or_else(|| "/".to_owned()),
        user: container.user.clone().unwrap_or_else(|| config.user.clone()),
        mounts,
        limits: Limits {
            memory: container.resources.memory.map(|bytes| bytes.0),
            cpu_millis: container.resources.cpu.map(thousandths),
            pids: Some(container.resources.pids.unwrap_or(DEFAULT_PIDS)),
        },
        rlimits: container.ulimits.iter().map(|(name, limit)| (name.clone(), limit.soft, limit.hard)).collect(),
        shm_size: container.shm_size.map_or(DEFAULT_SHM, |size| size.0),
        terminal: false,
    };
    let stop_signal = container.stop.signal.as_deref().or(config.stop_signal.as_deref()).and_then(signal_number);
    Ok(ContainerSpec {
        run,
        main: container.main,
        port: container.port,
        depends_on: container
            .depends_on
            .iter()
            .map(|(on, condition)| (on.to_string(), translate_condition(*condition)))
            .collect(),
        startup: container.startup.as_ref().and_then(|probe| translate_probe(probe, container.port)),
        readiness: container.probe.as_ref().and_then(|probe| translate_probe(probe, container.port)),
        liveness: container.liveness.as_ref().and_then(|probe| translate_probe(probe, container.port)),
        restart: if container.run_once { RestartPolicy::OnFailure } else { RestartPolicy::Always },
        essential: container.essential || container.main,
        stop_signal: stop_signal.unwrap_or(SIGTERM),
        stop_grace_ms: container.stop.grace.map_or(10_000, milliseconds),
    })
}

/// An app's entrypoint replaces the image's and its command too, as Docker has it; an app's command alone keeps the entrypoint.
fn argv(container: &Container, image: &ImageConfig) -> Vec<String> {
    let (entrypoint, command) = match (&container.entrypoint, &container.command) {
        (Some(entrypoint), command) => (entrypoint, command.as_deref().unwrap_or(&[])),
        (None, Some(command)) => (&image.entrypoint, command.as_slice()),
        (None, None) => (&image.entrypoint, image.cmd.as_slice()),
    };
    entrypoint.iter().chain(command).cloned().collect()
}

/// The image's variables, then the app's over them; a later one of the same name wins its first place.
fn environment(image: &ImageConfig, own: &[(String, String)]) -> Vec<String> {
    let mut merged: indexmap::IndexMap<&str, &str> = indexmap::IndexMap::new();
    let pairs = std::iter::once(DEFAULT_PATH).chain(image.env.iter().map(String::as_str)).filter_map(|pair| pair.split_once('='));
    merged.extend(pairs);
    merged.extend(own.iter().map(|(name, value)| (name.as_str(), value.as_str())));
    merged.into_iter().map(|(name, value)| format!("{name}={value}")).collect()
}

fn volume_mount(instance: &Instance, mount: &VolumeMount, around: &Surroundings<'_>) -> Result<MountSpec, Fault> {
    let path = (&mount.path).into();
    let read_only = mount.read_only;
    let sub_path = mount.sub_path.as_deref().map(|sub| sub.trim_start_matches('/').into());
    Ok(match volumes::place(around.settings, &instance.definition, around.dir, &mount.volume, around.ids)? {
        Place::Own(source) => MountSpec::Volume { source, sub_path, path, read_only },
        Place::Host(source) => MountSpec::Host {
            source: sub_path.map_or(source.clone(), |sub: std::path::PathBuf| source.join(sub)),
            path,
            read_only,
        },
    })
}

fn translate_condition(condition: Condition) -> spec::Condition {
    match condition {
        Condition::Started => spec::Condition::Started,
        Condition::Healthy => spec::Condition::Healthy,
        Condition::Completed => spec::Condition::Completed,
    }
}

/// `port` is the container's own.
pub(crate) fn translate_check(check: &Check, port: Option<u16>) -> Option<spec::Check> {
    Some(match check {
        Check::Http(http) => spec::Check::Http {
            port: http.port.or(port),
            path: http.path.clone(),
            headers: http.headers.iter().map(|(name, value)| (name.clone(), value.clone())).collect(),
            // Validation has refused what cannot be read.
            statuses: http.status_ranges().unwrap_or_else(|_| vec![(200, 399)]),
        },
        Check::Tcp(port) => spec::Check::Tcp { port: Some(*port) },
        Check::Exec(argv) => spec::Check::Exec { argv: argv.clone() },
        Check::None(_) => return None,
    })
}

/// Defaults: checks 10 s apart and at most 1 s each, three failures in a row, 230 s to start.
fn translate_probe(probe: &Probe, port: Option<u16>) -> Option<spec::Probe> {
    Some(spec::Probe {
        check: translate_check(&probe.check, port)?,
        interval_ms: probe.interval.map_or(10_000, milliseconds),
        timeout_ms: probe.timeout.map_or(1_000, milliseconds),
        failures: probe.failures.unwrap_or(3),
        within_ms: probe.within.map_or(230_000, milliseconds),
    })
}

fn milliseconds(seconds: f64) -> u64 {
    (seconds * 1000.0).round().max(0.0) as u64
}

fn thousandths(cpus: f64) -> u64 {
    (cpus * 1000.0).round().max(1.0) as u64
}

/// `SIGTERM`, `TERM`, `15`, `SIGRTMIN+3`.
fn signal_number(name: &str) -> Option<i32> {
    if let Ok(number) = name.parse() {
        return Some(number);
    }
    let full = if name.starts_with("SIG") { name.to_owned() } else { format!("SIG{name}") };
    if let Some(offset) = full.strip_prefix("SIGRTMIN") {
        let offset = if offset.is_empty() { Some(0) } else { offset.strip_prefix('+')?.parse::<i32>().ok() };
        return offset.map(|offset| 34 + offset);
    }
    full.parse::<nix::sys::signal::Signal>().ok().map(|signal| signal as i32)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn container(text: &str) -> Container {
        serde_json::from_str(text).expect("a container")
    }

    #[test]
    fn an_apps_entrypoint_drops_the_images_command_and_its_command_keeps_the_images_entrypoint() {
        let image = ImageConfig { entrypoint: vec!["/entry".into()], cmd: vec!["run".into()], ..ImageConfig::default() };
        assert_eq!(argv(&container(r#"{"image":"x"}"#), &image), ["/entry", "run"]);
        assert_eq!(argv(&container(r#"{"image":"x","command":["a"]}"#), &image), ["/entry", "a"]);
        assert_eq!(argv(&container(r#"{"image":"x","entrypoint":["/own"]}"#), &image), ["/own"]);
        assert_eq!(argv(&container(r#"{"image":"x","entrypoint":["/own"],"command":["a"]}"#), &image), ["/own", "a"]);
    }

    #[test]
    fn the_apps_variables_win_over_the_images_and_path_is_never_missing() {
        let image = ImageConfig { env: vec!["A=1".into(), "B=2".into()], ..ImageConfig::default() };
        let own = [("B".to_owned(), "own=x".to_owned()), ("C".to_owned(), String::new())];
        assert_eq!(environment(&image, &own), [DEFAULT_PATH, "A=1", "B=own=x", "C="]);
    }

    #[test]
    fn signal_names_and_numbers_are_read() {
        assert_eq!(
            ["SIGQUIT", "QUIT", "3", "SIGRTMIN+3", "nonsense"].map(signal_number),
            [Some(3), Some(3), Some(3), Some(37), None]
        );
    }
}
