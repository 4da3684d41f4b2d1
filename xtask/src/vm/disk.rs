//! The disk of the emulated machine: ext4, with everything at the paths it has here.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
};

use pillion_e2e::built;
use serde_json::Value;

use super::Suite;
use crate::{
    packages::write_executable,
    run::{Outcome, output, run, workspace},
};

/// Programs that tests call; busybox stands in for what is not among them.
const PROGRAMS: &[&str] = &[
    "/usr/bin/busybox",
    "/usr/bin/dash",
    "/usr/bin/tail",
    "/usr/bin/head",
    "/usr/bin/sleep",
    "/usr/bin/cat",
    "/usr/bin/ls",
    "/usr/bin/nsenter",
    "/usr/sbin/ip",
    "/usr/sbin/nft",
    "/usr/bin/docker-registry",
    "/usr/bin/redis-server",
    "/usr/bin/htpasswd",
];

/// Our own programs that tests start.
const OWN: &[&str] = &["pillion", "puppet", "counter", "pillion-runtime-door", "pillion-supervisor", "pillion-gateway-door"];

const SIZE: &str = "4G";

/// Makes the disk and returns its file; the machines write to copies of it.
///
/// # Errors
/// A program is missing, or the file system cannot be made.
pub fn make(suites: &[Suite], filter: Option<&str>) -> Outcome<PathBuf> {
    let dir = super::dir();
    let (root, layout, file) = (dir.join("root"), dir.join("layout"), dir.join("disk.ext4"));
    for old in [&root, &layout] {
        let _ = fs::remove_dir_all(old);
    }
    skeleton(&root, suites, filter)?;
    // Our own packer finds the libraries; what it makes is one layer.
    let mut pack = Command::new(built("pillion"));
    pack.args(["image", "pack", "--to"]).arg(&layout);
    let own = OWN.iter().map(|name| built(name));
    for program in PROGRAMS.iter().map(PathBuf::from).chain(own).chain(suites.iter().map(|suite| suite.program.clone())) {
        pack.arg("--program").arg(format!("{0}:{0}", program.display()));
    }
    run(&mut pack)?;
    for layer in layers(&layout)? {
        run(Command::new("tar")
            .args(["--extract", "--keep-directory-symlink", "--directory"])
            .arg(&root)
            .arg("--file")
            .arg(&layer))?;
    }
    busybox_links(&root)?;
    format(&root, &file, SIZE)?;
    let _ = fs::remove_dir_all(&layout);
    let _ = fs::remove_dir_all(&root);
    Ok(file)
}

/// Makes an ext4 file system in `file` with what lies below `root`.
///
/// # Errors
/// It cannot be made, or is too small.
pub fn format(root: &Path, file: &Path, size: &str) -> Outcome {
    let _ = fs::remove_file(file);
    run(Command::new("/usr/sbin/mkfs.ext4").args(["-q", "-F", "-E", "lazy_itable_init=1", "-d"]).arg(root).arg(file).arg(size))
}

fn skeleton(root: &Path, suites: &[Suite], filter: Option<&str>) -> Outcome {
    let io = |error: std::io::Error| format!("{}: {error}", root.display());
    for dir in [
        "usr/bin",
        "usr/sbin",
        "usr/lib",
        "usr/lib64",
        "proc",
        "sys",
        "dev",
        "run",
        "tmp",
        "root",
        "var/tmp",
        "var/lib",
        "etc/ssl/certs",
    ] {
        fs::create_dir_all(root.join(dir)).map_err(io)?;
    }
    for link in ["bin", "sbin", "lib", "lib64"] {
        symlink(Path::new("usr").join(link), root.join(link)).map_err(io)?;
    }
    for file in ["/etc/passwd", "/etc/group", "/etc/ssl/certs/ca-certificates.crt"] {
        fs::copy(file, root.join(&file[1..])).map_err(|error| format!("{file}: {error}"))?;
    }
    fs::write(root.join("etc/hosts"), "127.0.0.1 localhost\n::1 localhost\n").map_err(io)?;
    fs::write(root.join("etc/resolv.conf"), "nameserver 192.0.2.53\n").map_err(io)?;
    fs::write(root.join("etc/nsswitch.conf"), "passwd: files\ngroup: files\nhosts: files dns\n").map_err(io)?;
    let line = |suite: &Suite| {
        format!("{} {} {} {}\n", suite.name, suite.dir.display(), suite.program.display(), filter.unwrap_or_default())
    };
    fs::write(root.join("etc/suites"), suites.iter().map(line).collect::<String>()).map_err(io)?;
    for dir in suites.iter().map(|suite| suite.dir.as_path()).chain([workspace()]) {
        fs::create_dir_all(root.join(dir.strip_prefix("/").unwrap_or(dir))).map_err(io)?;
    }
    write_executable(&root.join("usr/sbin/run-suites"), include_str!("run-suites.sh"))
}

/// Links every name that busybox knows and no program has.
fn busybox_links(root: &Path) -> Outcome {
    let bin = root.join("usr/bin");
    let _ = symlink("dash", bin.join("sh"));
    for name in output(Command::new("busybox").arg("--list"))?.lines() {
        if !bin.join(name).exists() && !root.join("usr/sbin").join(name).exists() {
            symlink("/usr/bin/busybox", bin.join(name)).map_err(|error| format!("{name}: {error}"))?;
        }
    }
    Ok(())
}

/// Returns the layers of the one image in an OCI layout.
fn layers(layout: &Path) -> Outcome<Vec<PathBuf>> {
    let read = |path: &Path| -> Outcome<Value> {
        let text = fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
        serde_json::from_slice(&text).map_err(|error| format!("{}: {error}", path.display()))
    };
    let blob =
        |descriptor: &Value| layout.join("blobs").join(descriptor["digest"].as_str().unwrap_or_default().replace(':', "/"));
    let index = read(&layout.join("index.json"))?;
    let manifest = read(&blob(&index["manifests"][0]))?;
    Ok(manifest["layers"].as_array().map(Vec::as_slice).unwrap_or_default().iter().map(blob).collect())
}
