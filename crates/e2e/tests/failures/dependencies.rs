//! Containers that wait for others.

use crate::stage::{Stage, soon, swap};

#[test]
fn containers_that_wait_for_each_other() {
    let stage = Stage::new();
    let broken = format!(
        "{}{}",
        stage.app(&["port: 8080", "command: [serve, '8080']", "dependsOn: { cache: healthy }"]),
        stage.sidecar("cache", &["port: 6379", "command: [bind, '6379', sleep]", "dependsOn: { web: started }"])
    );
    let told = stage.refused("Dependency cycle", "cache", &broken);
    assert!(told.hint.contains("take one of these `dependsOn` away"), "{}", told.head);
    stage.heals(&swap(&broken, "    dependsOn: { web: started }\n", ""));
}

#[test]
fn a_dependency_that_is_never_healthy() {
    let stage = Stage::new();
    let broken = soon(&format!(
        "{}{}",
        stage.app(&["port: 8080", "command: [serve, '8080']", "dependsOn: { cache: healthy }"]),
        stage.sidecar("cache", &["port: 6379", "command: [print, loading, sleep]"])
    ));
    let told = stage.fails("Dependency never healthy", "PortNeverOpened", "cache", &broken);
    assert!(told.hint.contains("6379"), "{}", told.head);
    stage.heals(&swap(&broken, "print, loading, sleep", "bind, '6379', sleep"));
}

#[test]
fn a_dependency_that_fails() {
    let stage = Stage::new();
    let broken = format!(
        "{}{}",
        stage.app(&["port: 8080", "command: [serve, '8080']", "dependsOn: { migrate: completed }"]),
        stage.sidecar("migrate", &["runOnce: true", "command: [warn, 'no such table', exit, '1']"])
    );
    let told = stage.fails("Dependency failed", "Exited", "migrate", &broken);
    assert!(told.ran.stderr.contains("no such table"), "{}", told.ran.stderr);
    stage.heals(&swap(&broken, "exit, '1'", "exit, '0'"));
}
