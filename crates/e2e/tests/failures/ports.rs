//! Ports: never opened, another one, taken.

use crate::stage::{Stage, soon, swap};

#[test]
fn a_port_that_is_never_opened() {
    let stage = Stage::new();
    let broken = soon(&stage.app(&["port: 8080", "command: [print, starting, sleep]"]));
    let told = stage.fails("Port never opened", "PortNeverOpened", "web", &broken);
    assert!(told.hint.contains("make the program listen on 8080"), "{}", told.head);
    stage.heals(&swap(&broken, "sleep", "serve, '8080'"));
}

#[test]
fn no_port_at_all() {
    let stage = Stage::new();
    let broken = soon(&stage.app(&["command: [print, starting, sleep]"]));
    let told = stage.fails("No port opened", "PortNeverOpened", "web", &broken);
    assert!(told.hint.contains("make the program listen on a TCP port"), "{}", told.head);
    stage.heals(&swap(&broken, "sleep", "serve, '8080'"));
}

#[test]
fn another_port_than_was_said() {
    let stage = Stage::new();
    let broken = soon(&stage.app(&["port: 8080", "command: [serve, '3000']"]));
    let told = stage.fails("Other port opened", "OtherPortOpened", "web", &broken);
    stage.heals(&swap(&broken, "port: 8080", told.printed(0)));
}

#[test]
fn a_port_that_another_container_has() {
    let stage = Stage::new();
    let broken = format!(
        "{}{}{}",
        stage.app(&["port: 8080", "command: [serve, '8080']"]),
        stage.sidecar("cache", &["port: 6379", "command: [bind, '6379', sleep]"]),
        stage.sidecar("cache2", &["command: [bind, '6379', sleep]", "dependsOn: { cache: healthy }"])
    );
    let told = stage.fails("Port taken by another container", "PortTaken", "cache2", &broken);
    assert!(told.head.contains("\"cache\" already has"), "{}", told.head);
    let fixed = swap(
        &broken,
        "command: [bind, '6379', sleep]\n    dependsOn",
        &format!("{} 6380\n    command: [bind, '6380', sleep]\n    dependsOn", told.printed(0)),
    );
    stage.heals(&fixed);
}

#[test]
fn a_port_that_two_containers_declare() {
    let stage = Stage::new();
    let broken = format!(
        "{}{}{}",
        stage.app(&["port: 8080", "command: [serve, '8080']"]),
        stage.sidecar("cache", &["port: 6379", "command: [bind, '6379', sleep]"]),
        stage.sidecar("cache2", &["port: 6379", "command: [bind, '6380', sleep]"])
    );
    stage.refused("Port declared twice", "cache2", &broken);
    stage.heals(&swap(&broken, "port: 6379\n    command: [bind, '6380'", "port: 6380\n    command: [bind, '6380'"));
}
