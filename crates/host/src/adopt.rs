//! Finding what already runs, and clearing away what does not run any more.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::Path,
    time::Duration,
};

use pillion_model::InstanceId;
use pillion_runtime::{
    cgroup::Cgroup,
    network::{self, BridgeSpec},
    sandbox,
    spec::NetworkSpec,
};
use pillion_supervisor::{Client, spec::InstanceSpec};

use crate::{
    HostEngine, HostSettings, connection,
    instance_dir::{self, InstanceDir},
    prepare,
    translate::Labels,
};

/// A supervisor that answers takes milliseconds; one that hangs must not hold up the others.
const FIRST_STATES: Duration = Duration::from_secs(5);

/// Makes the bridge and its rules, or repairs them.
pub(crate) async fn ensure_network(settings: &HostSettings) -> io::Result<()> {
    let bridge = BridgeSpec {
        name: settings.bridge.clone(),
        subnet: (settings.subnet.base, settings.subnet.prefix),
        gateway: settings.subnet.gateway(),
    };
    blocking(move || network::ensure_bridge(&bridge)).await?.map_err(|error| {
        let cause = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
        io::Error::other(format!("{error}: {cause}"))
    })
}

/// Lets an instance send again whose rules were lost.
pub(crate) async fn repair_network(spec: NetworkSpec) -> io::Result<()> {
    blocking(move || network::repair(&spec)).await?.map_err(|error| io::Error::other(describe(&error)))
}

pub(crate) async fn remove_network(settings: &HostSettings) {
    let bridge = settings.bridge.clone();
    match blocking(move || network::teardown(&bridge)).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!(%error, "the network could not be taken down"),
        Err(error) => tracing::warn!(%error, "the network could not be taken down"),
    }
}

/// Removes the control group that all instances are in, unless something is left in it.
pub(crate) async fn remove_parent_group(settings: &HostSettings) {
    let parent = settings.cgroup_parent.clone();
    let removed = blocking(move || {
        let group = Cgroup::at(&parent)?;
        if group.children().is_empty() { group.remove(Duration::from_secs(1)) } else { Ok(()) }
    });
    match removed.await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!(%error, "the parent control group could not be removed"),
        Err(error) => tracing::warn!(%error, "the parent control group could not be removed"),
    }
}

/// The name servers instances are given.
pub(crate) fn nameservers() -> Vec<String> {
    network::host_resolver().nameservers
}

/// Takes charge of every instance whose supervisor answers and removes what the others left: after a crash of the
/// control plane everything goes on as it was, after a reboot nothing half-alive remains.
pub(crate) async fn adopt_all(engine: &HostEngine) {
    let settings = engine.settings();
    let mut adopted = BTreeSet::new();
    for run in entries(&instance_dir::runs(settings)) {
        match adopt_one(engine, &run).await {
            Ok(Some(id)) => {
                adopted.insert(id);
            }
            Ok(None) => {}
            Err(error) => tracing::warn!(instance = %run.display(), %error, "an instance could neither be adopted nor removed"),
        }
    }
    first_states(engine, &adopted).await;
    // A reboot empties `/run` but not the disk.
    for state in entries(&instance_dir::states(settings)) {
        let name = state.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        if !adopted.iter().any(|id| id.as_str() == name)
            && let Err(error) = instance_dir::remove_tree(&state)
        {
            tracing::warn!(directory = %state.display(), %error, "left behind by an instance and not removable");
        }
    }
}

/// Waits until every adopted supervisor has told how its instance is: before that, what serves would look as if it did not.
async fn first_states(engine: &HostEngine, adopted: &BTreeSet<InstanceId>) {
    let lives = adopted.iter().filter_map(|id| engine.inner.live(id).ok());
    let told = lives.map(|live| async move { drop(live.heard.subscribe().wait_for(|serial| *serial > 0).await) });
    if tokio::time::timeout(FIRST_STATES, futures::future::join_all(told)).await.is_err() {
        tracing::warn!("some supervisors have not told how their instances are; going on without");
    }
}

