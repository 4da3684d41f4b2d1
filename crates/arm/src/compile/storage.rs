//! Where a container's files live: `/home`, the volume that an instance's containers share, inline files.

use indexmap::IndexMap;
use pillion_model::{InlineFile, Volume, VolumeMount, VolumeName};
use serde_json::Value;

use super::{SiteParts, environment::Settings, mode::Program};

const HOME: &str = "/home";
/// Kept and shared even where `/home` is switched off.
const LOG_FILES: &str = "/home/LogFiles";

/// Returns a container's mounts and files, and adds the volumes they need.
pub(super) fn mounts(
    settings: &Settings,
    program: &Program,
    volumes: &mut IndexMap<VolumeName, Volume>,
) -> (Vec<VolumeMount>, Vec<InlineFile>) {
    let (mut mounts, mut files) = (Vec::new(), Vec::new());
    let entries = program.properties.get("volumeMounts").and_then(Value::as_array);
    for entry in entries.into_iter().flatten() {
        let Some(path) = entry["containerMountPath"].as_str() else { continue };
        // Tools send an empty text for what was not given.
        if let Some(content) = entry["data"].as_str().filter(|content| !content.is_empty()) {
            files.push(InlineFile { path: path.to_owned(), content: content.to_owned(), mode: None });
            continue;
        }
        let Some(volume) = volume("shared", volumes, Volume::default()) else { continue };
        let sub = entry["volumeSubPath"].as_str().unwrap_or_default().trim_matches('/');
        mounts.push(VolumeMount {
            volume,
            path: path.to_owned(),
            sub_path: (!sub.is_empty()).then(|| sub.to_owned()),
            read_only: entry["readOnly"].as_bool().unwrap_or(false),
        });
    }
    let off = settings.off("WEBSITES_ENABLE_APP_SERVICE_STORAGE");
    let (path, sub) = if off { (LOG_FILES, Some("LogFiles".to_owned())) } else { (HOME, None) };
    // What the container mounts there itself is what it wants.
    let free = !mounts.iter().any(|mount| mount.path == path) && !files.iter().any(|file| file.path == path);
    if free && let Some(volume) = volume("home", volumes, Volume { persistent: true, host_path: None }) {
        // First: mounts below it are made in it.
        mounts.insert(0, VolumeMount { volume, path: path.to_owned(), sub_path: sub, read_only: false });
    }
    (mounts, files)
}

/// Says of storage accounts that they are kept and not mounted.
pub(super) fn warn(site: &SiteParts, warnings: &mut Vec<String>) {
    for (name, share) in site.storage.iter().flat_map(|document| &document.properties) {
        let path = share["mountPath"].as_str().unwrap_or_default();
        warnings.push(format!(
            "storage account mapping '{name}' is kept but not mounted at {path}: shares of Azure Storage cannot be reached from here \
             yet; /home keeps files"
        ));
    }
}

fn volume(name: &str, volumes: &mut IndexMap<VolumeName, Volume>, what: Volume) -> Option<VolumeName> {
    let name: VolumeName = name.parse().ok()?;
    volumes.entry(name.clone()).or_insert(what);
    Some(name)
}
