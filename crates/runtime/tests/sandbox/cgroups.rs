//! Control groups: limits, counters, killing, removing. The same on v1 and v2.

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use pillion_fault::OomScope;
use pillion_runtime::{cgroup::Cgroup, spec::Limits};

use crate::world::{eventually, start_in};

/// A control group of a test's own, removed at its end.
struct Group {
    cgroup: Cgroup,
    path: PathBuf,
}

impl Group {
    fn new(name: &str) -> Self {
        let path = Path::new(&format!("pillion-test-cg-{}", std::process::id())).join(name);
        Self { cgroup: Cgroup::create(&path).expect("a control group"), path }
    }

    fn child(&self, name: &str, limits: &Limits) -> Cgroup {
        let child = self.cgroup.create_child(name).expect("a child");
        child.set_limits(limits).expect("limits");
        child
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.cgroup.remove(Duration::from_secs(10)).expect("removable");
        assert!(!self.cgroup.exists());
        let parent = self.path.parent().expect("a parent");
        // Another test of this process may still use it; the last one removes it.
        let _ = Cgroup::at(parent).map(|parent| {
            if parent.pids().is_empty() {
                remove_if_childless(&parent)
            }
        });
    }
}

fn remove_if_childless(parent: &Cgroup) {
    for root in std::fs::read_dir("/sys/fs/cgroup").into_iter().flatten().flatten().map(|entry| entry.path()) {
        let _ = std::fs::remove_dir(root.join(parent.path().strip_prefix("/").expect("absolute")));
    }
    let _ = std::fs::remove_dir(Path::new("/sys/fs/cgroup").join(parent.path().strip_prefix("/").expect("absolute")));
}

const MEGABYTE: u64 = 1 << 20;
/// `tail` keeps the last line, which never ends, in memory.
const EAT_MEMORY: &str = "exec tail /dev/zero";

#[test]
fn a_kill_at_the_own_memory_limit_is_told_with_the_limit() {
    let group = Group::new("own");
    let bytes = 24 * MEGABYTE;
    let child = group.child("eater", &Limits { memory: Some(bytes), ..Limits::default() });
    let watch = child.watch_oom();

    let status = start_in(&child, EAT_MEMORY).0.wait().expect("it ends");

    assert!(!status.success());
    eventually("the kill is counted", || watch.verdict().is_some());
    assert_eq!(watch.verdict(), Some(OomScope::Limit { bytes }));
}

#[test]
fn a_kill_for_memory_above_the_own_limit_is_told_as_the_hosts() {
    let group = Group::new("host");
    group.cgroup.set_limits(&Limits { memory: Some(24 * MEGABYTE), ..Limits::default() }).expect("limits");
    let child = group.child("eater", &Limits { memory: Some(2048 * MEGABYTE), ..Limits::default() });
    let watch = child.watch_oom();

    start_in(&child, EAT_MEMORY).0.wait().expect("it ends");

    eventually("the kill is counted", || watch.verdict().is_some());
    assert_eq!(watch.verdict(), Some(OomScope::Host));
}

#[test]
fn page_cache_that_filled_the_own_limit_does_not_make_a_kill_from_above_its_own() {
    let group = Group::new("cache");
    group.cgroup.set_limits(&Limits { memory: Some(64 * MEGABYTE), ..Limits::default() }).expect("limits");
    let child = group.child("reader", &Limits { memory: Some(48 * MEGABYTE), ..Limits::default() });
    let watch = child.watch_oom();
    let file = tempfile::NamedTempFile::new().expect("a file");
    // Written out here: a slow disk's unwritten pages do not give way, and are no cache.
    std::fs::write(file.path(), vec![1; 128 << 20]).expect("the file is written");
    file.as_file().sync_all().expect("it is on disk");
    // What is read next is charged to who reads it.
    rustix::fs::fadvise(file.as_file(), 0, None, rustix::fs::Advice::DontNeed).expect("the cache is given up");
    let path = file.path().display();
    let filled = start_in(&child, &format!("cat {path} > /dev/null")).0.wait();
    assert!(filled.expect("it ends").success(), "page cache gives way at the limit");
    assert_eq!(watch.verdict(), None);

    // Neighbours take so much in small pieces that the child, as the largest process, must go long before its own limit.
    let neighbour = group.child("neighbour", &Limits::default());
    let script = "for i in 1 2 3 4 5 6; do dd if=/dev/zero bs=6M count=1 | sleep 1000 & done; wait";
    let _neighbour = start_in(&neighbour, script);
    eventually("the neighbour has its memory", || neighbour.usage().memory.is_some_and(|bytes| bytes > 32 * MEGABYTE));
    start_in(&child, EAT_MEMORY).0.wait().expect("it ends");

    eventually("the kill is counted", || watch.verdict().is_some());
    assert_eq!(watch.verdict(), Some(OomScope::Host));
    neighbour.kill().expect("killed");
}

