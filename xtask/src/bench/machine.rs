//! The machine and the peers that were measured, as a reader needs them to judge the figures.

use std::{fs, process::Command};

use crate::run::{Outcome, output};

/// What there was when the run began.
pub struct Machine {
    lines: Vec<String>,
    load_before: String,
}

impl Machine {
    /// Looks at the machine; `disk` says what the state of both sides lies on.
    ///
    /// # Errors
    /// A peer cannot be asked for its version.
    pub fn look(disk: String) -> Outcome<Machine> {
        let kernel = read("/proc/sys/kernel/osrelease");
        let cpuinfo = read("/proc/cpuinfo");
        let model = cpuinfo
            .lines()
            .find_map(|line| line.strip_prefix("model name")?.split_once(": "))
            .map_or("unknown", |(_, name)| name);
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let meminfo = read("/proc/meminfo");
        let memory =
            meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:")?.trim().strip_suffix(" kB")?.parse::<u64>().ok());
        let podman = output(Command::new("podman").arg("--version"))?;
        let runc = output(Command::new("runc").arg("--version"))?;
        let nginx = Command::new("nginx").arg("-v").output().map_err(|error| format!("nginx: {error}"))?;
        let nginx = String::from_utf8_lossy(&nginx.stderr).replace("nginx version: ", "");
        let lines = vec![
            format!("{cores} cores ({model}), {} GiB memory, {}", memory.unwrap_or(0).div_ceil(1 << 20), distribution()),
            format!("Linux {}, cgroup {}", kernel.trim(), cgroups()),
            format!("{}, {}, {}", podman.trim(), runc.lines().next().unwrap_or_default(), nginx.trim()),
            disk,
        ];
        Ok(Machine { lines, load_before: load() })
    }

    /// Describes it, with the load from then till now.
    pub fn described(&self) -> Vec<String> {
        let mut lines = self.lines.clone();
        lines.push(format!("load average before {}, after {}", self.load_before, load()));
        lines
    }
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

fn load() -> String {
    read("/proc/loadavg").split(' ').take(2).collect::<Vec<_>>().join(" / ")
}

fn distribution() -> String {
    let release = read("/etc/os-release");
    let name = release.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="));
    name.unwrap_or("unknown").trim_matches('"').to_owned()
}

fn cgroups() -> &'static str {
    let mounts = read("/proc/self/mounts");
    let has = |kind: &str| mounts.lines().any(|line| line.split(' ').nth(2) == Some(kind));
    match (has("cgroup"), has("cgroup2")) {
        (true, true) => "v1 and v2 (hybrid)",
        (true, false) => "v1",
        (false, _) => "v2",
    }
}
