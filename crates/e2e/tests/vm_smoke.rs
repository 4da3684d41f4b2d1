//! A smoke of the whole: everything that differs between kernels and control group versions, from the command line down.
//!
//! It runs on this machine with the other tests, and by `cargo xtask test --vm` on Debian's kernels with cgroup v2.

use std::{fs, path::PathBuf};

use pillion_e2e::{Copy, Images, Leftovers, Registry, Running, Users, built, eventually, get};
use serde_json::Value;

const MIB: u64 = 1 << 20;

fn app(puppet: &str, redis: &str, third: &str) -> String {
    format!(
        "name: smoke
containers:
  web: {{ main: true, image: '{puppet}', port: 8080, command: [serve, '8080'], dependsOn: {{ cache: healthy }}, resources: {{ memory: 96Mi, cpu: 0.5, pids: 40 }} }}
  cache: {{ image: '{redis}', port: 6379, probe: {{ tcp: 6379 }}, resources: {{ memory: 128Mi }}, volumes: [{{ volume: data, path: /data }}] }}
  third: {{ image: '{puppet}', command: {third} }}
volumes: {{ data: {{ persistent: true }} }}
"
    )
}

fn container(copy: &Copy, name: &str) -> Value {
    let status = copy.json(&["status", "smoke"]);
    let containers = status["instances"][0]["containers"].as_array().cloned().unwrap_or_default();
    containers.into_iter().find(|c| c["name"] == name).unwrap_or_else(|| panic!("no container {name}: {status:#}"))
}

fn pid(copy: &Copy, name: &str) -> i64 {
    let container = container(copy, name);
    container["pid"].as_i64().unwrap_or_else(|| panic!("{name} does not run: {container:#}"))
}

/// The directory of a process's control group in the tree of `controller`, and whether that is the unified tree.
fn group(pid: i64, controller: &str) -> (PathBuf, bool) {
    let text = fs::read_to_string(format!("/proc/{pid}/cgroup")).expect("the process has control groups");
    let own = |line: &str| line.split(':').nth(1).is_some_and(|names| names.split(',').any(|name| name == controller));
    let path = |line: &str| line.splitn(3, ':').nth(2).unwrap_or_default().to_owned();
    match text.lines().find(|line| own(line)) {
        Some(line) => (PathBuf::from(format!("/sys/fs/cgroup/{controller}{}", path(line))), false),
        None => (
            PathBuf::from(format!("/sys/fs/cgroup{}", text.lines().find(|l| l.starts_with("0::")).map(path).unwrap_or_default())),
            true,
        ),
    }
}

fn limit(pid: i64, controller: &str, v1: &str, v2: &str) -> String {
    let (dir, unified) = group(pid, controller);
    let file = dir.join(if unified { v2 } else { v1 });
    fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display())).trim().to_owned()
}

#[test]
fn an_app_with_sidecars_and_limits_serves_changes_in_place_and_leaves_nothing() {
    let registry = Registry::start(Users::Anyone);
    let images = Images::new(&registry);
    let (puppet, redis) = (images.puppet(), images.redis());
    let copy = Copy::serving();
    let before = Leftovers::of(&copy);

    let applied = copy.apply(&app(&puppet, &redis, "[print, first, sleep]"));
    assert_eq!(applied.code, 0, "{}", applied.said());
    let answer = get(&copy.url("smoke")).expect("the gateway answers");
    assert_eq!(answer.status, 200, "{}", answer.body);

    let (web, cache, third) = (pid(&copy, "web"), pid(&copy, "cache"), pid(&copy, "third"));
    assert_eq!(limit(web, "memory", "memory.limit_in_bytes", "memory.max"), (96 * MIB).to_string());
    assert_eq!(limit(cache, "memory", "memory.limit_in_bytes", "memory.max"), (128 * MIB).to_string());
    assert_eq!(limit(web, "pids", "pids.max", "pids.max"), "40");
    let quota = limit(web, "cpu", "cpu.cfs_quota_us", "cpu.max");
    assert!(["50000", "50000 100000"].contains(&quota.as_str()), "{quota}");
    eventually("memory in use is told", || container(&copy, "cache")["memoryBytes"].as_u64().is_some_and(|bytes| bytes > 0));
    assert!(copy.ok(["exec", "smoke", "-c", "cache", "--", "/bin/redis-server", "--version"]).contains("Redis server"));

    let changed = copy.apply(&app(&puppet, &redis, "[print, second, sleep]"));
    assert_eq!(changed.code, 0, "{}", changed.said());
    assert_eq!((pid(&copy, "web"), pid(&copy, "cache")), (web, cache), "untouched containers keep their processes");
    assert_ne!(pid(&copy, "third"), third);
    eventually("the changed sidecar speaks", || copy.ok(["logs", "smoke", "-c", "third"]).contains("second"));

    copy.ok(["delete", "smoke", "--yes"]);
    // The first app makes what all apps share: the copy's own control group and the list of id ranges.
    let shared = copy.cgroup_name().expect("the server has run");
    before.again_but(&copy, "after the app was deleted", |found| {
        found.cgroups.retain(|group| !group.ends_with(&shared));
        found.files.retain(|file| !file.ends_with("/ids.json"));
    });
}

