//! A minimal Debian with systemd as its first process, as a disk: made once, kept for as long as it would come out the same.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{
    run::{Outcome, output, run},
    vm::{disk, kernel::Kernel},
};

/// A release and the kernel it comes with.
pub struct Release {
    pub name: &'static str,
    /// The meta package.
    pub kernel: &'static str,
}

/// Beside what is essential. Nothing is here for Pillion: it needs no more than a kernel.
const PACKAGES: &str = "systemd-sysv,udev,kmod,procps";

/// Files of the system, by their paths in it.
const FILES: &[(&str, &str)] = &[
    ("etc/fstab", "/dev/vda / ext4 rw 0 0\n/dev/vdb /payload ext4 ro 0 0\n"),
    ("etc/hostname", "emulated\n"),
    ("etc/hosts", "127.0.0.1 localhost\n::1 localhost\n"),
    ("etc/resolv.conf", "nameserver 192.0.2.53\n"),
    // Empty, not absent: else systemd takes each boot for the first.
    ("etc/machine-id", ""),
    ("etc/systemd/system/registry.service", include_str!("registry.service")),
    ("etc/systemd/system/on-systemd.service", include_str!("on-systemd.service")),
];

const SIZE: &str = "2G";

const USUAL_MIRROR: &str = "http://deb.debian.org/debian";

/// Returns the disk of a release with the modules of a kernel.
///
/// # Errors
/// The mirror cannot be reached, or a file not be written.
pub fn root(release: &Release, kernel: &Kernel) -> Outcome<PathBuf> {
    let dir = super::super::dir();
    let file = dir.join(format!("debian-{}.ext4", release.name));
    let made_of = format!("{} {} {PACKAGES} {SIZE} {FILES:?}", release.name, kernel.version);
    let note = file.with_extension("made-of");
    if file.exists() && fs::read_to_string(&note).is_ok_and(|text| text == made_of) {
        return Ok(file);
    }
    let _ = fs::remove_file(&note);
    let root = dir.join(format!("debian-{}", release.name));
    let _ = fs::remove_dir_all(&root);
    bootstrap(release, &root)?;
    furnish(&root, kernel)?;
    disk::format(&root, &file, SIZE)?;
    let _ = fs::remove_dir_all(&root);
    // Last: without it the disk is not trusted.
    fs::write(&note, made_of).map_err(|error| format!("{}: {error}", note.display()))?;
    Ok(file)
}

fn bootstrap(release: &Release, root: &Path) -> Outcome {
    run(Command::new("mmdebstrap")
        .args(["--quiet", "--variant=essential", "--format=directory", "--include", PACKAGES])
        .args(["--aptopt", "APT::Install-Recommends \"false\""])
        .args(["--aptopt", "Acquire::Retries \"3\""])
        .args(["--dpkgopt", "path-exclude=/usr/share/{doc,man,locale,info}/*"])
        .arg(release.name)
        .arg(root)
        .arg(mirror()))
}

/// Returns the mirror of Debian that this machine takes its packages from.
fn mirror() -> String {
    let format = "$(ORIGIN) $(CODENAME) $(REPO_URI)";
    let known = output(Command::new("apt-get").args(["indextargets", "--format", format, "Created-By: Packages"]));
    let known = known.unwrap_or_default();
    let mirrors = known.lines().filter_map(|line| match line.split(' ').collect::<Vec<_>>()[..] {
        // Updates have a dash in their name.
        ["Debian", release, uri] if !release.contains('-') => Some(uri.to_owned()),
        _ => None,
    });
    mirrors.into_iter().next().unwrap_or_else(|| USUAL_MIRROR.to_owned())
}

fn furnish(root: &Path, kernel: &Kernel) -> Outcome {
    let io = |error: std::io::Error| format!("{}: {error}", root.display());
    for (path, text) in FILES {
        let file = root.join(path);
        let _ = fs::remove_file(&file);
        fs::write(&file, text).map_err(io)?;
    }
    fs::create_dir_all(root.join("payload")).map_err(io)?;
    let wants = root.join("etc/systemd/system/multi-user.target.wants");
    fs::create_dir_all(&wants).map_err(io)?;
    symlink("/etc/systemd/system/on-systemd.service", wants.join("on-systemd.service")).map_err(io)?;
    // The kernel loads what it needs by itself, as on a usual machine.
    let modules = root.join("usr/lib/modules");
    fs::create_dir_all(&modules).map_err(io)?;
    run(Command::new("cp").arg("--archive").arg(&kernel.modules).arg(&modules))?;
    run(Command::new("chroot").arg(root).args(["depmod", &kernel.version]))
}
