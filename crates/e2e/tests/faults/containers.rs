//! Main and sidecars killed: each restarts alone, with its cause written down.

use pillion_e2e::{Dice, Leftovers, Load, kill, until};

use crate::fleet::{Fleet, RECOVERY, pid_of};

const ROUNDS: usize = 5;

#[test]
fn a_killed_main_is_restarted_alone_and_the_events_say_signal_9() {
    let mut dice = Dice::seeded("main");
    let fleet = Fleet::of(6);
    fleet.all_whole();
    let before = Leftovers::of(&fleet.copy);
    for round in 1..=ROUNDS {
        dice.linger(std::time::Duration::from_millis(50));
        let victims: Vec<_> = fleet.apps.iter().map(|app| fleet.whole(app)).collect();
        assert!(victims.iter().all(|members| kill(pid_of(members, "web"))));
        for was in victims {
            let app = &was[0].app;
            let now =
                until("main runs again", RECOVERY, || fleet.members(app).filter(|now| pid_of(now, "web") != pid_of(&was, "web")));
            assert_eq!(pid_of(&now, "side"), pid_of(&was, "side"), "the sidecar goes on");
            assert_eq!(now[0].instance, was[0].instance, "the instance goes on");
            let events = until("the events tell every end", RECOVERY, || {
                let events = fleet.copy.ok(["events", app]);
                (events.lines().filter(|line| line.contains("ended") && line.contains("signal 9")).count() >= round)
                    .then_some(events)
            });
            let ends = events.lines().filter(|line| line.contains("  ended"));
            assert!(ends.clone().all(|line| line.contains("web") && line.contains("signal 9")), "{events}");
            assert_eq!(ends.count(), round, "{events}");
        }
    }
    before.again_but(&fleet.copy, "after the kills", |leftovers| leftovers.processes.clear());
}

#[test]
fn a_killed_sidecar_restarts_alone_main_keeps_its_process_and_no_request_fails() {
    let mut dice = Dice::seeded("sidecar");
    let fleet = Fleet::of(6);
    fleet.all_whole();
    let load = Load::on(&fleet.copy.url("app0"));
    for _ in 0..ROUNDS {
        dice.linger(std::time::Duration::from_millis(50));
        let victims: Vec<_> = fleet.apps.iter().map(|app| fleet.whole(app)).collect();
        assert!(victims.iter().all(|members| kill(pid_of(members, "side"))));
        for was in victims {
            let app = &was[0].app;
            let now = until("the sidecar runs again", RECOVERY, || {
                fleet.members(app).filter(|now| pid_of(now, "side") != pid_of(&was, "side"))
            });
            assert_eq!(pid_of(&now, "web"), pid_of(&was, "web"), "main goes on");
            assert_eq!(now[0].instance, was[0].instance, "the instance goes on");
        }
    }
    let (made, failed) = load.end();
    assert_eq!(failed, 0, "of {made} requests");
    assert!(made > 0);
}
