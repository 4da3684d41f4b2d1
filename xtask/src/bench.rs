//! Measures Pillion beside its peers, in one run, and writes `docs/benchmarks.md`.
//!
//! Never a test: a shared machine makes every absolute number wobble, so peers alternate and ratios count.

mod arm;
mod disk;
mod figures;
mod footprint;
mod machine;
mod many;
mod namespace;
mod page;
mod pod;
mod podman;
mod proxy;
mod pull;
mod replace;
mod requests;
mod start;

use clap::Args;
use pillion_e2e::{Registry, Users};

use crate::{
    packages,
    run::{Outcome, cargo, run, workspace},
};

/// Measure Pillion beside podman, runc and nginx, and write docs/benchmarks.md.
#[derive(Args)]
pub struct Bench {
    /// How often each side starts; the sides alternate
    #[arg(long, default_value_t = 9)]
    rounds: usize,
    /// Print the figures and leave docs/benchmarks.md as it is
    #[arg(long)]
    dry_run: bool,
    /// Only the rows whose name holds this
    #[arg(long)]
    only: Option<String>,
    /// Everything is built in release mode, and this is the release build
    #[arg(long, hide = true)]
    built: bool,
}

impl Bench {
    pub fn run(self) -> Outcome {
        if self.built {
            return self.measure();
        }
        if !rustix::process::geteuid().is_root() {
            return Err("containers need namespaces and mounts: run `cargo xtask bench` as root".to_owned());
        }
        packages::install(packages::EVERYTHING)?;
        packages::install_packages(&packages::missing(packages::PEERS))?;
        run(cargo().args([
            "build",
            "--release",
            "--locked",
            "-p",
            "pillion",
            "-p",
            "pillion-supervisor",
            "-p",
            "pillion-e2e",
            "-p",
            "xtask",
        ]))?;
        run(cargo().args(["build", "--release", "--locked", "-p", "pillion-gateway", "--bins", "--example", "front"]))?;
        run(cargo().args(["build", "--release", "--locked", "-p", "pillion-api", "--example", "arm"]))?;
        let mut again = std::process::Command::new(workspace().join("target/release/xtask"));
        again.args(["bench", "--built", "--rounds", &self.rounds.to_string()]);
        if self.dry_run {
            again.arg("--dry-run");
        }
        again.args(self.only.iter().flat_map(|only| ["--only", only.as_str()]));
        run(&mut again)
    }

    fn measure(self) -> Outcome {
        let disk = disk::Disk::make()?;
        let registry = Registry::start(Users::Anyone);
        let images = pod::Images::push(&registry);
        let machine = machine::Machine::look(disk.described()?)?;
        let wanted = |name: &str| self.only.as_deref().is_none_or(|only| name.contains(only));
        let mut rows = Vec::new();
        if wanted("start") {
            rows.extend(start::measure(&images, self.rounds)?);
        }
        if wanted("memory") {
            rows.extend(footprint::measure(&images)?);
        }
        if wanted("replace") {
            rows.extend(replace::measure(&images)?);
        }
        if wanted("pull") {
            rows.extend(pull::measure(&registry, &images)?);
        }
        if wanted("requests") {
            rows.extend(requests::measure()?);
        }
        if wanted("many") {
            rows.extend(many::measure(&images)?);
        }
        if wanted("arm") {
            rows.extend(arm::measure()?);
        }
        let text = page::table(&machine.described(), &rows);
        print!("{text}");
        if self.dry_run || self.only.is_some() {
            return Ok(());
        }
        page::write(&text)
    }
}

/// Says what is being measured, on stderr: stdout is for the figures.
fn say(what: &str) {
    eprintln!("bench: {what}");
}
