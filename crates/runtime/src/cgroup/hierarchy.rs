//! Which control group trees this host has, and where in them Pillion may build.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::OnceLock,
};

use super::{At, CgroupError};

/// Controllers that instances use; others are left alone.
const V2_CONTROLLERS: [&str; 4] = ["memory", "cpu", "pids", "cpuset"];
const V1_CONTROLLERS: [&str; 7] = ["memory", "cpu", "cpuacct", "pids", "devices", "freezer", "cpuset"];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// A tree per controller; also "hybrid", where a unified tree without controllers stands beside them.
    V1,
    /// The unified tree only.
    V2,
}

/// The mounted trees by controller.
#[derive(Debug, Clone)]
pub struct Hierarchy {
    mode: Mode,
    /// v1: mount point by controller. v2: the one mount point under each controller's name.
    trees: BTreeMap<String, PathBuf>,
    /// The mount points, each once; of a hybrid host the unified tree, too.
    roots: Vec<PathBuf>,
    /// The unified tree, without controllers, of a hybrid host.
    unified: Option<PathBuf>,
}

impl Hierarchy {
    /// Reads what is mounted; once in a process's life, since a host does not change its trees, and its list of mounts
    /// may be long.
    pub fn detect() -> Result<Self, CgroupError> {
        static FOUND: OnceLock<Hierarchy> = OnceLock::new();
        if let Some(found) = FOUND.get() {
            return Ok(found.clone());
        }
        Self::read().map(|read| FOUND.get_or_init(|| read).clone())
    }

    fn read() -> Result<Self, CgroupError> {
        let mounts = fs::read_to_string("/proc/self/mountinfo").at("read the mounts", Path::new("/proc/self/mountinfo"))?;
        let unified = |root: &Path| fs::read_to_string(root.join("cgroup.controllers")).unwrap_or_default();
        Self::from_mounts(&mounts, unified).ok_or(CgroupError::NotMounted)
    }

    /// The controllers that are there.
    pub fn controllers(&self) -> impl Iterator<Item = &str> {
        self.trees.keys().map(String::as_str)
    }

    pub fn mode(&self) -> Mode {
        self.mode
    }

    pub(super) fn trees(&self) -> &[PathBuf] {
        &self.roots
    }

    /// The tree that a hybrid host has beside those of its controllers.
    pub(super) fn unified(&self) -> Option<&Path> {
        self.unified.as_deref()
    }

    pub(super) fn tree(&self, controller: &str) -> Option<&Path> {
        match self.mode {
            Mode::V1 => self.trees.get(controller).map(PathBuf::as_path),
            Mode::V2 => self.roots.first().map(PathBuf::as_path),
        }
    }

    /// Passes the controllers on to the children of `dir` (v2 only).
    ///
    /// One at a time, since a single unavailable one would make the kernel refuse the rest of the line.
    pub(super) fn enable_controllers(&self, dir: &Path) -> Result<(), CgroupError> {
        if self.mode == Mode::V1 {
            return Ok(());
        }
        let file = dir.join("cgroup.subtree_control");
        let enabled = fs::read_to_string(&file).at("read the controllers", dir)?;
        let available = fs::read_to_string(dir.join("cgroup.controllers")).at("read the controllers", dir)?;
        for controller in available.split_whitespace().filter(|name| V2_CONTROLLERS.contains(name)) {
            if !enabled.split_whitespace().any(|name| name == controller) {
                match fs::write(&file, format!("+{controller}")) {
                    // E.g. the cpu controller while real-time processes run. Only who sets such a limit needs it, and is
                    // told then.
                    Err(error) if error.raw_os_error() == Some(libc::EINVAL) => {
                        tracing::warn!(controller, dir = %dir.display(), "the kernel does not enable this controller here");
                    }
                    other => other.at("enable the controllers", dir)?,
                }
            }
        }
        Ok(())
    }

    /// A new v1 cpuset has no CPUs and no memory, so that nothing can run in it.
    pub(super) fn inherit_cpuset(&self, dir: &Path) {
        if self.mode == Mode::V2 || !self.trees.get("cpuset").is_some_and(|root| dir.starts_with(root)) {
            return;
        }
        for file in ["cpuset.cpus", "cpuset.mems"] {
            let inherited = dir.parent().and_then(|parent| fs::read(parent.join(file)).ok());
            if let Some(value) = inherited
                && let Err(error) = fs::write(dir.join(file), value)
            {
                tracing::warn!(dir = %dir.display(), file, %error, "cannot inherit the cpuset");
            }
        }
    }

