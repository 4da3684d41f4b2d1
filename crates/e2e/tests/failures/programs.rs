//! Programs that cannot be started.

use std::{fs, os::unix::fs::PermissionsExt};

use pillion_e2e::{Images, Packed, built};

use crate::{
    pushed::{self, Layer},
    stage::{Stage, Told, swap, text},
};

/// An image with the puppet, a shell, and `/app/start.sh` as its entrypoint.
fn with_script(stage: &Stage, tag: &str, content: &[u8], mode: u32) -> String {
    let dir = tempfile::tempdir().expect("a directory");
    let script = dir.path().join("start.sh");
    fs::write(&script, content).expect("the script is written");
    fs::set_permissions(&script, fs::Permissions::from_mode(mode)).expect("its mode is set");
    let app = format!("{}:/app", text(dir.path()));
    let puppet = format!("{}:/bin/puppet", built("puppet").display());
    let packed = Packed::default().with(&[
        "--dir",
        &app,
        "--program",
        &puppet,
        "--program",
        "/bin/sh:/bin/sh",
        "--entrypoint",
        "/app/start.sh",
    ]);
    Images::new(&stage.registry).push(&format!("script:{tag}"), &packed)
}

const SCRIPT: &[u8] = b"#!/bin/sh\nexec /bin/puppet serve 8080\n";

/// Puts the printed `entrypoint: …` into the file.
fn printed_entrypoint(app: &str, told: &Told) -> String {
    let fix = told.hint.split('`').find(|part| part.starts_with("entrypoint: ")).unwrap_or_else(|| panic!("{}", told.head));
    swap(app, "port: 8080", &format!("port: 8080\n    {fix}"))
}

#[test]
fn a_command_that_is_not_in_the_image() {
    let stage = Stage::new();
    let broken = stage.app(&["port: 8080", "entrypoint: [pupet]", "command: [serve, '8080']"]);
    let told = stage.fails("Command missing", "CommandMissing", "web", &broken);
    assert_eq!(told.printed(1), "entrypoint:");
    stage.heals(&swap(&broken, "[pupet]", "[puppet]"));
}

#[test]
fn a_command_that_is_not_executable() {
    let stage = Stage::new();
    let image = with_script(&stage, "1", SCRIPT, 0o644);
    let broken = stage.app_of(&image, &["port: 8080"]);
    let told = stage.fails("Command not executable", "CommandNotExecutable", "web", &broken);
    stage.heals(&printed_entrypoint(&broken, &told));
}

#[test]
fn a_script_without_a_first_line() {
    let stage = Stage::new();
    let image = with_script(&stage, "1", b"exec /bin/puppet serve 8080\n", 0o755);
    let broken = stage.app_of(&image, &["port: 8080"]);
    let told = stage.fails("Script without a first line", "CommandWrongFormat", "web", &broken);
    stage.heals(&printed_entrypoint(&broken, &told));
}

#[test]
fn a_program_for_another_cpu() {
    let stage = Stage::new();
    // The 64 bytes of an ELF header say enough: `e_machine` 183 is arm64; no segments and sections follow.
    let mut program = fs::read(built("puppet")).expect("the puppet is read");
    program.truncate(64);
    program[18..20].copy_from_slice(&183u16.to_le_bytes());
    program[32..48].fill(0);
    program[56..64].fill(0);
    let layer = Layer::File { path: "app/start.sh", content: &program, mode: 0o755 };
    let image = pushed::with_layer(&stage.registry, "script:3", &with_script(&stage, "1", SCRIPT, 0o755), &layer);
    let broken = stage.app_of(&image, &["port: 8080"]);
    let told = stage.fails("Program for another CPU", "CommandWrongFormat", "web", &broken);
    assert!(told.hint.starts_with("use an image for this machine's CPU"), "{}", told.head);
    stage.heals(&swap(&broken, &image, &with_script(&stage, "2", SCRIPT, 0o755)));
}

#[test]
fn a_script_whose_interpreter_is_missing() {
    let stage = Stage::new();
    let image = with_script(&stage, "1", b"#!/bin/bash\nexec /bin/puppet serve 8080\n", 0o755);
    let broken = stage.app_of(&image, &["port: 8080"]);
    let told = stage.fails("Interpreter missing", "InterpreterMissing", "web", &broken);
    assert!(told.hint.contains("/bin/bash"), "{}", told.head);
    stage.heals(&swap(&broken, &image, &with_script(&stage, "2", SCRIPT, 0o755)));
}

#[test]
fn a_library_that_is_missing() {
    let stage = Stage::new();
    let image = pushed::with_layer(
        &stage.registry,
        "lean:1",
        &stage.image,
        &Layer::File { path: &whiteout(), content: b"", mode: 0o644 },
    );
    let broken = stage.app_of(&image, &["port: 8080", "command: [serve, '8080']"]);
    let told = stage.fails("Library missing", "LibraryMissing", "web", &broken);
    // The fix names the command that finds libraries by itself.
    let mut words = told.printed(0).split(' ').skip(1).map(str::to_owned).collect::<Vec<_>>();
    let fixed = format!("{}/whole:1", stage.registry.host());
    words.extend(["--push", &fixed, "--program"].map(str::to_owned));
    words.push(format!("{}:/bin/puppet", built("puppet").display()));
    stage.copy.ok(&words);
    stage.heals(&swap(&broken, &image, &fixed));
}

/// The entry that takes libgcc out of an image, which has it where this machine has it.
fn whiteout() -> String {
    let maps = fs::read_to_string("/proc/self/maps").expect("this program's libraries");
    let library = maps.split_whitespace().find(|word| word.contains("/libgcc_s.so.1")).expect("this program uses libgcc");
    let (directory, name) = library.trim_start_matches('/').rsplit_once('/').expect("a path");
    format!("{directory}/.wh.{name}")
}

#[test]
fn a_working_directory_that_is_missing() {
    let stage = Stage::new();
    let broken = stage.app(&["port: 8080", "command: [serve, '8080']", "workingDir: /bin/puppet"]);
    let told = stage.fails("Working directory missing", "WorkingDirectoryMissing", "web", &broken);
    stage.heals(&swap(&broken, "workingDir: /bin/puppet", &format!("{} /bin", told.printed(0))));
}

#[test]
fn a_user_that_the_image_does_not_know() {
    let stage = Stage::new();
    let broken = stage.app(&["port: 8080", "command: [serve, '8080']", "user: www"]);
    let told = stage.fails("User unknown", "UserUnknown", "web", &broken);
    stage.heals(&swap(&broken, "user: www", told.printed(1)));
}

#[test]
fn a_shell_line_whose_program_is_missing() {
    let stage = Stage::new();
    let image = with_script(&stage, "1", SCRIPT, 0o755);
    let broken = stage.app_of(&image, &["port: 8080", "entrypoint: [/bin/sh, -c]", "command: ['exec pupet serve 8080']"]);
    let told = stage.fails("Program missing inside a shell", "Exited", "web", &broken);
    assert!(told.printed(0) == "command:", "{}", told.head);
    stage.heals(&swap(&broken, "exec pupet", "exec puppet"));
}
