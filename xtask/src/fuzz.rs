//! Absurd requests at both APIs for as long as asked; a short run of the same is among the tests.

use clap::Args;

use crate::{
    packages,
    run::{Outcome, cargo, run},
};

/// Throw absurd requests at the native API and at the resource manager's
#[derive(Args)]
pub struct Fuzz {
    /// For how long, in minutes, each
    #[arg(long, default_value_t = 30)]
    minutes: u64,
}

impl Fuzz {
    pub fn run(self) -> Outcome {
        packages::install(packages::EVERYTHING)?;
        run(cargo().args(["build", "--locked", "--workspace", "--bins"]))?;
        let seconds = (self.minutes * 60).to_string();
        for (package, test, filter) in [("pillion-e2e", "fuzz", "absurd"), ("pillion-api", "it", "fuzz")] {
            let words = ["test", "--locked", "-p", package, "--test", test, filter, "--", "--nocapture"];
            run(cargo().args(words).env("PILLION_FUZZ_SECONDS", &seconds))?;
        }
        Ok(())
    }
}
