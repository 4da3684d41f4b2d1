//! A hundred apps come and go: nothing of them stays, and nothing grows.

use std::fs;

use pillion_e2e::{Leftovers, Role, of_role, until};

use crate::fleet::{Fleet, RECOVERY};

const CYCLES: usize = 100;
/// What a process may grow by over all cycles: caches and the allocator's slack, far less than an app's worth each.
const GROWTH_KIB: u64 = 12 * 1024;
const GROWTH_FDS: usize = 8;

/// Resident memory that is the process's own, in KiB, and its open descriptors.
fn usage(pid: i32) -> (u64, usize) {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    let resident = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).expect("a line");
    let kib = resident.trim().trim_end_matches(" kB").parse().expect("a number");
    (kib, fs::read_dir(format!("/proc/{pid}/fd")).expect("it runs").count())
}

#[test]
fn a_hundred_apply_and_delete_cycles_leave_nothing_behind_and_nothing_grows() {
    let fleet = Fleet::of(1);
    let cycle = |n: usize| {
        if n > 0 {
            fleet.apply("app0", "", 1);
        }
        fleet.copy.ok(["delete", "app0", "--yes"]);
    };
    // Ten first, so that pools and caches have the size they need.
    cycle(0);
    let clean = Leftovers::of(&fleet.copy);
    (1..10).for_each(cycle);
    let pids = [Role::Server, Role::Gateway].map(|role| of_role(&fleet.copy, role)[0].pid);
    let before = pids.map(usage);
    (10..CYCLES).for_each(cycle);
    clean.again(&fleet.copy, "after a hundred cycles");
    for (pid, (kib, fds)) in pids.into_iter().zip(before) {
        let mut now = (0, 0);
        until("descriptors are closed again", RECOVERY, || {
            now = usage(pid);
            (now.1 <= fds + GROWTH_FDS).then_some(())
        });
        eprintln!("process {pid}: {kib} KiB and {fds} descriptors, then {now:?}");
        assert!(now.0 <= kib + GROWTH_KIB, "process {pid} grew from {kib} to {} KiB", now.0);
    }
}

#[test]
fn after_prune_and_stop_nothing_is_left_but_what_apps_keep() {
    let fleet = Fleet::of(2);
    fleet.all_whole();
    let running = Leftovers::of(&fleet.copy);
    let kernel = [&running.processes, &running.mounts, &running.cgroups, &running.links, &running.rules];
    assert!(kernel.iter().all(|kind| !kind.is_empty()), "the search must find what runs: {running:#?}");
    fleet.copy.ok(["system", "prune"]);
    assert_eq!(Leftovers::of(&fleet.copy), running, "pruning touches nothing that runs");
    fleet.copy.ok(["system", "stop"]);
    let now = Leftovers::of(&fleet.copy);
    assert!(now.is_quiet(), "{now:#?}");
    let files = now.files.iter().filter(|file| file.starts_with("/run") && !std::path::Path::new(file).is_dir());
    assert!(files.clone().all(|file| file.ends_with("serve.lock")), "{:?}", files.collect::<Vec<_>>());
}
