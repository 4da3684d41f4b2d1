//! Where this engine keeps things and what it may use; several engines with different settings run side by side.

use std::{net::Ipv4Addr, path::PathBuf};

/// Everything that makes one copy of Pillion distinct from another on the same machine.
#[derive(Debug, Clone)]
pub struct HostSettings {
    /// `/var/lib/pillion`: images, volumes, logs, id ranges. On a real file system.
    pub state: PathBuf,
    /// `/run/pillion`: instance directories and sockets. On tmpfs, so a reboot empties it.
    pub run: PathBuf,
    /// The program that is started as an instance's supervisor, and by that again as a helper.
    pub supervisor: PathBuf,
    /// The parent of all instance cgroups, e.g. `pillion`.
    pub cgroup_parent: PathBuf,
    /// At most 15 characters; also the name of the packet filter's table.
    pub bridge: String,
    pub subnet: Subnet,
    /// First host id of the blocks of 65,536 that apps are given.
    pub first_id: u32,
    /// Who may ask a supervisor for connections into its instance.
    pub gateway_owner: (u32, u32),
    /// Host directories (and what lies below them) that app files may mount.
    pub allowed_host_paths: Vec<PathBuf>,
    pub images: pillion_image::Settings,
    pub logs: LogLimits,
}

/// What an engine can take over while it runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tuning {
    pub allowed_host_paths: Vec<PathBuf>,
    pub logs: LogLimits,
}

/// The IPv4 network instances live in; its first address is the bridge's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subnet {
    pub base: Ipv4Addr,
    pub prefix: u8,
}

impl Subnet {
    /// Returns the bridge's own address.
    pub fn gateway(self) -> Ipv4Addr {
        Ipv4Addr::from(u32::from(self.base) + 1)
    }

    /// Returns every address an instance may have, lowest first.
    pub fn instance_addresses(self) -> impl Iterator<Item = Ipv4Addr> {
        let base = u32::from(self.base);
        let broadcast = base + (1u32 << (32 - self.prefix)) - 1;
        (base + 2..broadcast).map(Ipv4Addr::from)
    }
}

/// Rotation of each container's log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogLimits {
    pub file_bytes: u64,
    pub files: u32,
}

impl Default for LogLimits {
    /// 10 MiB a file, 5 files a container.
    fn default() -> Self {
        LogLimits { file_bytes: 10 << 20, files: 5 }
    }
}
