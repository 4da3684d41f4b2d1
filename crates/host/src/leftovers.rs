//! What instances left behind that are gone, found by looking at the machine and not by remembering: directories,
//! sockets, control groups, links. Adoption does the same at the start of a server for what has a spec; this goes further.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    net::Ipv4Addr,
    path::{Path, PathBuf},
    time::Duration,
};

use pillion_model::InstanceId;
use pillion_runtime::{cgroup::Cgroup, network, spec::NetworkSpec};

use crate::{
    HostEngine, HostSettings,
    adopt::{self, blocking, entries},
    instance_dir::{self, InstanceDir},
    translate::Labels,
};

/// A process that the kernel cannot end must not hold up the rest.
const CGROUP_WITHIN: Duration = Duration::from_secs(5);

/// Removes it all; nothing is started meanwhile.
pub(crate) async fn clear(engine: &HostEngine) -> io::Result<Vec<String>> {
    let _nothing_starts = engine.inner.starting.write().await;
    let live = engine.live_ids();
    let settings = engine.settings().clone();
    let mut removed = engine.inner.take_cleared();
    for run in entries(&instance_dir::runs(&settings)) {
        let name = name_of(&run);
        if live.contains(&name) {
            continue;
        }
        let spec = InstanceDir::read_spec(&run).ok();
        let labels = spec.as_ref().and_then(|spec| serde_json::from_value::<Labels>(spec.labels.clone()).ok());
        match (spec, labels, name.parse::<InstanceId>()) {
            (Some(spec), Some(labels), Ok(id)) => {
                adopt::clear_remains(&InstanceDir::of(&settings, &labels.app, &id), &spec).await;
            }
            _ => remove_dir(&run)?,
        }
        removed.push(format!("instance {name}"));
    }
    let held = engine.inner.held_addresses();
    blocking(move || rest(&settings, &live, &held, &mut removed).map(|()| removed)).await?
}

/// Everything that needs no spec to be understood.
fn rest(
    settings: &HostSettings,
    live: &BTreeSet<String>,
    held: &BTreeSet<Ipv4Addr>,
    removed: &mut Vec<String>,
) -> io::Result<()> {
    for state in entries(&instance_dir::states(settings)) {
        if !live.contains(&name_of(&state)) {
            remove_dir(&state)?;
            removed.push(format!("directory {}", state.display()));
        }
    }
    for gate in entries(&settings.run.join("gates")) {
        if !live.contains(name_of(&gate).trim_end_matches(".sock")) {
            fs::remove_file(&gate)?;
            removed.push(format!("socket {}", gate.display()));
        }
    }
    let parent = Cgroup::at(&settings.cgroup_parent).map_err(io::Error::other)?;
    for name in parent.children() {
        if !live.contains(&name) {
            let child = parent.child(&name);
            child.remove(CGROUP_WITHIN).map_err(|error| io::Error::other(adopt::describe(&error)))?;
            removed.push(format!("control group {}", child.path().display()));
        }
    }
    let ours: BTreeMap<String, Ipv4Addr> =
        settings.subnet.instance_addresses().map(|address| (network::host_link(&settings.bridge, address), address)).collect();
    for link in entries(&Path::new("/sys/class/net").join(&settings.bridge).join("brif")) {
        let link = name_of(&link);
        let Some(address) = ours.get(&link).filter(|address| !held.contains(address)) else { continue };
        let spec = NetworkSpec::Bridged {
            bridge: settings.bridge.clone(),
            address: *address,
            prefix: settings.subnet.prefix,
            gateway: settings.subnet.gateway(),
            nameservers: Vec::new(),
            search: Vec::new(),
        };
        network::detach(&spec).map_err(|error| io::Error::other(adopt::describe(&error)))?;
        removed.push(format!("link {link} of {address}"));
    }
    Ok(())
}

fn remove_dir(dir: &PathBuf) -> io::Result<()> {
    let removed = match fs::symlink_metadata(dir) {
        Ok(meta) if meta.is_dir() => instance_dir::remove_tree(dir),
        Ok(_) => fs::remove_file(dir),
        Err(error) => Err(error),
    };
    removed.map_err(|error| io::Error::new(error.kind(), format!("{} cannot be removed: {error}", dir.display())))
}

fn name_of(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}
