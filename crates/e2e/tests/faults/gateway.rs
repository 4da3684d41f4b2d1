//! The gateway killed under load: connections wait for the next one, none is refused.

use std::time::Duration;

use pillion_e2e::{Dice, Load, Role, age, kill, of_role, until};

use crate::fleet::{Fleet, RECOVERY};

/// As long as the server wants a gateway to have lived before it replaces it without a pause.
const WELL_AFTER: Duration = Duration::from_millis(500);

#[test]
fn a_killed_gateway_is_replaced_and_refuses_no_connection_meanwhile() {
    let mut dice = Dice::seeded("gateway");
    let fleet = Fleet::of(2);
    let members = fleet.all_whole();
    let load = Load::on(&fleet.copy.url("app0"));
    let mut cut = 0;
    for _ in 0..40 {
        // The successor of one that dies sooner is not hurried: it waits longer each time.
        let gateway = until("there is a gateway that was well", RECOVERY, || {
            let gateway = of_role(&fleet.copy, Role::Gateway).first()?.pid;
            (age(gateway)? > WELL_AFTER).then_some(gateway)
        });
        dice.linger(Duration::from_millis(100));
        assert!(kill(gateway));
        // Two: the one that may have been under way, and one that must have come through the next gateway.
        load.goes_on(2);
        let failures = load.take_failures();
        assert!(failures.iter().all(|why| !why.contains("refused")), "{failures:?}");
        assert!(failures.len() <= 1, "only the request under way may fail: {failures:?}");
        cut += failures.len();
        assert_eq!(pillion_e2e::get(&fleet.copy.url("app1")).expect("the other app answers").status, 200);
    }
    let (made, failed) = load.end();
    eprintln!("{cut} of {made} requests were cut by 40 kills");
    assert_eq!(failed, 0);
    assert_eq!(fleet.all_whole(), members, "apps did not notice");
    until("exactly one gateway runs", RECOVERY, || (of_role(&fleet.copy, Role::Gateway).len() == 1).then_some(()));
}