async fn adopt_one(engine: &HostEngine, run: &Path) -> io::Result<Option<InstanceId>> {
    let settings = engine.settings();
    let read = InstanceDir::read_spec(run).and_then(|spec| {
        let labels: Labels = serde_json::from_value(spec.labels.clone())?;
        let id: InstanceId = spec.id.parse().map_err(io::Error::other)?;
        Ok((spec, labels, id))
    });
    let (spec, labels, id) = match read {
        Ok(read) => read,
        // Never got as far as a spec, so it never got a supervisor either.
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            engine.inner.note_cleared(format!("instance {}", run.file_name().unwrap_or_default().display()));
            return instance_dir::remove_tree(run).map(|()| None);
        }
        Err(error) => return Err(error),
    };
    let dir = InstanceDir::of(settings, &labels.app, &id);
    if let Err(error) = Client::connect(run).await {
        tracing::warn!(instance = %id, %error, "removing what a dead supervisor left");
        let of = dir.run.clone();
        blocking(move || end_unready(&of)).await?;
        clear_remains(&dir, &spec).await;
        engine.inner.note_cleared(format!("instance {id}"));
        return Ok(None);
    }
    if let NetworkSpec::Bridged { address, .. } = &spec.sandbox.network {
        engine.inner.adopt_address(*address, &id);
        // The rules were made anew if somebody had flushed them, but not its own.
        if let Err(error) = repair_network(spec.sandbox.network.clone()).await {
            tracing::warn!(instance = %id, %error, "an adopted instance may not be able to send");
        }
    }
    let mut images = BTreeMap::new();
    for container in &spec.containers {
        let digest = labels.images.get(&container.run.name).and_then(|digest| prepare::digest_of(&format!("@{digest}")));
        let image = digest.and_then(|digest| engine.images().get(&digest).ok().flatten());
        if let (Some(image), Ok(name)) = (image, container.run.name.parse()) {
            images.insert(name, image);
        }
    }
    let live = engine.inner.register(id.clone(), labels.app, dir, spec, images);
    connection::follow(engine.clone(), live);
    Ok(Some(id))
}

/// Kills what is left of an instance and removes its namespaces, mounts, cgroup, link and directories; logs stay.
pub(crate) async fn clear_remains(dir: &InstanceDir, spec: &InstanceSpec) {
    let (sandbox, dir) = (spec.sandbox.clone(), dir.clone());
    let removed = blocking(move || {
        end_supervisor(&dir.run);
        sandbox::remove(&sandbox).map_err(|error| io::Error::other(describe(&error)))?;
        dir.remove()
    });
    match removed.await {
        Ok(Ok(())) => {}
        Ok(Err(error)) | Err(error) => tracing::warn!(instance = %spec.id, %error, "an instance left something behind"),
    }
}

pub(crate) fn describe(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}

/// Ends a supervisor that does not listen any more but still holds the instance. Its pid file may be stale, so the
/// process must also carry the instance's directory among its arguments.
fn end_supervisor(run: &Path) {
    let pid = fs::read_to_string(run.join(pillion_supervisor::PID_FILE)).ok().and_then(|text| text.trim().parse::<i32>().ok());
    if let Some(pid) = pid {
        end_if_of(pid, run);
    }
}

/// Ends a supervisor that was started but has not come as far as its socket and its pid file: the server that started it
/// died meanwhile.
fn end_unready(run: &Path) {
    let pids = entries(Path::new("/proc")).into_iter().filter_map(|entry| entry.file_name()?.to_str()?.parse::<i32>().ok());
    pids.for_each(|pid| end_if_of(pid, run));
}

/// Kills the process if it is one of this instance's, and waits for its end.
fn end_if_of(pid: i32, run: &Path) {
    let Some(pid) = rustix::process::Pid::from_raw(pid) else { return };
    // The descriptor pins the process: between the check and the kill the number cannot change hands.
    let Ok(process) = rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()) else { return };
    let arguments = fs::read(format!("/proc/{}/cmdline", pid.as_raw_nonzero())).unwrap_or_default();
    let wanted = std::os::unix::ffi::OsStrExt::as_bytes(run.as_os_str());
    if arguments.split(|byte| *byte == 0).any(|argument| argument == wanted)
        && rustix::process::pidfd_send_signal(&process, rustix::process::Signal::KILL).is_ok()
    {
        let mut gone = [rustix::event::PollFd::new(&process, rustix::event::PollFlags::IN)];
        let _ = rustix::event::poll(&mut gone, Some(&rustix::event::Timespec { tv_sec: 5, tv_nsec: 0 }));
    }
}

pub(crate) fn entries(dir: &Path) -> Vec<std::path::PathBuf> {
    let Ok(found) = fs::read_dir(dir) else { return Vec::new() };
    let mut paths: Vec<_> = found.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.sort();
    paths
}

pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)
}
