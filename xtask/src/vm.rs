//! Tests in an emulated machine: cgroup v2, the store on ext4, and the kernels of Debian that Pillion promises to run on.
//!
//! ```text
//! kernel   a kernel package is downloaded and unpacked below target/vm; nothing is installed
//! ramdisk  busybox, the modules in loading order, and a script that mounts the disk and goes there
//! disk     the test programs at the paths they were built at, and every program they call, with its libraries
//! guest    runs it all, reads the serial console, counts
//! ```

mod disk;
mod guest;
mod kernel;
mod ramdisk;

use std::path::PathBuf;

use serde_json::Value;

use self::guest::Tally;
use crate::{
    packages,
    run::{Outcome, cargo, output, run, workspace},
};

/// The meta packages of the kernels; each names the newest build of its series.
const KERNELS: &[&str] = &["linux-image-cloud-amd64", "linux-image-6.12-cloud-amd64"];

/// The test programs that run inside: package and target.
const SUITES: &[(&str, &str)] = &[
    ("pillion-runtime", "container"),
    ("pillion-runtime", "sandbox"),
    ("pillion-supervisor", "it"),
    ("pillion-e2e", "vm_smoke"),
];

/// A built test program.
pub struct Suite {
    name: String,
    program: PathBuf,
    /// Where the test runner would start it.
    dir: PathBuf,
}

/// Runs the suites on each kernel, of their tests those whose name holds `filter`.
///
/// # Errors
/// A machine could not be made, did not end in time, or a test failed in it.
pub fn test(filter: Option<&str>) -> Outcome {
    packages::install(packages::EVERYTHING)?;
    packages::install(packages::EMULATION)?;
    run(cargo().args(["build", "--locked", "--workspace", "--bins"]))?;
    let suites = build()?;
    let disk = disk::make(&suites, filter)?;
    let mut total = Tally::default();
    for meta in KERNELS {
        let kernel = kernel::get(meta)?;
        let ramdisk = ramdisk::make(&kernel)?;
        eprintln!("vm: kernel {}", kernel.version);
        let tally = guest::run(&kernel, &ramdisk, &disk)?;
        eprintln!("vm: kernel {}: {} passed, {} failed", kernel.version, tally.passed, tally.failed.len());
        total.passed += tally.passed;
        total.failed.extend(tally.failed.into_iter().map(|test| format!("{test} (kernel {})", kernel.version)));
    }
    for test in &total.failed {
        eprintln!("vm: failed: {test}");
    }
    println!("vm: {} passed, {} failed", total.passed, total.failed.len());
    match (total.passed, total.failed.is_empty()) {
        (0, true) => Err("no test has such a name".to_owned()),
        (_, true) => Ok(()),
        (_, false) => Err("tests failed in the emulated machine".to_owned()),
    }
}

/// Where everything of the emulated machines is kept.
fn dir() -> PathBuf {
    workspace().join("target/vm")
}

/// Builds the suites in the way the test runner does, so that nothing is built twice.
fn build() -> Outcome<Vec<Suite>> {
    let messages = output(cargo().args(["test", "--locked", "--workspace", "--no-run", "--quiet", "--message-format", "json"]))?;
    let built: Vec<Value> = messages.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    SUITES.iter().map(|(package, target)| find(&built, package, target)).collect()
}

fn find(built: &[Value], package: &str, target: &str) -> Outcome<Suite> {
    let found = built.iter().find(|message| {
        let of_package = message["manifest_path"].as_str().and_then(|path| path.strip_suffix("/Cargo.toml"));
        message["profile"]["test"] == true
            && message["target"]["name"] == target
            && message["target"]["kind"][0] == "test"
            && of_package.is_some_and(|dir| dir.ends_with(package.trim_start_matches("pillion-")))
    });
    let place = found.and_then(|message| Some((message["executable"].as_str()?, message["manifest_path"].as_str()?)));
    let Some((program, manifest)) = place else { return Err(format!("cargo built no test program `{target}` of {package}")) };
    let dir = PathBuf::from(manifest).parent().map(PathBuf::from).unwrap_or_default();
    Ok(Suite { name: format!("{package}/{target}"), program: program.into(), dir })
}
