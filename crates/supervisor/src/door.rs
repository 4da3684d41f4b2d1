//! The first word that turns a program into a supervisor.

use std::process::ExitCode;

/// The first argument of a supervisor; the directory of its instance follows.
pub const VERB: &str = "supervise";

/// What the program of the supervisor prints for `--version`. A server starts only supervisors of its own version: an
/// older one might pass over what a newer spec asks for.
pub const VERSION: &str = concat!("pillion-supervisor ", env!("CARGO_PKG_VERSION"));

/// Runs the supervisor if the command line asks for it and returns its exit code; none if it does not.
///
/// `main` must call this before it starts a thread.
pub fn door() -> Option<ExitCode> {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next()? != VERB {
        return None;
    }
    Some(crate::run(arguments))
}