#[test]
fn a_container_over_its_memory_limit_is_reported_with_the_limit() {
    let registry = Registry::start(Users::Anyone);
    let puppet = Images::new(&registry).puppet();
    let copy = Copy::serving();
    let file = format!(
        "name: smoke
containers:
  web: {{ main: true, image: '{puppet}', port: 8080, command: [eat, '200', serve, '8080'], resources: {{ memory: 64Mi }} }}
"
    );
    let applied = copy.apply(&file);
    assert_eq!(applied.code, 1, "{}", applied.said());
    let said = applied.said();
    assert!(said.contains("was killed for memory at its limit of 64Mi"), "{said}");
}

#[test]
fn apps_go_on_while_the_server_is_away_and_are_adopted() {
    let registry = Registry::start(Users::Anyone);
    let images = Images::new(&registry);
    let (puppet, redis) = (images.puppet(), images.redis());
    let mut copy = Copy::serving();
    let applied = copy.apply(&app(&puppet, &redis, "[sleep]"));
    assert_eq!(applied.code, 0, "{}", applied.said());
    let web = pid(&copy, "web");
    copy.kill_server();
    copy.serve();
    eventually("the app is ready again", || copy.json(&["status", "smoke"])["ready"] == 1);
    assert_eq!(pid(&copy, "web"), web);
    assert_eq!(get(&copy.url("smoke")).expect("the gateway answers").status, 200);
}

/// A service's control group as systemd makes it with `Delegate=yes` and `DelegateSubgroup=serve`.
struct Service(PathBuf);

impl Service {
    /// Makes it in the unified tree; on a host without that as the only one Pillion does not look for it.
    fn new() -> Service {
        let unified = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"].map(PathBuf::from);
        let root = unified.into_iter().find(|root| root.join("cgroup.procs").exists()).expect("a unified tree");
        let dir = root.join(format!("pillion-smoke-{}.service", std::process::id()));
        fs::create_dir_all(dir.join("serve")).expect("a control group");
        rustix::fs::setxattr(&dir, "user.delegate", b"1", rustix::fs::XattrFlags::empty()).expect("the mark of systemd");
        Service(dir)
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let below =
            |dir: &PathBuf| fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path()).collect::<Vec<_>>();
        // A group goes when its last process is reaped, which may be a moment after the server has said so.
        eventually("the service's group is empty", || {
            for group in below(&self.0).into_iter().filter(|path| path.is_dir()) {
                let _ = fs::remove_dir(&group);
            }
            fs::remove_dir(&self.0).is_ok()
        });
    }
}

#[test]
fn a_server_that_systemd_started_in_a_leaf_builds_beside_it_and_only_on_a_unified_host() {
    let registry = Registry::start(Users::Anyone);
    let puppet = Images::new(&registry).puppet();
    let service = Service::new();
    let copy = Copy::new();
    let enter = format!("echo $$ >{}/serve/cgroup.procs; exec \"$0\" serve", service.0.display());
    let mut command = std::process::Command::new("sh");
    command.args(["-c", &enter]).arg(built("pillion")).env("PILLION_ROOT", copy.root());
    let server = Running::start(&mut command);
    eventually("the server answers", || copy.run(["list"]).code == 0);

    let applied = copy.apply(&format!(
        "name: smoke
containers: {{ web: {{ main: true, image: '{puppet}', port: 8080, command: [serve, '8080'], resources: {{ memory: 64Mi }} }} }}
"
    ));
    assert_eq!(applied.code, 0, "{}", applied.said());
    let web = pid(&copy, "web");
    assert_eq!(limit(web, "memory", "memory.limit_in_bytes", "memory.max"), (64 * MIB).to_string());
    let (group, unified) = group(web, "memory");
    assert_eq!(group.starts_with(&service.0), unified, "{}", group.display());
    let shared = copy.cgroup_name().expect("the server has run");
    assert_eq!(group.ancestors().nth(2).and_then(|dir| dir.file_name()), Some(shared.as_ref()), "{}", group.display());

    copy.ok(["system", "stop"]);
    assert_eq!(server.finish().code, 0);
}
