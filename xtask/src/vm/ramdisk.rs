//! The first file system of the emulated machine: busybox, kernel modules in loading order, and the script that starts it.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use super::kernel::Kernel;
use crate::run::{Outcome, run};

/// What it takes to reach the disk; what these need is found in `modules.dep`.
pub const DISK: &[&str] = &["virtio_pci", "virtio_blk", "ext4"];

/// What the tests need beyond that of a kernel which loads nothing by itself.
pub const ALL: &[&str] = &[
    "virtio_pci",
    "virtio_blk",
    "ext4",
    "overlay",
    "bridge",
    "veth",
    "nft_chain_nat",
    "nft_masq",
    "nft_nat",
    "nft_redir",
    "nft_ct",
    "nft_reject_inet",
    "nft_fib_ipv4",
    "nft_fib_inet",
];

/// Makes the ram disk `name` with these modules and returns its file.
///
/// # Errors
/// A module is missing, or a file cannot be written.
pub fn make(name: &str, kernel: &Kernel, modules: &[&str]) -> Outcome<PathBuf> {
    let dir = super::dir().join(format!("ramdisk-{name}"));
    let _ = fs::remove_dir_all(&dir);
    for sub in ["bin", "modules", "proc", "sys", "dev", "disk"] {
        fs::create_dir_all(dir.join(sub)).map_err(|error| error.to_string())?;
    }
    fs::copy("/usr/bin/busybox", dir.join("bin/busybox")).map_err(|error| format!("/usr/bin/busybox: {error}"))?;
    crate::packages::write_executable(&dir.join("init"), include_str!("init.sh"))?;
    for (number, module) in in_order(kernel, modules)?.iter().enumerate() {
        let (from, name) =
            (kernel.modules.join(module), Path::new(module).file_stem().unwrap_or_default().to_string_lossy().into_owned());
        let to = dir.join("modules").join(format!("{number:03}-{}.ko", name.trim_end_matches(".ko")));
        if module.ends_with(".xz") {
            let file = fs::File::create(&to).map_err(|error| format!("{}: {error}", to.display()))?;
            let done = Command::new("busybox").arg("xzcat").arg(&from).stdin(Stdio::null()).stdout(file).status();
            if !done.is_ok_and(|status| status.success()) {
                return Err(format!("{} cannot be decompressed", from.display()));
            }
        } else {
            fs::copy(&from, &to).map_err(|error| format!("{}: {error}", from.display()))?;
        }
    }
    let file = super::dir().join(format!("ramdisk-{name}.cpio"));
    // The list of files ends where `find` ends, and both names are of our own making.
    let pack = "cd \"$1\" && busybox find . | busybox cpio -o -H newc 2>/dev/null >\"$2\"";
    run(Command::new("sh").args(["-c", pack, "pack"]).arg(&dir).arg(&file))?;
    Ok(file)
}

/// Returns the modules' paths, each after what it depends on.
fn in_order(kernel: &Kernel, modules: &[&str]) -> Outcome<Vec<String>> {
    let read = |name: &str| {
        let path = kernel.modules.join(name);
        fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))
    };
    let (dependencies, builtin) = (read("modules.dep")?, read("modules.builtin")?);
    let mut order: Vec<String> = Vec::new();
    for module in modules {
        let is_it = |path: &str| {
            path.rsplit('/').next().and_then(|file| file.split('.').next()).is_some_and(|name| name.replace('-', "_") == *module)
        };
        if builtin.lines().any(is_it) {
            continue;
        }
        let line = dependencies.lines().find_map(|line| line.split_once(':').filter(|(path, _)| is_it(path)));
        let Some((path, needs)) = line else { return Err(format!("kernel {} has no module {module}", kernel.version)) };
        // What is needed first stands last.
        for path in needs.split_whitespace().rev().chain([path]) {
            if !order.iter().any(|one| one == path) {
                order.push(path.to_owned());
            }
        }
    }
    Ok(order)
}