#[test]
fn a_plain_kill_is_no_kill_for_memory() {
    let group = Group::new("plain");
    let child = group.child("sleeper", &Limits { memory: Some(64 * MEGABYTE), ..Limits::default() });
    let watch = child.watch_oom();
    let mut sleeper = start_in(&child, "exec sleep 1000");

    child.kill().expect("killed");

    sleeper.0.wait().expect("it ends");
    assert_eq!(watch.verdict(), None);
}

#[test]
fn forks_beyond_the_limit_of_processes_are_refused_and_counted() {
    let group = Group::new("pids");
    let child = group.child("forker", &Limits { pids: Some(4), ..Limits::default() });

    let _forker = start_in(&child, "for i in 1 2 3 4 5 6 7 8; do sleep 1000 & done; wait");

    eventually("a fork is refused", || child.usage().pids_refused.is_some_and(|refused| refused > 0));
    assert!(child.usage().pids.is_some_and(|pids| pids <= 4));
}

#[test]
fn cpu_time_stays_within_its_share() {
    let group = Group::new("cpu");
    let child = group.child("spinner", &Limits { cpu_millis: Some(100), ..Limits::default() });
    let started = Instant::now();
    let _spinner = start_in(&child, "while :; do :; done");

    eventually("it used some", || child.usage().cpu_usec.is_some_and(|used| used > 60_000));

    let (used, wall) = (child.usage().cpu_usec.expect("a number"), started.elapsed().as_micros() as u64);
    // A tenth, and what may be consumed at once: a period's quota at both ends on each CPU.
    assert!(used <= wall / 10 + 60_000, "{used} µs of {wall} µs");
}

#[test]
fn limits_can_be_changed_and_lifted() {
    let group = Group::new("change");
    let all = |memory, cpu, pids| Limits { memory: Some(memory * MEGABYTE), cpu_millis: Some(cpu), pids: Some(pids) };
    let child = group.child("one", &all(64, 500, 10));
    for limits in [all(32, 250, 5), all(128, 1500, 20), Limits::default()] {
        child.set_limits(&limits).expect("changed");
    }
    let watch = child.watch_oom();
    let status = start_in(&child, "head -c 100000000 /dev/zero | tail -c 90000000 >/dev/null").0.wait().expect("it ends");
    assert!(status.success(), "nothing limits it any more");
    assert_eq!(watch.verdict(), None);
}

#[test]
fn killing_ends_processes_that_fork_all_the_time_and_removal_takes_everything_below() {
    let group = Group::new("bomb");
    let child = group.child("forker", &Limits { pids: Some(200), ..Limits::default() });
    let below = group.cgroup.create_child("other").expect("a child");
    let _bomb = start_in(&child, "while :; do (while :; do (:); done) & sleep 0.01; done");
    let _sleeper = start_in(&below, "trap '' TERM INT HUP; sleep 1000");
    eventually("it forks", || group.cgroup.pids().len() > 10);

    group.cgroup.kill().expect("killed");
    group.cgroup.wait_empty(Duration::from_secs(10)).expect("empty");

    group.cgroup.remove(Duration::from_secs(10)).expect("removed");
    assert!(!group.cgroup.exists() && !child.exists());
    group.cgroup.remove(Duration::from_secs(10)).expect("removed again");
}

#[test]
fn waiting_for_a_group_that_does_not_empty_names_its_processes() {
    let group = Group::new("busy");
    let child = group.child("sleeper", &Limits::default());
    let sleeper = start_in(&child, "exec sleep 1000");

    let error = group.cgroup.wait_empty(Duration::from_millis(30)).expect_err("it sleeps");

    assert!(error.to_string().contains(&sleeper.0.id().to_string()), "{error}");
}

#[test]
fn only_harmless_devices_can_be_opened() {
    let group = Group::new("devices");
    let script = "( : </dev/null ) && ( : </dev/urandom ) && ( : >/dev/full ) || exit 8; ( : </dev/kmsg ) && exit 9; exit 0";
    let free = group.child("free", &Limits::default());
    assert_eq!(start_in(&free, script).0.wait().expect("it ends").code(), Some(9), "without restriction it opens");

    let restricted = group.child("restricted", &Limits::default());
    restricted.restrict_devices().expect("restricted");

    assert_eq!(start_in(&restricted, script).0.wait().expect("it ends").code(), Some(0));
}
