//! The server killed in the middle of what it was asked: what it acknowledged is what ends up running.

use std::time::{Duration, Instant};

use pillion_e2e::{Dice, Leftovers, Role, Running, of_role, until};

use crate::fleet::{Fleet, RECOVERY};

/// The main command of the newest definition.
fn defined(fleet: &Fleet, app: &str) -> String {
    fleet.copy.json(&["show", app]).to_string()
}

#[test]
fn an_apply_or_scale_interrupted_by_the_servers_death_is_completed_or_never_was() {
    let mut dice = Dice::seeded("midway");
    let mut fleet = Fleet::of(1);
    let (mut mark, mut scale) = (String::from("m0"), 1);
    fleet.apply("app0", &mark, scale);
    for round in 1..=24 {
        let wanted_mark = format!("m{round}");
        let wanted_scale = 1 + dice.below(3) as u32;
        let by_scale = dice.below(3) == 0;
        let delay = Duration::from_millis(350);
        let asked = if by_scale {
            fleet.copy.spawn(["scale", "app0", &wanted_scale.to_string()])
        } else {
            let file = fleet.copy.file("next.yaml", &fleet.text("app0", &wanted_mark, wanted_scale));
            fleet.copy.spawn(["apply".as_ref(), "-f".as_ref(), file.as_os_str()])
        };
        dice.linger(delay);
        fleet.copy.kill_server();
        let ran = asked.finish();
        fleet.copy.serve();
        let members = fleet.whole("app0");
        let shown = defined(&fleet, "app0");
        let status = fleet.status("app0");
        let count = status["wanted"].as_u64().expect("a number") as u32;
        if by_scale {
            assert!(
                count == wanted_scale || (ran.code != 0 && count == scale),
                "asked for {wanted_scale}, was {scale}, is {count}: {}",
                ran.said()
            );
        } else {
            let taken = shown.contains(&format!("\"{wanted_mark}\""));
            assert!(taken || ran.code != 0, "{wanted_mark} was acknowledged and is lost: {shown}");
            assert!(taken || shown.contains(&format!("\"{mark}\"")), "neither {mark} nor {wanted_mark}: {shown}");
            if taken {
                mark = wanted_mark;
            }
        }
        scale = count;
        assert_eq!(status["current"], status["target"], "at rest: {status:#}");
        assert_eq!(members.len(), scale as usize * 2);
        let logs = fleet.copy.ok(["logs", "app0", "-c", "web"]);
        assert!(logs.contains(&mark), "what runs is what is defined: {mark} in {logs}");
        until("there is one supervisor per instance", RECOVERY, || {
            (of_role(&fleet.copy, Role::Supervisor).len() == scale as usize).then_some(())
        });
    }
}

#[test]
fn a_delete_interrupted_by_the_servers_death_is_completed_or_never_was() {
    let mut dice = Dice::seeded("delete midway");
    let mut fleet = Fleet::of(1);
    fleet.all_whole();
    fleet.copy.ok(["delete", "app0", "--yes"]);
    let clean = Leftovers::of(&fleet.copy);
    for _ in 0..12 {
        fleet.apply("app0", "", 1);
        let asked = fleet.copy.spawn(["delete", "app0", "--yes"]);
        dice.linger(Duration::from_millis(150));
        fleet.copy.kill_server();
        let ran = asked.finish();
        fleet.copy.serve();
        let is_there = || fleet.copy.run(["status", "app0"]).code != 3;
        if ran.code == 0 {
            until("what was acknowledged as deleted is gone", RECOVERY, || (!is_there()).then_some(()));
        }
        // Otherwise it is whole, or on its way out.
        until("it is whole or gone", RECOVERY, || (!is_there() || fleet.members("app0").is_some()).then_some(()));
        if is_there() {
            fleet.copy.ok(["delete", "app0", "--yes"]);
        }
        clean.again_but(&fleet.copy, "after the delete", |leftovers| {
            leftovers.processes.retain(|line| !line.starts_with("Server"))
        });
    }
}

#[test]
fn a_supervisor_that_was_not_up_yet_when_its_server_died_is_not_forgotten() {
    let mut fleet = Fleet::of(1);
    fleet.all_whole();
    // It is up some milliseconds after it began, and may be so before it is found: then it is started once more.
    let (starting, pid) = (0..50).find_map(|_| held_before_it_is_up(&fleet)).expect("one of fifty is caught on its way");
    fleet.copy.kill_server();
    drop(starting.finish());
    fleet.copy.serve();
    let _ = rustix::process::kill_process(pid, rustix::process::Signal::CONT);
    let members = fleet.whole("app0");
    until("exactly the instance that serves has a supervisor", RECOVERY, || {
        let guards = of_role(&fleet.copy, Role::Supervisor);
        (guards.len() == 1 && guards[0].instance.as_deref() == Some(members[0].instance.as_str())).then_some(())
    });
}

/// Starts the stopped app and holds its supervisor where it is, so that it is still on its way when the next server looks; none
/// where it was up already.
fn held_before_it_is_up(fleet: &Fleet) -> Option<(Running, rustix::process::Pid)> {
    fleet.copy.ok(["stop", "app0"]);
    until("nothing runs", RECOVERY, || of_role(&fleet.copy, Role::Supervisor).is_empty().then_some(()));
    let starting = fleet.copy.spawn(["start", "app0"]);
    // Looked for without a pause: what is wanted lasts as long as two looks of `until`.
    let began = Instant::now();
    let young = std::iter::repeat_with(|| of_role(&fleet.copy, Role::Supervisor).into_iter().next())
        .take_while(|_| began.elapsed() < RECOVERY)
        .find_map(|found| found)
        .expect("a supervisor begins");
    let pid = rustix::process::Pid::from_raw(young.pid).expect("a process id");
    rustix::process::kill_process(pid, rustix::process::Signal::STOP).expect("it runs");
    let socket = fleet.copy.run_dir().join("i").join(young.instance.as_deref().unwrap_or_default()).join("control.sock");
    if !socket.exists() {
        return Some((starting, pid));
    }
    rustix::process::kill_process(pid, rustix::process::Signal::CONT).expect("it is held");
    drop(starting.finish());
    None
}
