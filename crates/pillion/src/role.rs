//! The hidden doors: the same binary as gateway and as supervisor of one instance.

use std::process::ExitCode;

/// The first word that turns the binary into the gateway.
pub const GATEWAY: &str = "gateway";
/// The first word that turns the binary into a supervisor.
const SUPERVISE: &str = "supervise";

/// Runs the role that the command line asks for and returns its exit code; none if it asks for none.
pub fn door() -> Option<ExitCode> {
    let mut arguments = std::env::args_os().skip(1);
    let word = arguments.next()?;
    if word == GATEWAY {
        return Some(pillion_gateway::run(arguments));
    }
    if word == SUPERVISE {
        return Some(pillion_supervisor::run(arguments));
    }
    None
}
