//! Supervisors, wardens and helpers killed: no instance is left unguarded or half alive.

use std::time::Duration;

use pillion_e2e::{Dice, Leftovers, Role, kill, kill_next_helper, of_role, until};

use crate::fleet::{Fleet, Member, RECOVERY, pid_of};

const ROUNDS: usize = 5;

/// Waits until a new instance serves in the old one's place and nothing of the old one is left.
fn replaced(fleet: &Fleet, was: &[Member]) {
    let (app, instance) = (&was[0].app, &was[0].instance);
    let now = until("another instance serves", RECOVERY, || fleet.members(app).filter(|now| now[0].instance != *instance));
    assert!(now.iter().all(|member| was.iter().all(|old| old.pid != member.pid)));
    until("nothing of the old one runs", RECOVERY, || fleet.is_gone(instance).then_some(()));
    let answer = pillion_e2e::get(&fleet.copy.url(app)).expect("the new one answers");
    assert_eq!(answer.status, 200, "{}", answer.body);
}

/// What is on the machine, instance by instance: as many of each as before, whatever their names.
fn counts(fleet: &Fleet) -> [usize; 5] {
    let now = Leftovers::of(&fleet.copy);
    let run_files = now.files.iter().filter(|file| file.starts_with("/run")).count();
    [now.mounts.len(), now.cgroups.len(), now.links.len(), now.rules.len(), run_files]
}

fn same_counts(fleet: &Fleet, before: [usize; 5]) {
    let mut last = before;
    until("as many mounts, cgroups, links, rules and files as before", RECOVERY, || {
        last = counts(fleet);
        (last == before).then_some(())
    });
}

#[test]
fn a_killed_supervisor_takes_its_instance_along_and_another_instance_takes_its_place() {
    let mut dice = Dice::seeded("supervisor");
    let fleet = Fleet::of(6);
    fleet.all_whole();
    let before = counts(&fleet);
    for _ in 0..ROUNDS {
        let victims: Vec<_> = fleet.apps.iter().map(|app| fleet.whole(app)).collect();
        for was in &victims {
            dice.linger(Duration::from_millis(20));
            assert!(kill(fleet.guard(Role::Supervisor, &was[0].instance).expect("it has a supervisor")));
        }
        victims.iter().for_each(|was| replaced(&fleet, was));
    }
    same_counts(&fleet, before);
}

#[test]
fn a_killed_warden_is_replaced_and_the_new_one_guards_as_well() {
    let mut dice = Dice::seeded("warden");
    let fleet = Fleet::of(6);
    let started = fleet.all_whole();
    for _ in 0..ROUNDS {
        for app in &fleet.apps {
            let members = fleet.whole(app);
            let instance = &members[0].instance;
            let warden = fleet.guard(Role::Warden, instance).expect("it has a warden");
            assert!(kill(warden));
            until("there is another warden", RECOVERY, || fleet.guard(Role::Warden, instance).filter(|pid| *pid != warden));
        }
    }
    assert_eq!(fleet.all_whole(), started, "nobody noticed");
    for app in &fleet.apps {
        let was = fleet.whole(app);
        dice.linger(Duration::from_millis(20));
        assert!(kill(fleet.guard(Role::Supervisor, &was[0].instance).expect("it has a supervisor")));
        replaced(&fleet, &was);
    }
}

#[test]
fn supervisor_and_warden_killed_at_once_are_cleared_away_by_the_server_also_by_a_later_one() {
    let mut dice = Dice::seeded("both guards");
    let mut fleet = Fleet::of(6);
    fleet.all_whole();
    let before = counts(&fleet);
    for round in 0..3 {
        let victims: Vec<_> = fleet.apps.iter().map(|app| fleet.whole(app)).collect();
        let server_dead = round == 1;
        if server_dead {
            fleet.copy.kill_server();
        }
        for was in &victims {
            let instance = &was[0].instance;
            let guards = [Role::Warden, Role::Supervisor].map(|role| fleet.guard(role, instance).expect("it is guarded"));
            // The warden first: then nobody on the spot can end the instance.
            assert!(guards.into_iter().all(kill));
            dice.linger(Duration::from_millis(10));
        }
        if server_dead {
            let orphans =
                victims.iter().flatten().filter(|member| std::fs::exists(format!("/proc/{}", member.pid)).unwrap_or(false));
            assert!(orphans.count() > 0, "with nobody there, containers run on until the server is back");
            fleet.copy.serve();
        }
        victims.iter().for_each(|was| replaced(&fleet, was));
    }
    same_counts(&fleet, before);
}

#[test]
fn a_helper_killed_in_the_middle_of_a_start_leaves_nothing_and_the_start_is_tried_again() {
    let mut dice = Dice::seeded("helper");
    let fleet = Fleet::of(6);
    fleet.all_whole();
    let before = counts(&fleet);
    let mut killed = std::collections::BTreeMap::<String, usize>::new();
    for round in 0..4 {
        for app in &fleet.apps {
            let was = fleet.whole(app);
            let supervisor = fleet.guard(Role::Supervisor, &was[0].instance).expect("it has a supervisor");
            let victim = *dice.one(&["web", "side"]);
            // Whoever dies is started again through a helper; or the whole instance is, through several.
            let supervisors: Box<dyn Fn() -> Vec<i32>> = if round % 2 == 0 {
                assert!(kill(pid_of(&was, victim)));
                Box::new(move || vec![supervisor])
            } else {
                assert!(kill(supervisor));
                let copy = &fleet.copy;
                Box::new(move || of_role(copy, Role::Supervisor).into_iter().map(|process| process.pid).collect())
            };
            let moment = dice.below(12);
            let role = kill_next_helper(supervisors, Duration::from_secs(5), || {
                std::thread::sleep(Duration::from_millis(moment));
            });
            *killed.entry(role.unwrap_or_else(|| "none".into())).or_default() += 1;
            fleet.whole(app);
        }
    }
    eprintln!("helpers killed: {killed:?}");
    assert!(killed.iter().filter(|(role, _)| *role != "none").map(|(_, count)| count).sum::<usize>() >= 16, "{killed:?}");
    fleet.all_whole();
    same_counts(&fleet, before);
    assert_eq!(of_role(&fleet.copy, Role::Helper), [], "no helper is left");
    let contained = of_role(&fleet.copy, Role::Contained).len();
    assert_eq!(contained, fleet.apps.len() * 2, "no half-made process is left");
}
