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

/// Returns the newest kernel of a meta package, downloading it where it is not kept yet.
///
/// # Errors
/// Apt knows no such package, or cannot download it.
pub fn get(meta: &str) -> Outcome<Kernel> {
    let package = newest(meta)?;
    let dir = super::dir().join(&package);
    let version = package.trim_start_matches("linux-image-").to_owned();
    let kernel = Kernel {
        image: dir.join("boot").join(format!("vmlinuz-{version}")),
        modules: dir.join("lib/modules").join(&version),
        version,
    };
    if !kernel.modules.join("modules.dep").exists() || !kernel.image.exists() {
        unpack(&package, &dir)?;
        run(Command::new("busybox").args(["depmod", "-b"]).arg(&dir).arg(&kernel.version))?;
    }
    Ok(kernel)
}

fn newest(meta: &str) -> Outcome<String> {
    let depends = |()| output(Command::new("apt-cache").args(["depends", meta]));
    let name = |text: String| text.lines().find_map(|line| line.trim().strip_prefix("Depends: ")).map(str::to_owned);
    if let Ok(Some(name)) = depends(()).map(name) {
        return Ok(name);
    }
    run(Command::new("apt-get").args(["update", "-qq"]))?;
    depends(()).map(name)?.ok_or_else(|| format!("apt knows no package {meta}, which names the newest kernel of its series"))
}

fn unpack(package: &str, dir: &Path) -> Outcome {
    let downloads = tempfile::Builder::new().prefix("pillion-kernel-").tempdir().map_err(|error| error.to_string())?;
    let download = || run(Command::new("apt-get").args(["download", "-qq", package]).current_dir(&downloads));
    // The mirror drops a build when there is a newer one; a second look at its lists finds that.
    download().or_else(|_| run(Command::new("apt-get").args(["update", "-qq"])).and_then(|()| download()))?;
    let files = fs::read_dir(&downloads).map_err(|error| error.to_string())?;
    let Some(file) = files.flatten().next() else { return Err(format!("apt-get downloaded nothing for {package}")) };
    run(Command::new("dpkg-deb").arg("-x").arg(file.path()).arg(dir))
}
