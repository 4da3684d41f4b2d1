//! Where both sides keep their state: a file system made for the run, of the kind that users have.
//!
//! Without it the figures would be those of the file system that happens to hold `/tmp`. An ext4 without a journal, as some
//! virtual machines have it, looks through all inodes freed in the last minutes whenever it makes a file, which grew to
//! nine tenths of a pull's time once an earlier round had been deleted.

use std::{
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
    process::Command,
};

use super::podman;
use crate::run::{Outcome, output};

/// More than all rows together write.
const BYTES: u64 = 16 << 30;
/// Followed by the id of the process that made it. Short: podman takes no path of more than 50 characters.
const PREFIX: &str = "pbench-";

const MOUNTED: &str = "on";

/// An ext4 with a journal, in a sparse file; when dropped it is unmounted and removed.
pub struct Disk {
    dir: PathBuf,
}

impl Disk {
    /// Clears away what a run that was killed left, makes a disk and has all temporary files of this process made on it.
    ///
    /// # Errors
    /// The file system cannot be made or mounted.
    pub fn make() -> Outcome<Disk> {
        let parent = std::env::temp_dir();
        for left in below(&parent, PREFIX).into_iter().filter(|dir| is_left_over(dir)) {
            super::say(&format!("clearing away what an earlier run left in {}", left.display()));
            for podman in below(&left.join(MOUNTED), podman::PREFIX) {
                podman::Podman::left(&podman);
            }
            drop(Disk { dir: left });
        }
        let prefix = format!("{PREFIX}{}-", std::process::id());
        let dir = tempfile::Builder::new().prefix(&prefix).tempdir_in(&parent).map_err(|error| error.to_string())?.keep();
        let disk = Disk { dir };
        let (image, mounted) = (disk.dir.join("image"), disk.mounted());
        File::create_new(&image)
            .and_then(|file| file.set_len(BYTES))
            .and_then(|()| fs::create_dir(&mounted))
            .map_err(|error| format!("{}: {error}", disk.dir.display()))?;
        output(Command::new("mkfs.ext4").args(["-q", "-F", "-E", "lazy_itable_init=0"]).arg(&image))?;
        output(Command::new("mount").args(["-o", "loop"]).arg(&image).arg(&mounted))?;
        tempfile::env::override_temp_dir(&mounted)
            .map_err(|other| format!("temporary files go to {} already", other.display()))?;
        Ok(disk)
    }

    fn mounted(&self) -> PathBuf {
        self.dir.join(MOUNTED)
    }

    /// Says what it is, for a reader of the figures.
    pub fn described(&self) -> Outcome<String> {
        let kernel_view =
            output(Command::new("findmnt").args(["--noheadings", "--output", "FSTYPE,OPTIONS"]).arg(self.mounted()))?;
        Ok(format!(
            "state of both sides on a file system of its own: {}",
            kernel_view.split_whitespace().collect::<Vec<_>>().join(" ")
        ))
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // What a killed process still holds open is let go with its end.
        let unmounted = Command::new("umount").args(["--recursive", "--lazy"]).arg(self.mounted()).output();
        let removed = fs::remove_dir_all(&self.dir);
        if unmounted.is_err() || removed.is_err() {
            let _ = writeln!(std::io::stderr(), "bench: {} could not be removed", self.dir.display());
        }
    }
}

/// Returns true for a disk whose process is gone.
fn is_left_over(dir: &Path) -> bool {
    let name = dir.file_name().unwrap_or_default().to_string_lossy();
    let pid = name.strip_prefix(PREFIX).and_then(|rest| rest.split('-').next()?.parse::<u32>().ok());
    pid.is_some_and(|pid| !Path::new("/proc").join(pid.to_string()).exists()) && dir.join(MOUNTED).is_dir()
}

fn below(dir: &Path, prefix: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path());
    entries.filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(prefix))).collect()
}
