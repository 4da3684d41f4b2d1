//! The second boot, after a reboot in order: everything is back by itself.

use std::time::Duration;

use pillion_e2e::until;

use super::{
    Check, app,
    machine::{booted_at, ok, property, run, start_registry, systemctl},
    memory::Memory,
};

pub const CHECKS: &[Check] = &[
    ("after_a_reboot_the_app_answers_by_itself_and_without_its_registry", answers),
    ("after_a_reboot_volumes_hold_what_was_in_them", volumes),
    ("the_machine_went_down_without_waiting_for_apps", down_soon),
    ("apps_were_stopped_in_order_when_the_machine_went_down", in_order),
    ("the_journal_of_the_boot_before_tells_of_the_end", journal_before),
    ("what_the_last_version_needs_is_not_there_yet", prepare),
];

fn answers(_: &mut Memory) {
    app::answers_as(&app::FIRST);
    app::answers_now();
    assert_eq!(property("ActiveState"), "active");
    let registry = run("systemctl", &["is-active", "registry"]);
    assert_eq!(registry.stdout.trim(), "inactive");
}

fn volumes(_: &mut Memory) {
    assert_eq!(app::in_container("cache", &["read", "/data/note"]), "kept\n");
}

/// Systemd waits for 90 s before it kills what does not end.
fn down_soon(memory: &mut Memory) {
    let took = booted_at().saturating_sub(memory.down_at);
    assert!(took < 60, "the machine went down in {took} s");
}

fn in_order(_: &mut Memory) {
    assert_eq!(app::in_container("cache", &["read", "/data/farewells"]), "web\ncache\n\n");
}

fn journal_before(_: &mut Memory) {
    let said = ok("journalctl", &["--boot", "-1", "--unit", "pillion", "--output", "cat", "--no-pager"]);
    assert!(said.contains("ended"), "{said}");
}

fn prepare(_: &mut Memory) {
    systemctl(&["enable", "--quiet", "registry"]);
    start_registry();
    let images = app::json(&["image", "list"]);
    assert!(!images.to_string().contains(app::LAST.image), "{images:#}");
    // The farewells of the next end are told apart.
    app::in_container("cache", &["write", "/data/farewells", ""]);
    until("the app is well", Duration::from_secs(20), || (app::status()["ready"] == 1).then_some(()));
}
