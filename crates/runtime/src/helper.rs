//! The door to the re-exec'd, single-threaded helper processes in which every risky step happens.
//!
//! libcontainer clones with a raw system call and goes on allocating in the child, and `unshare(CLONE_NEWUSER)` is
//! refused to a process with threads: neither may happen in the supervisor itself. So it starts its own executable
//! again, with a hidden verb and the name of a role, and the role runs before any thread exists.

mod launcher;

use std::{ffi::OsString, process::ExitCode};

pub use launcher::Launcher;

/// The hidden first argument that turns the executable into a helper.
pub const VERB: &str = "__runtime";

/// What a helper does: gets the arguments after its role's name.
type Role = fn(Vec<OsString>) -> ExitCode;

/// Every role by its name. A role is single-threaded and ends with the process.
const ROLES: &[(&str, Role)] = &[
    (crate::sandbox::ROLE, crate::sandbox::role),
    ("create", crate::container::create_role),
    ("exec", crate::container::exec_role),
];

/// Runs the helper role that the command line asks for and returns its exit code; none if it asks for none.
///
/// `main` must call this before it starts a thread.
pub fn door() -> Option<ExitCode> {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next()? != VERB {
        return None;
    }
    // What a helper makes is its supervisor's to end: one whose supervisor died must not go on making it. Where the death
    // came first, the helper's socket or pipe is at its end and says so.
    if let Err(error) = rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL)) {
        eprintln!("cannot follow the supervisor's end: {error}");
        return Some(ExitCode::FAILURE);
    }
    let name = arguments.next().unwrap_or_default();
    let role = ROLES.iter().find(|(known, _)| name == *known);
    Some(match role {
        Some((_, run)) => run(arguments.collect()),
        None => {
            eprintln!("no such helper role: {}", name.display());
            ExitCode::from(64)
        }
    })
}
