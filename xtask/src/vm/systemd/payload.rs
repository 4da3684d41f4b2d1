//! The disk with everything that is brought to the machine: Pillion and its unit file, a registry with two images, the
//! program that checks.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use pillion_e2e::{Images, Packed, Part, Registry, Users, built, part};

use crate::{
    run::{Outcome, run, workspace},
    vm::disk,
};

const SIZE: &str = "1G";

/// Makes the disk and returns its file.
///
/// # Errors
/// A program is missing, or the file system cannot be made.
pub fn make() -> Outcome<PathBuf> {
    let dir = super::super::dir();
    let (root, file) = (dir.join("payload"), dir.join("payload.ext4"));
    let _ = fs::remove_dir_all(&root);
    fs::create_dir_all(&root).map_err(|error| format!("{}: {error}", root.display()))?;
    for program in ["pillion", "pillion-supervisor", "on-systemd"] {
        // What is for the debugger would be read and copied there, slowly.
        run(Command::new("strip").arg("--strip-debug").arg("-o").arg(root.join(program)).arg(built(program)))?;
    }
    copy(&part(Part::Registry), &root.join("docker-registry"))?;
    copy(&workspace().join("packaging/pillion.service"), &root.join("pillion.service"))?;
    copy(Path::new("/etc/ssl/certs/ca-certificates.crt"), &root.join("ca-certificates.crt"))?;
    fs::write(root.join("registry.yml"), include_str!("registry.yml")).map_err(|error| error.to_string())?;
    fill_registry(&root)?;
    disk::format(&root, &file, SIZE)?;
    let _ = fs::remove_dir_all(&root);
    Ok(file)
}

/// Two versions of one image; the second has a layer that the first has not.
fn fill_registry(root: &Path) -> Outcome {
    let more = tempfile::Builder::new().prefix("pillion-layer-").tempdir().map_err(|error| error.to_string())?;
    fs::write(more.path().join("version"), "2\n").map_err(|error| error.to_string())?;
    let registry = Registry::start(Users::Anyone);
    let images = Images::new(&registry);
    let puppet = Packed::program(&built("puppet"));
    images.push("puppet:1", &puppet);
    images.push("puppet:2", &puppet.with(&["--dir", &more.path().display().to_string()]));
    run(Command::new("cp").arg("--recursive").arg(registry.storage()).arg(root.join("registry")))
}

fn copy(from: &Path, to: &Path) -> Outcome {
    fs::copy(from, to).map(drop).map_err(|error| format!("{}: {error}", from.display()))
}
