//! Runs the built program in a directory and an environment of its own.

use std::{
    path::Path,
    process::{Command, Stdio},
};

/// A command that has ended.
#[derive(Debug)]
pub struct Ran {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

/// Runs `pillion ARGS` with `root` as its root, which also is its home and working directory.
pub fn pillion(root: &Path, args: &[&str]) -> Ran {
    let output = Command::new(env!("CARGO_BIN_EXE_pillion"))
        .args(args)
        .env_clear()
        .env("PILLION_ROOT", root)
        .env("HOME", root)
        .env("COLUMNS", "100")
        .current_dir(root)
        .stdin(Stdio::null())
        .output()
        .expect("the program runs");
    Ran {
        code: output.status.code().expect("it ends by itself"),
        stdout: String::from_utf8(output.stdout).expect("text"),
        stderr: String::from_utf8(output.stderr).expect("text"),
    }
}

/// A root that nothing runs in.
pub fn root() -> tempfile::TempDir {
    tempfile::Builder::new().prefix("pillion-cli-").tempdir().expect("a temporary directory")
}
