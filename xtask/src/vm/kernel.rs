//! Debian's kernels, downloaded with apt and unpacked, not installed.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::run::{Outcome, output, run};

/// An unpacked kernel.
pub struct Kernel {
    /// As `uname -r` says it.
    pub version: String,
    pub image: PathBuf,
    /// The directory that `modules.dep` names modules relative to.
    pub modules: PathBuf,
}

impl Kernel {
    /// The first two numbers of the version, as people say it.
    pub fn series(&self) -> &str {
        let end = self.version.match_indices('.').nth(1).map_or(self.version.len(), |(at, _)| at);
        &self.version[..end]
    }
}

/// Returns the newest kernel of a meta package, downloading it where it is not kept yet.
///
/// # Errors
/// Apt knows no such package, or cannot download it.
pub fn get(meta: &str) -> Outcome<Kernel> {
    let known = newest(meta).and_then(|package| keep(&package));
    // The mirror drops a build when there is a newer one, which fresh lists name.
    known.or_else(|_| {
        run(Command::new("apt-get").args(["update", "-qq"]))?;
        keep(&newest(meta)?)
    })
}

fn newest(meta: &str) -> Outcome<String> {
    let text = output(Command::new("apt-cache").args(["depends", meta]))?;
    let name = text.lines().find_map(|line| line.trim().strip_prefix("Depends: "));
    name.map(str::to_owned).ok_or_else(|| format!("apt knows no package {meta}, which names the newest kernel of its series"))
}

/// Downloads and unpacks a kernel unless that was done before.
fn keep(package: &str) -> Outcome<Kernel> {
    let dir = super::dir().join(package);
    let version = package.trim_start_matches("linux-image-").to_owned();
    let kernel = Kernel {
        image: dir.join("boot").join(format!("vmlinuz-{version}")),
        modules: dir.join("lib/modules").join(&version),
        version,
    };
    // The list of dependencies is what is made last.
    if !kernel.modules.join("modules.dep").exists() {
        unpack(package, &dir)?;
        run(Command::new("busybox").args(["depmod", "-b"]).arg(&dir).arg(&kernel.version))?;
    }
    Ok(kernel)
}

fn unpack(package: &str, dir: &Path) -> Outcome {
    let io = |error: std::io::Error| format!("{package}: {error}");
    let downloads = tempfile::Builder::new().prefix("pillion-kernel-").tempdir().map_err(io)?;
    run(Command::new("apt-get").args(["download", "-qq", package]).current_dir(&downloads))?;
    let Some(file) = fs::read_dir(&downloads).map_err(io)?.flatten().next() else {
        return Err(format!("apt-get downloaded nothing for {package}"));
    };
    fs::create_dir_all(dir).map_err(io)?;
    run(Command::new("dpkg-deb").arg("-x").arg(file.path()).arg(dir))
}
