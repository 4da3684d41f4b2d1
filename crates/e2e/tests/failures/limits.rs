//! Limits: memory, the host's memory, processes.

use std::{fs, path::PathBuf};

use crate::stage::{Stage, swap};

#[test]
fn memory_beyond_the_containers_limit() {
    let stage = Stage::new();
    let broken = stage.app(&["port: 8080", "command: [eat, '100', serve, '8080']", "resources: { memory: 64Mi }"]);
    let told = stage.fails("Out of memory at its limit", "Exited", "web", &broken);
    stage.heals(&swap(&broken, "resources: { memory: 64Mi }", told.printed(0)));
}

/// The host's memory is the limit of a cgroup above all containers here: to the kernel it is the same, memory that ran
/// out at a level that no container's limit explains.
#[test]
fn memory_beyond_what_the_host_has() {
    let stage = Stage::new();
    stage.heals(&stage.app(&["port: 8080", "command: [serve, '8080']"]));
    let host = Host::of(&stage);
    host.limit("150000000");
    let broken = stage.app(&["port: 8080", "command: [eat, '200', serve, '8080']"]);
    let told = stage.fails("Out of memory on the host", "Exited", "web", &broken);
    assert!(told.hint.starts_with("give the host more memory"), "{}", told.head);
    host.limit(host.unlimited);
    stage.heals(&broken);
}

/// The cgroup above all instances of one copy.
struct Host {
    file: PathBuf,
    unlimited: &'static str,
}

impl Host {
    fn of(stage: &Stage) -> Host {
        let status = stage.copy.json(&["status", "shop"]);
        let pid = status["instances"][0]["containers"][0]["pid"].as_i64().expect("main runs");
        let groups = fs::read_to_string(format!("/proc/{pid}/cgroup")).expect("its cgroups");
        let v1 = groups.lines().find_map(|line| line.split_once(":memory:").map(|(_, path)| path));
        let v2 = || groups.lines().find_map(|line| line.strip_prefix("0::"));
        let (mount, path, name, unlimited) = match v1 {
            Some(path) => ("/sys/fs/cgroup/memory", path, "memory.limit_in_bytes", "-1"),
            None => ("/sys/fs/cgroup", v2().expect("a cgroup"), "memory.max", "max"),
        };
        let container = PathBuf::from(format!("{mount}{path}"));
        let instances = container.ancestors().nth(2).expect("a container's cgroup is below its instance's");
        Host { file: instances.join(name), unlimited }
    }

    fn limit(&self, to: &str) {
        fs::write(&self.file, to).unwrap_or_else(|error| panic!("{}: {error}", self.file.display()));
    }
}

#[test]
fn more_processes_than_allowed() {
    let stage = Stage::new();
    let broken = stage.app(&["port: 8080", "command: [fork, '30', serve, '8080']", "resources: { pids: 20 }"]);
    let told = stage.fails("Too many processes", "PidsLimit", "web", &broken);
    stage.heals(&swap(&broken, "resources: { pids: 20 }", told.printed(0)));
}
