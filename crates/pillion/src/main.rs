//! The binary: one door for each role, the command line, and the composition root of the server.

mod cli;
mod client;
mod clock;
mod command;
mod complaint;
mod layout;
mod output;
mod paint;
mod role;
mod serve;

use std::process::ExitCode;

use clap::Parser;

use crate::{
    cli::{Cli, Command},
    complaint::Complaint,
    layout::Layout,
    paint::Paint,
};

fn main() -> ExitCode {
    // Helpers and supervisors must run before any thread exists, so they come before everything else.
    if let Some(code) = pillion_runtime::helper::door() {
        return code;
    }
    if let Some(code) = role::door() {
        return code;
    }
    let cli = Cli::parse();
    let done = match cli.command {
        Command::Serve(args) => serve::run(Layout::new(cli.global.root.as_deref()), args).map(|()| 0),
        _ => run_verb(cli),
    };
    match done {
        Ok(code) => ExitCode::from(code),
        Err(complaint) => {
            // If even stderr is gone, the exit code still speaks.
            let _ = complaint.print(&mut std::io::stderr().lock(), Paint::for_stderr());
            ExitCode::from(complaint.outcome() as u8)
        }
    }
}

fn run_verb(cli: Cli) -> Result<u8, Complaint> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Complaint::new("could not start").because(Some(&error)))?;
    let done = runtime.block_on(command::run(cli));
    // A thread that still reads the terminal must not hold up the end.
    runtime.shutdown_background();
    done
}
