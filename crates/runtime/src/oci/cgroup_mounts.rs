//! What a container sees of control groups: its own, read-only, so that language runtimes size themselves by it.

use std::{
    fs,
    path::{Path, PathBuf},
};

use libcontainer::oci_spec::{
    OciSpecError,
    runtime::{Mount, MountBuilder},
};

use crate::spec::IdRange;

/// The controllers whose files language runtimes read.
const TELLING_CONTROLLERS: &[&str] = &["memory", "cpu", "cpuacct", "cpuset", "pids"];

/// One mounted cgroup hierarchy.
#[derive(Debug, PartialEq, Eq)]
struct Mounted {
    point: PathBuf,
    /// The controllers of a v1 hierarchy; none for v2.
    controllers: Option<Vec<String>>,
}

/// The container's own cgroup, read-only.
///
/// On v1 only with a user namespace: without one, root in the container rewrote its own limit through it.
pub(super) fn mounts(cgroup: &Path, ids: Option<IdRange>) -> Result<Vec<Mount>, OciSpecError> {
    let bind = |source: &Path, place: &Path| {
        let options = ["bind", "ro", "nosuid", "noexec", "nodev"].map(str::to_owned).to_vec();
        MountBuilder::default().destination(place).typ("bind").source(source).options(options).build()
    };
    let known = parse(&fs::read_to_string("/proc/self/mountinfo").unwrap_or_default());
    let v1: Vec<_> = known.iter().filter_map(|h| Some((&h.point, h.controllers.as_ref()?))).collect();
    if v1.is_empty() {
        let options = ["ro", "nosuid", "noexec", "nodev"].map(str::to_owned).to_vec();
        let unified = MountBuilder::default().destination("/sys/fs/cgroup").typ("cgroup").source("cgroup").options(options).build()?;
        return Ok(if known.is_empty() { Vec::new() } else { vec![unified] });
    }
    if ids.is_none() {
        return Ok(Vec::new());
    }
    let options = ["nosuid", "noexec", "nodev", "mode=755", "size=64k"].map(str::to_owned).to_vec();
    let mut mounts = vec![MountBuilder::default().destination("/sys/fs/cgroup").typ("tmpfs").source("tmpfs").options(options).build()?];
    for (mount, controllers) in v1 {
        if !controllers.iter().any(|c| TELLING_CONTROLLERS.contains(&c.as_str())) {
            continue;
        }
        let Some(name) = mount.file_name() else { continue };
        mounts.push(bind(&mount.join(cgroup.strip_prefix("/").unwrap_or(cgroup)), &Path::new("/sys/fs/cgroup").join(name))?);
    }
    Ok(mounts)
}

/// proc_pid_mountinfo(5): `id parent dev root mountpoint options [optional…] - type source super-options`.
fn parse(mountinfo: &str) -> Vec<Mounted> {
    let mut found: Vec<Mounted> = Vec::new();
    for line in mountinfo.lines() {
        let Some((mount, filesystem)) = line.split_once(" - ") else { continue };
        let mut filesystem = filesystem.split(' ');
        let (kind, super_options) = (filesystem.next(), filesystem.nth(1).unwrap_or_default());
        let mut mount = mount.split(' ').skip(3);
        let (Some("/"), Some(point)) = (mount.next(), mount.next()) else { continue };
        let controllers = match kind {
            Some("cgroup") => Some(super_options.split(',').filter(|o| !matches!(*o, "rw" | "ro" | "xattr")).map(str::to_owned).collect()),
            Some("cgroup2") => None,
            Some(_) | None => continue,
        };
        let mounted = Mounted { point: PathBuf::from(point), controllers };
        if !found.iter().any(|known| known.point == mounted.point) {
            found.push(mounted);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mounted_hierarchies_are_read_from_mountinfo() {
        let text = "30 23 0:26 / /sys/fs/cgroup/memory rw,relatime shared:9 - cgroup cgroup rw,memory\n\
                    31 23 0:27 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n\
                    32 23 0:28 / /proc rw - proc proc rw\n\
                    33 23 0:26 /deep /mnt/part rw - cgroup cgroup rw,memory\n";
        assert_eq!(
            parse(text),
            [
                Mounted { point: "/sys/fs/cgroup/memory".into(), controllers: Some(vec!["memory".into()]) },
                Mounted { point: "/sys/fs/cgroup/unified".into(), controllers: None },
            ]
        );
    }
}
