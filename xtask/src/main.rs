//! The project's chores. Each does its own set-up on a fresh Debian-like machine and says what it installs.

mod bench;
mod demo;
mod fuzz;
mod licences;
mod packages;
mod run;
mod test;
mod vm;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Chores of the Pillion project")]
struct Cli {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Subcommand)]
enum Chore {
    /// Install what the demo, the tests and the benchmarks need
    Setup,
    /// Run the example app with a real Redis and a real collector, from a real registry
    Demo(demo::Demo),
    /// Check licences, then run every test
    Test(test::Test),
    /// Throw absurd requests at both APIs
    Fuzz(fuzz::Fuzz),
    /// Measure Pillion beside podman, runc and nginx, and write docs/benchmarks.md
    Bench(bench::Bench),
    /// Check every dependency's licence against `licences.txt`
    Licences,
}

fn main() -> ExitCode {
    let done = match Cli::parse().chore {
        Chore::Setup => packages::install(packages::EVERYTHING).and_then(|()| packages::install_az()),
        Chore::Demo(demo) => demo.run(),
        Chore::Test(test) => test.run(),
        Chore::Fuzz(fuzz) => fuzz.run(),
        Chore::Bench(bench) => bench.run(),
        Chore::Licences => licences::check(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            eprintln!("xtask: {reason}");
            ExitCode::FAILURE
        }
    }
}
