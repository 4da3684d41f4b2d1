//! Tests in emulated machines: cgroup v2, the store on ext4, and the kernels of Debian that Pillion promises to run on; and
//! Pillion as a service of systemd, through a reboot and a power cut.
//!
//! ```text
//! kernel   a kernel package is downloaded and unpacked below target/vm; nothing is installed
//! ramdisk  busybox, the modules in loading order, and a script that mounts the disk and goes there
//! disk     the test programs at the paths they were built at, and every program they call, with its libraries
//! systemd  instead of that disk a Debian, and a second disk with what is installed there
//! guest    runs it all, reads the serial console, counts
//! ```

mod disk;
mod guest;
mod kernel;
mod ramdisk;
mod systemd;

use std::{path::PathBuf, thread, time::Duration};

use serde_json::Value;

use self::{
    guest::{Guest, Reset, Tally},
    kernel::Kernel,
};
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

/// For the suites on one kernel.
const WITHIN: Duration = Duration::from_secs(15 * 60);

/// A built test program.
pub struct Suite {
    name: String,
    program: PathBuf,
    /// Where the test runner would start it.
    dir: PathBuf,
}

/// Runs the suites on each kernel, of their tests those whose name holds `filter`; beside them what is checked under
/// systemd, all of it, without a filter or with its name as one.
///
/// # Errors
/// A machine could not be made, did not end in time, or a test failed in it.
pub fn test(filter: Option<&str>) -> Outcome {
    packages::install(packages::EVERYTHING)?;
    packages::install(packages::EMULATION)?;
    run(cargo().args(["build", "--locked", "--workspace", "--bins"]))?;
    // One after another: apt and cargo have locks.
    let under_systemd = filter.is_none_or(|filter| filter == systemd::NAME).then(systemd::prepare).transpose()?;
    let in_suites = (filter != Some(systemd::NAME)).then(|| prepare_suites(filter)).transpose()?;
    let (under_systemd, in_suites) = thread::scope(|scope| {
        // Of two processors the suites leave one alone half of the time.
        let beside = under_systemd.map(|prepared| scope.spawn(move || prepared.run()));
        let in_suites = in_suites.map(|(kernels, disk)| run_suites(&kernels, &disk));
        (beside.map(|beside| beside.join().unwrap_or_else(|_| Err("a thread panicked".into()))), in_suites)
    });
    let total =
        [in_suites, under_systemd].into_iter().flatten().try_fold(Tally::default(), |sum, one| Ok::<_, String>(sum.and(one?)))?;
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

fn prepare_suites(filter: Option<&str>) -> Outcome<(Vec<Kernel>, PathBuf)> {
    let disk = disk::make(&build()?, filter)?;
    Ok((KERNELS.iter().map(|meta| kernel::get(meta)).collect::<Outcome<_>>()?, disk))
}

fn run_suites(kernels: &[Kernel], disk: &std::path::Path) -> Outcome<Tally> {
    let mut total = Tally::default();
    for kernel in kernels {
        let ramdisk = ramdisk::make(&kernel.version, kernel, ramdisk::ALL)?;
        eprintln!("vm: kernel {}", kernel.version);
        let guest = Guest {
            name: kernel.series(),
            kernel,
            ramdisk: &ramdisk,
            disks: &[disk],
            goto: "/sbin/run-suites",
            options: "",
            memory: "3G",
            processors: "2",
            reset: Reset::Ends,
            within: WITHIN,
        };
        let mut tally = guest.run()?;
        eprintln!("vm: kernel {}: {} passed, {} failed", kernel.version, tally.passed, tally.failed.len());
        tally.failed.iter_mut().for_each(|test| test.push_str(&format!(" (kernel {})", kernel.version)));
        total = total.and(tally);
    }
    Ok(total)
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