    fn from_mounts(mountinfo: &str, unified: impl Fn(&Path) -> String) -> Option<Self> {
        let mut trees = BTreeMap::new();
        let mut v2 = None;
        for line in mountinfo.lines() {
            let Some((mount, filesystem)) = line.split_once(" - ") else { continue };
            let point = PathBuf::from(mount.split(' ').nth(4)?);
            let mut words = filesystem.split(' ');
            match words.next() {
                Some("cgroup2") => v2 = v2.or(Some(point)),
                Some("cgroup") => {
                    for option in words.nth(1).unwrap_or_default().split(',').filter(|o| V1_CONTROLLERS.contains(o)) {
                        trees.entry(option.to_owned()).or_insert_with(|| point.clone());
                    }
                }
                Some(_) | None => {}
            }
        }
        if !trees.is_empty() {
            let mut roots: Vec<_> = trees.values().cloned().collect();
            roots.extend(v2.clone());
            roots.sort();
            roots.dedup();
            return Some(Self { mode: Mode::V1, trees, roots, unified: v2 });
        }
        let root = v2?;
        let trees = unified(&root).split_whitespace().map(|name| (name.to_owned(), root.clone())).collect();
        Some(Self { mode: Mode::V2, trees, roots: vec![root], unified: None })
    }
}

/// Returns the part of the tree that Pillion may build in, relative to the root: on v2, the group above this process's
/// own if systemd delegated it and started the process in a leaf (`Delegate=yes`, `DelegateSubgroup=`), else the root.
///
/// Where systemd is too old to start services in a leaf (before 254) the root it is: a group with instances below it
/// passes controllers on and so takes no processes, and systemd could not start the service again while its instances
/// go on. systemd marks what it delegated with an extended attribute (`user.delegate` since 251, `trusted.delegate`
/// before).
pub fn delegated_base() -> Result<PathBuf, CgroupError> {
    let hierarchy = Hierarchy::detect()?;
    if hierarchy.mode == Mode::V1 {
        return Ok(PathBuf::new());
    }
    let root = &hierarchy.roots[0];
    let own = own_cgroup()?;
    // No group further up: a terminal's processes are in a leaf far below what belongs to the user's own systemd.
    let base = own.parent().filter(|path| delegated(&root.join(path)));
    Ok(base.map(Path::to_path_buf).unwrap_or_default())
}

fn own_cgroup() -> Result<PathBuf, CgroupError> {
    let file = Path::new("/proc/self/cgroup");
    let text = fs::read_to_string(file).at("read the membership", file)?;
    let own = text.lines().find_map(|line| line.strip_prefix("0::/")).unwrap_or_default();
    Ok(PathBuf::from(own))
}

fn delegated(dir: &Path) -> bool {
    ["user.delegate", "trusted.delegate"].iter().any(|name| {
        let mut value = [0u8; 4];
        rustix::fs::getxattr(dir, *name, &mut value).is_ok_and(|length| value[..length] == *b"1")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const HYBRID: &str = "\
32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct
35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,name=systemd
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
";

    #[test]
    fn a_hybrid_host_counts_as_v1_and_trees_shared_by_controllers_are_used_once() {
        let hierarchy = Hierarchy::from_mounts(HYBRID, |_| String::new()).expect("a hierarchy");
        assert_eq!(hierarchy.mode, Mode::V1);
        assert_eq!(hierarchy.controllers().collect::<Vec<_>>(), ["cpu", "cpuacct", "memory"]);
        let roots = ["/sys/fs/cgroup/cpu,cpuacct", "/sys/fs/cgroup/memory", "/sys/fs/cgroup/unified"];
        assert_eq!(hierarchy.trees(), roots.map(PathBuf::from));
        assert_eq!(hierarchy.unified(), Some(Path::new("/sys/fs/cgroup/unified")));
    }

    #[test]
    fn a_unified_host_counts_as_v2_with_the_controllers_of_its_root() {
        let mounts = "26 25 0:22 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw,nsdelegate\n";
        let hierarchy = Hierarchy::from_mounts(mounts, |_| "cpu memory pids\n".into()).expect("a hierarchy");
        assert_eq!(hierarchy.mode, Mode::V2);
        assert_eq!(hierarchy.tree("memory"), Some(Path::new("/sys/fs/cgroup")));
        assert_eq!(hierarchy.controllers().collect::<Vec<_>>(), ["cpu", "memory", "pids"]);
    }

    #[test]
    fn a_host_without_control_groups_is_said_to_have_none() {
        assert!(Hierarchy::from_mounts("25 1 0:20 / / rw - ext4 /dev/vda rw\n", |_| String::new()).is_none());
    }
}
