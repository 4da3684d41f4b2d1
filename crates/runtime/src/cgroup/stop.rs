//! Killing everything in a control group, waiting until it is empty, removing it.

use std::{
    fs, io,
    os::fd::AsFd,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::{At, Cgroup, CgroupError, Mode};

/// The pause between looks where there is no event to wait for doubles up to this.
const LONGEST_PAUSE: Duration = Duration::from_millis(20);

impl Cgroup {
    /// Returns the processes in the group and below; empty if it does not exist.
    pub fn pids(&self) -> Vec<i32> {
        // Every v1 tree has the same processes; the freezer's is the one that killing relies on.
        let Some(dir) = self.dir("freezer").or_else(|| self.dirs().into_iter().next()) else { return Vec::new() };
        below(&dir).iter().flat_map(|dir| pids_of(dir)).collect()
    }

    /// Kills every process in the group and below, whatever it does against it. Does not wait.
    pub fn kill(&self) -> Result<(), CgroupError> {
        match self.mode() {
            Mode::V2 => self.kill_v2(),
            Mode::V1 => self.kill_v1(),
        }
    }

    /// Waits until no process is left.
    ///
    /// # Errors
    /// [`CgroupError::NotEmpty`] when there still are some after `timeout`.
    pub fn wait_empty(&self, timeout: Duration) -> Result<(), CgroupError> {
        let deadline = Instant::now() + timeout;
        let mut pause = Duration::from_micros(500);
        loop {
            let events = self.populated_events();
            let pids = self.pids();
            if pids.is_empty() {
                return Ok(());
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(CgroupError::NotEmpty { path: self.path(), pids });
            }
            match events {
                Some(file) => wait_for_change(&file, left.min(Duration::from_millis(100))),
                None => thread::sleep(pause.min(left)),
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Kills what is left, waits until it is gone, removes the group and all below. Fine if it does not exist.
    pub fn remove(&self, timeout: Duration) -> Result<(), CgroupError> {
        let deadline = Instant::now() + timeout;
        if !self.pids().is_empty() {
            // A fork may slip between two looks on v1; the loop ends because a frozen group cannot fork.
            self.kill()?;
            self.wait_empty(timeout)?;
        }
        for dir in self.dirs() {
            for dir in below(&dir).iter().rev() {
                remove_dir(dir, deadline)?;
            }
        }
        Ok(())
    }

    fn kill_v2(&self) -> Result<(), CgroupError> {
        let Some(dir) = self.dirs().into_iter().next() else { return Ok(()) };
        match fs::write(dir.join("cgroup.kill"), "1") {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other.at("kill the processes", &dir),
        }
    }

    /// Freezes first: processes that fork faster than they are killed would otherwise survive for ever.
    fn kill_v1(&self) -> Result<(), CgroupError> {
        let freezer = self.dir("freezer").filter(|dir| dir.is_dir());
        if let Some(dir) = &freezer {
            freeze(dir);
        }
        for pid in self.pids() {
            if let Some(pid) = rustix::process::Pid::from_raw(pid) {
                // It may have ended by itself meanwhile.
                let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
            }
        }
        // A frozen process dies only once it thaws; a child group may have been frozen on its own.
        for dir in freezer.iter().flat_map(|dir| below(dir)) {
            let file = dir.join("freezer.state");
            fs::write(&file, "THAWED").or_else(absent_is_fine).at("thaw the processes", &file)?;
        }
        Ok(())
    }

    /// Opens the file whose change tells that the group became empty (v2).
    fn populated_events(&self) -> Option<fs::File> {
        match self.mode() {
            Mode::V1 => None,
            Mode::V2 => fs::File::open(self.dirs().first()?.join("cgroup.events")).ok(),
        }
    }
}

/// Freezes a v1 group, for a quarter of a second at most: a process in an uninterruptible wait never freezes.
fn freeze(dir: &Path) {
    let file = dir.join("freezer.state");
    let deadline = Instant::now() + Duration::from_millis(250);
    while fs::write(&file, "FROZEN").is_ok()
        && fs::read_to_string(&file).is_ok_and(|state| state.trim() != "FROZEN")
        && Instant::now() < deadline
    {
        thread::sleep(Duration::from_micros(500));
    }
}

fn wait_for_change(file: &fs::File, timeout: Duration) {
    let timeout = Timespec { tv_sec: 0, tv_nsec: i64::from(timeout.subsec_nanos().max(1_000_000)) };
    // An interrupted wait is as good as one that timed out: the caller looks again.
    let _ = poll(&mut [PollFd::from_borrowed_fd(file.as_fd(), PollFlags::PRI)], Some(&timeout));
}

/// Removes one empty group; the kernel says EBUSY for a moment after its last process ended.
fn remove_dir(dir: &Path, deadline: Instant) -> Result<(), CgroupError> {
    let mut pause = Duration::from_micros(500);
    loop {
        match fs::remove_dir(dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::ResourceBusy && Instant::now() < deadline => {
                thread::sleep(pause);
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
            other => return other.at("remove the directory", dir),
        }
    }
}

/// Returns `dir` and the groups below it, parents first; empty if it does not exist.
fn below(dir: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(dir) else { return Vec::new() };
    let mut dirs = vec![dir.to_path_buf()];
    for entry in entries.flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            dirs.extend(below(&entry.path()));
        }
    }
    dirs
}

fn pids_of(dir: &Path) -> Vec<i32> {
    let text = fs::read_to_string(dir.join("cgroup.procs")).unwrap_or_default();
    text.lines().filter_map(|line| line.parse().ok()).collect()
}

fn absent_is_fine(error: io::Error) -> io::Result<()> {
    if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) }
}
