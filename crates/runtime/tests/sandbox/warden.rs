//! The warden: the instance's processes end with their supervisor, however it ends.

use std::{
    fs,
    io::{Read, Write},
    path::Path,
    time::Duration,
};

use nix::{
    sys::{
        signal::{Signal, kill},
        wait::waitpid,
    },
    unistd::{ForkResult, Pid, fork},
};
use pillion_runtime::{cgroup::Cgroup, warden::spawn_warden};

use crate::world::{eventually, start_in};

/// What a forked supervisor does after it has its warden.
#[derive(Clone, Copy, PartialEq)]
enum Then {
    Live,
    Exit,
    Dismiss,
}

struct Supervisor {
    pid: Pid,
    warden: i32,
}

/// Forks a process of one thread that spawns the warden and tells its pid.
fn supervisor(cgroup: &Cgroup, then: Then) -> Supervisor {
    let (mut reader, mut writer) = std::io::pipe().expect("a pipe");
    // SAFETY: the child uses what glibc keeps usable across a fork (allocation), and ends in `_exit`.
    match unsafe { fork() }.expect("forked") {
        ForkResult::Child => {
            let warden = spawn_warden(cgroup).expect("a warden");
            writer.write_all(&warden.pid().to_ne_bytes()).expect("told");
            match then {
                Then::Live => loop {
                    nix::unistd::pause();
                },
                Then::Exit => {}
                Then::Dismiss => warden.dismiss().expect("dismissed"),
            }
            // SAFETY: ends the process and does nothing else.
            unsafe { libc::_exit(0) }
        }
        ForkResult::Parent { child } => {
            drop(writer);
            let mut bytes = [0; 4];
            reader.read_exact(&mut bytes).expect("the warden's pid");
            Supervisor { pid: child, warden: i32::from_ne_bytes(bytes) }
        }
    }
}

/// A process that is dead but unreaped counts as ended: whoever adopts orphans here may be slow to reap.
fn ended(pid: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_none_or(|(_, rest)| rest.starts_with(['Z', 'X']))
}

fn group(name: &str) -> (Cgroup, Cgroup) {
    let cgroup = Cgroup::create(Path::new(&format!("pillion-test-{name}-{}", std::process::id()))).expect("a control group");
    let child = cgroup.create_child("web").expect("a child");
    (cgroup, child)
}

#[test]
fn a_killed_supervisor_takes_every_process_of_its_instance_along() {
    let (cgroup, child) = group("killed");
    let supervisor = supervisor(&cgroup, Then::Live);
    // Made after the warden: it must look when it kills, not when it starts.
    let late = cgroup.create_child("late").expect("a child");
    let mut one = start_in(&child, "trap '' TERM; (sleep 1000 & sleep 1000) ");
    let mut two = start_in(&late, "while :; do sleep 0.01; done");
    eventually("they run", || cgroup.pids().len() >= 4);
    let fds = fs::read_dir(format!("/proc/{}/fd", supervisor.warden)).expect("its files").count();
    assert!(fds <= 6, "pidfd, pipe, /dev/null and the streams, not {fds}");

    kill(supervisor.pid, Signal::SIGKILL).expect("killed");

    waitpid(supervisor.pid, None).expect("reaped");
    one.0.wait().expect("ended");
    two.0.wait().expect("ended");
    cgroup.wait_empty(Duration::from_secs(10)).expect("empty");
    eventually("the warden is gone too", || ended(supervisor.warden));
    cgroup.remove(Duration::from_secs(10)).expect("removed");
}

#[test]
fn a_supervisor_that_just_exits_takes_its_instance_along() {
    let (cgroup, child) = group("exits");
    let mut process = start_in(&child, "exec sleep 1000");

    let supervisor = supervisor(&cgroup, Then::Exit);

    waitpid(supervisor.pid, None).expect("reaped");
    process.0.wait().expect("ended");
    eventually("the warden is gone too", || ended(supervisor.warden));
    cgroup.remove(Duration::from_secs(10)).expect("removed");
}

#[test]
fn a_dismissed_warden_kills_nothing() {
    let (cgroup, child) = group("dismissed");
    let mut process = start_in(&child, "exec sleep 1000");

    let supervisor = supervisor(&cgroup, Then::Dismiss);

    waitpid(supervisor.pid, None).expect("reaped");
    assert!(ended(supervisor.warden), "the supervisor waited for its end");
    assert_eq!(process.0.try_wait().expect("asked"), None, "still running");
    cgroup.remove(Duration::from_secs(10)).expect("removed");
}

#[test]
fn signals_for_the_supervisors_group_do_not_end_the_warden() {
    let (cgroup, child) = group("signals");
    let supervisor = supervisor(&cgroup, Then::Live);
    let mut process = start_in(&child, "exec sleep 1000");
    let ignoring =
        || fs::read_to_string(format!("/proc/{}/comm", supervisor.warden)).is_ok_and(|name| name.trim() == "pillion-warden");
    eventually("it has set itself up", ignoring);
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP] {
        kill(Pid::from_raw(supervisor.warden), signal).expect("sent");
    }

    kill(supervisor.pid, Signal::SIGKILL).expect("killed");

    waitpid(supervisor.pid, None).expect("reaped");
    process.0.wait().expect("the warden did its work");
    cgroup.remove(Duration::from_secs(10)).expect("removed");
}
