//! The server killed under load: apps go on serving, and the next server adopts everything.

use std::time::Duration;

use pillion_e2e::{Dice, Leftovers, Load, Role, kill, of_role, until};

use crate::fleet::{Fleet, RECOVERY};

#[test]
fn a_killed_server_costs_no_request_and_the_next_one_adopts_every_process() {
    let mut dice = Dice::seeded("server");
    let mut fleet = Fleet::of(3);
    let members = fleet.all_whole();
    let gateway = of_role(&fleet.copy, Role::Gateway);
    let guards = of_role(&fleet.copy, Role::Supervisor);
    let before = Leftovers::of(&fleet.copy);
    let load = Load::on(&fleet.copy.url("app1"));
    for _ in 0..30 {
        fleet.copy.kill_server();
        load.goes_on(1 + dice.below(5));
        fleet.copy.serve();
        dice.linger(Duration::from_millis(80));
    }
    assert_eq!(fleet.all_whole(), members, "the same instances, containers and processes");
    let (made, failed) = load.end();
    assert_eq!(failed, 0, "of {made} requests");
    assert_eq!(of_role(&fleet.copy, Role::Gateway), gateway);
    assert_eq!(of_role(&fleet.copy, Role::Supervisor), guards);
    before.again_but(&fleet.copy, "after the kills", |leftovers| leftovers.processes.retain(|line| !line.starts_with("Server")));
}

#[test]
fn server_and_gateway_killed_together_come_back_with_the_same_ports_and_apps() {
    let mut dice = Dice::seeded("server and gateway");
    let mut fleet = Fleet::of(2);
    let members = fleet.all_whole();
    let url = fleet.copy.url("app0");
    for _ in 0..6 {
        let gateway = until("there is a gateway", RECOVERY, || Some(of_role(&fleet.copy, Role::Gateway).first()?.pid));
        let server_first = dice.below(2) == 0;
        if server_first {
            fleet.copy.kill_server();
        }
        assert!(kill(gateway));
        fleet.copy.kill_server();
        fleet.copy.serve();
        until("the app answers at its old port", RECOVERY, || pillion_e2e::get(&url).ok().filter(|answer| answer.status == 200));
    }
    assert_eq!(fleet.all_whole(), members);
}
