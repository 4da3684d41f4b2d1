//! The supervisor as a program of its own, for as many processes as there are instances.
//!
//! `pillion supervise` does the same, with the server's code behind it: the pages that the dynamic linker writes to when it
//! relocates all of that are every process's own.

use std::process::ExitCode;

fn main() -> ExitCode {
    // Helpers and the supervisor must run before any thread exists, so nothing comes before them.
    if let Some(code) = pillion_runtime::helper::door().or_else(pillion_supervisor::door) {
        return code;
    }
    if std::env::args_os().nth(1).is_some_and(|word| word == "--version") {
        println!("{}", pillion_supervisor::VERSION);
        return ExitCode::SUCCESS;
    }
    eprintln!("pillion-supervisor is started by `pillion serve`, once for each instance of an app");
    ExitCode::from(2)
}
