//! The third boot, after a power cut right behind an acknowledged change: it is there.

use std::time::Duration;

use pillion_e2e::until;

use super::{
    Check, app,
    machine::{main_pid, pillion, property},
    memory::Memory,
};

pub const CHECKS: &[Check] = &[
    ("after_a_power_cut_the_acknowledged_version_answers_by_itself", answers),
    ("after_a_power_cut_what_was_on_disk_before_is_there", volumes),
    ("a_stop_of_pillion_ends_the_service_for_good", stop),
];

fn answers(_: &mut Memory) {
    app::answers_as(&app::LAST);
    app::answers_now();
    // It was a cut: the version that this one replaced took its leave, this one did not.
    let farewells = app::in_container("cache", &["read", "/data/farewells"]);
    assert!(farewells.matches("web").count() < 2, "{farewells}");
    let shown = app::json(&["show", app::APP]);
    assert_eq!(shown["containers"]["web"]["image"], app::LAST.image, "{shown:#}");
}

fn volumes(_: &mut Memory) {
    assert_eq!(app::in_container("cache", &["read", "/data/note"]), "kept\n");
}

fn stop(_: &mut Memory) {
    let server = main_pid();
    let stopped = pillion(&["system", "stop"]);
    assert_eq!(stopped.code, 0, "{}", stopped.said());
    until("systemd knows that it ended", Duration::from_secs(10), || (property("ActiveState") != "active").then_some(()));
    assert_eq!((property("ActiveState"), property("Result")), ("inactive".into(), "success".into()), "of {server}");
    assert_eq!(app::environment(), None);
}
