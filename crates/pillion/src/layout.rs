//! Where one copy of Pillion keeps things: everything follows from its root.

use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

/// The longest path of a run directory below which every socket path stays within the kernel's 108 bytes:
/// `/i/` + an id of 63 + `/control.sock` and the closing zero take 80.
const RUN_DIR_MAX: usize = 28;

/// The paths of one copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    root: Option<PathBuf>,
    state: PathBuf,
    run: PathBuf,
    settings: PathBuf,
}

impl Layout {
    /// Derives the paths from the root; none is the machine's own copy.
    pub fn new(root: Option<&Path>) -> Self {
        let Some(root) = root else {
            return Self {
                root: None,
                state: "/var/lib/pillion".into(),
                run: "/run/pillion".into(),
                settings: "/etc/pillion/config.yaml".into(),
            };
        };
        // The same directory must give the same copy however it was written and whether or not it exists yet.
        let root = std::fs::canonicalize(root).or_else(|_| std::path::absolute(root)).unwrap_or_else(|_| root.to_owned());
        let beneath = root.join("run");
        // Sockets and bundles belong on tmpfs in any case, so a short root is not enough: it must be under /run.
        let run = if beneath.as_os_str().len() <= RUN_DIR_MAX && root.starts_with("/run") {
            beneath
        } else {
            PathBuf::from(format!("/run/pillion-{}", tag(&root)))
        };
        Self { state: root.join("lib"), run, settings: root.join("etc/config.yaml"), root: Some(root) }
    }

    pub fn root(&self) -> Option<&Path> {
        self.root.as_deref()
    }

    /// What outlives a reboot: state, keys, images, volumes, logs.
    pub fn state(&self) -> &Path {
        &self.state
    }

    /// Sockets and instance directories.
    pub fn run(&self) -> &Path {
        &self.run
    }

    pub fn settings(&self) -> &Path {
        &self.settings
    }

    /// The API's socket. Its directory may be searched by everyone; the directories beside it may not.
    pub fn api_socket(&self) -> PathBuf {
        self.run.join("pillion.sock")
    }

    /// Held, locked, by the one server of this copy.
    pub fn lock(&self) -> PathBuf {
        self.run.join("serve.lock")
    }

    /// The directory of an instance's sockets.
    pub fn instance(&self, id: &str) -> PathBuf {
        self.run.join("i").join(id)
    }

    /// The gateway's own directory.
    pub fn gateway(&self) -> PathBuf {
        self.run.join("gateway")
    }

    /// Where a server that runs in the background writes what it has to say.
    pub fn server_log(&self) -> PathBuf {
        self.state.join("logs/serve.log")
    }
}

/// Eight hexadecimal digits that stand for a root.
fn tag(root: &Path) -> String {
    let digest = Sha256::digest(root.as_os_str().as_encoded_bytes());
    digest.iter().take(4).map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_root_the_paths_are_the_machines_own() {
        let layout = Layout::new(None);
        assert_eq!(layout.api_socket(), Path::new("/run/pillion/pillion.sock"));
        assert_eq!(layout.settings(), Path::new("/etc/pillion/config.yaml"));
    }

    #[test]
    fn sockets_stay_within_108_bytes_however_long_the_root_is() {
        let root = PathBuf::from(format!("/tmp/{}", "deep/".repeat(60)));
        for layout in [Layout::new(Some(&root)), Layout::new(None), Layout::new(Some(Path::new("/run/x")))] {
            let longest = layout.run().join("i").join("a".repeat(63)).join("control.sock");
            assert!(longest.as_os_str().len() < 108, "{}", longest.display());
        }
    }

    #[test]
    fn two_roots_share_nothing() {
        let (a, b) = (Layout::new(Some(Path::new("/tmp/a"))), Layout::new(Some(Path::new("/tmp/b"))));
        assert_ne!(a.run(), b.run());
        assert_ne!(a.state(), b.state());
        assert_ne!(a.settings(), b.settings());
    }

    #[test]
    fn a_root_is_the_same_however_it_is_written() {
        let plain = Layout::new(Some(Path::new("/tmp")));
        assert_eq!(Layout::new(Some(Path::new("/tmp/"))), plain);
        assert_eq!(Layout::new(Some(Path::new("/tmp/../tmp"))), plain);
    }
}
