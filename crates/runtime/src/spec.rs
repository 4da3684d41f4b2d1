//! What to run: plain values, serialisable, complete (nothing is looked up elsewhere).

use std::{net::Ipv4Addr, path::PathBuf};

use serde::{Deserialize, Serialize};

/// A range of host user and group ids that a sandbox's ids 0.. map to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct IdRange {
    pub start: u32,
    pub len: u32,
}

/// The namespaces (net, ipc, uts, user) and the cgroup that the containers of one instance share.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SandboxSpec {
    /// An existing 0700 directory under `/run` that the sandbox owns; namespaces are pinned in `ns/`.
    pub dir: PathBuf,
    pub hostname: String,
    /// None: no user namespace (root inside is root outside).
    pub ids: Option<IdRange>,
    pub network: NetworkSpec,
    /// Cgroup path relative to the mount of each controller (v1) or of the unified tree (v2),
    /// e.g. `pillion/shop-1-x7k2p9`; each container gets a child named after it.
    pub cgroup: PathBuf,
    /// Lines of `/etc/hosts` beyond localhost: names that resolve to 127.0.0.1 (and ::1).
    pub host_names: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "mode", rename_all_fields = "camelCase")]
pub enum NetworkSpec {
    /// Loopback only.
    None,
    /// A veth to `bridge` with `address`/`prefix`; the default route goes to `gateway`.
    Bridged { bridge: String, address: Ipv4Addr, prefix: u8, gateway: Ipv4Addr, nameservers: Vec<String>, search: Vec<String> },
}

/// One container, ready to be started in a sandbox.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ContainerSpec {
    /// Unique within the sandbox; names the cgroup and the bundle directory.
    pub name: String,
    pub root: RootSpec,
    /// Program and arguments; the program is looked up in the environment's PATH inside the root.
    pub argv: Vec<String>,
    /// `NAME=value`, complete.
    pub env: Vec<String>,
    pub cwd: String,
    /// `user[:group]`, names or numbers, looked up in the root's `/etc/passwd` and `/etc/group`; empty is root.
    pub user: String,
    pub mounts: Vec<MountSpec>,
    pub limits: Limits,
    /// Name (`nofile`), soft, hard; clamped to the host's.
    pub rlimits: Vec<(String, u64, u64)>,
    /// Bytes of `/dev/shm`.
    pub shm_size: u64,
    /// A pseudo-terminal as stdio instead of pipes.
    pub terminal: bool,
}

/// The container's root: read-only layers under a writable overlay directory.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RootSpec {
    /// Unpacked layer directories, lowest first, owned by container ids (0 is root), never written.
    pub layers: Vec<PathBuf>,
    /// A directory of this container's own for the overlay's `upper` and `work` (made if missing, kept across restarts).
    pub scratch: PathBuf,
    pub read_only: bool,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "kind", rename_all_fields = "camelCase")]
pub enum MountSpec {
    /// `source` (a host directory that containers may write) narrowed to `sub_path`, which is resolved
    /// inside `source` only (openat2) and made, owned by the sandbox's root, where missing.
    Volume {
        source: PathBuf,
        sub_path: Option<PathBuf>,
        path: PathBuf,
        read_only: bool,
    },
    /// A directory of the host as it is, ids not mapped.
    Host {
        source: PathBuf,
        path: PathBuf,
        read_only: bool,
    },
    /// A file with this content, read-only, owned by root.
    File {
        content: String,
        mode: u32,
        path: PathBuf,
    },
    Tmpfs {
        path: PathBuf,
        size: Option<u64>,
    },
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Limits {
    /// Hard limit in bytes, no swap beyond it.
    pub memory: Option<u64>,
    /// Thousandths of a CPU.
    pub cpu_millis: Option<u64>,
    pub pids: Option<u64>,
}

/// A further process in a running container.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ExecSpec {
    pub argv: Vec<String>,
    /// Added to the container's own environment.
    pub env: Vec<String>,
    pub cwd: Option<String>,
    pub user: Option<String>,
    pub terminal: bool,
}
