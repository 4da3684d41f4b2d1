//! The hidden doors: the same binary as gateway and as supervisor of one instance.

use std::process::ExitCode;

/// The first word that turns the binary into the gateway.
pub const GATEWAY: &str = "gateway";

/// Runs the role that the command line asks for and returns its exit code; none if it asks for none.
pub fn door() -> Option<ExitCode> {
    pillion_supervisor::door().or_else(gateway)
}

fn gateway() -> Option<ExitCode> {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next()? != GATEWAY {
        return None;
    }
    Some(pillion_gateway::run(arguments))
}
