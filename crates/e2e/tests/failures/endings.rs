//! Containers that end although they should keep running.

use pillion_e2e::{eventually, get};

use crate::stage::{Stage, swap};

#[test]
fn a_container_that_ends_at_once_with_0() {
    let stage = Stage::new();
    let app = stage.app(&["port: 8080", "command: [serve, '8080']"]);
    let broken = format!("{app}{}", stage.sidecar("migrate", &["command: [print, migrated, exit, '0']"]));
    let told = stage.fails("Ends at once with 0", "Exited", "migrate", &broken);
    stage.heals(&swap(&broken, "exit, '0']", &format!("exit, '0']\n    {}", told.printed(0))));
}

#[test]
fn a_main_container_that_ends_at_once_with_0() {
    let stage = Stage::new();
    let broken = stage.app(&["port: 8080", "command: [print, 'started in the background', exit, '0']"]);
    let told = stage.fails("Main goes to the background", "Exited", "web", &broken);
    assert!(told.hint.contains("stay in the foreground"), "{}", told.head);
    stage.heals(&swap(&broken, "exit, '0'", "serve, '8080'"));
}

#[test]
fn a_container_that_ends_at_once_with_1() {
    let stage = Stage::new();
    let broken = stage.app(&["port: 8080", "command: [warn, 'DB_URL is not set', exit, '1']"]);
    let told = stage.fails("Ends at once with 1", "Exited", "web", &broken);
    assert!(told.ran.stderr.contains("its last lines:\n  DB_URL is not set"), "{}", told.ran.stderr);
    let words: Vec<String> = told.printed(0).replace("APP", "shop").split(' ').skip(1).map(str::to_owned).collect();
    assert!(stage.copy.ok(&words).contains("DB_URL is not set"), "the printed command shows the lines");
    stage.heals(&swap(&broken, "exit, '1'", "serve, '8080'"));
}

#[test]
fn a_container_that_a_signal_ends() {
    let stage = Stage::new();
    let broken = stage.app(&["port: 8080", "command: [crash]"]);
    let told = stage.fails("Crashes", "Exited", "web", &broken);
    assert!(told.hint.contains("crashed"), "{}", told.head);
    stage.heals(&swap(&broken, "[crash]", "[serve, '8080']"));
}

#[test]
fn a_supervisor_that_was_killed() {
    let stage = Stage::new();
    stage.heals(&stage.app(&["port: 8080", "command: [serve, '8080']"]));
    let status = stage.copy.json(&["status", "shop"]);
    let before = status["instances"][0]["id"].clone();
    let main = status["instances"][0]["containers"][0]["pid"].as_i64().expect("main runs");
    let supervisor = supervisor_of(before.as_str().expect("an id"));
    assert!(rustix::process::kill_process(supervisor, rustix::process::Signal::KILL).is_ok());
    eventually("another instance serves, with no word from anybody", || {
        let status = stage.copy.json(&["status", "shop"]);
        let fresh = status["instances"].as_array().is_some_and(|all| all.len() == 1 && all[0]["id"] != before);
        fresh && get(&stage.copy.url("shop")).is_ok_and(|answer| answer.status == 200)
    });
    eventually("nothing of the old instance is left", || !std::path::Path::new(&format!("/proc/{main}")).exists());
}

fn supervisor_of(instance: &str) -> rustix::process::Pid {
    let found = std::fs::read_dir("/proc").expect("/proc").flatten().find_map(|entry| {
        let pid: i32 = entry.file_name().to_str()?.parse().ok()?;
        let words = std::fs::read(entry.path().join("cmdline")).ok()?;
        let words = String::from_utf8_lossy(&words).into_owned();
        let parent = std::fs::read_to_string(entry.path().join("stat")).ok()?;
        let _ = parent;
        (words.contains("supervise") && words.contains(instance)).then_some(pid)
    });
    rustix::process::Pid::from_raw(found.expect("the instance has a supervisor")).expect("a process id")
}
