//! What the host lacks.

use std::process::Command;

use pillion_e2e::built;

use crate::{book, stage::Told};

/// Without the rights it needs, the command line says what and why, and does nothing.
#[test]
fn no_right_to_speak_to_the_server() {
    let stage = crate::stage::Stage::new();
    let file = stage.copy.file("pillion.yaml", &stage.app(&["port: 8080", "command: [serve, '8080']"]));
    let shared = tempfile::tempdir().expect("a directory");
    let own = shared.path().join("pillion");
    std::fs::copy(built("pillion"), &own).expect("a program that everybody may run");
    let text = std::fs::read(&file).expect("the file");
    for path in [shared.path(), stage.copy.root()] {
        let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(path, open).expect("the directory is opened");
    }
    let mut child = Command::new("setpriv")
        .args(["--reuid", "65534", "--regid", "65534", "--clear-groups", "--"])
        .arg(&own)
        .args(["apply", "-f", "-"])
        .env("PILLION_ROOT", stage.copy.root())
        .env("HOME", shared.path())
        .env_remove("DOCKER_CONFIG")
        .env("NO_COLOR", "1")
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .expect("the command starts");
    std::io::Write::write_all(child.stdin.as_mut().expect("a pipe"), &text).expect("the file is sent");
    let output = child.wait_with_output().expect("it ends");
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let ran =
        pillion_e2e::Ran { code: output.status.code().unwrap_or(-1), stdout: said(&output.stdout), stderr: said(&output.stderr) };
    let told = Told::of(ran);
    assert!(told.hint.contains("sudo"), "{}", told.head);
    let root = stage.copy.root().display().to_string();
    let head: Vec<String> = told.head.lines().map(|line| socket(line, &root)).collect();
    book::shows("Not permitted", &head.join("\n"));
    stage.heals(&std::fs::read_to_string(&file).expect("the file"));
}

/// Puts the machine's own path where a copy's socket is named.
fn socket(line: &str, root: &str) -> String {
    let line = line.replace(root, "");
    let words = line.split(' ').map(|word| match word.find("pillion.sock") {
        Some(at) => format!("/run/pillion/{}", &word[at..]),
        None => word.to_owned(),
    });
    words.collect::<Vec<_>>().join(" ")
}
