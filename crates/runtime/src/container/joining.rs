//! How a container's first process gets into its control group.
//!
//! On v2 libcontainer moves it. On v1 libcontainer's library reads the whole list of mounts for each of thirteen controllers,
//! and that twice a start: with forty mounts on the host, a third of all that a start costs. There the helper goes in ahead,
//! and what it forks is born inside; libcontainer is shown the unified tree alone, at the very group it is in.

use std::{fs::File, io::Write, path::PathBuf};

use pillion_fault::Fault;
use rustix::mount::{UnmountFlags, mount_bind, unmount};

use super::error::failed;
use crate::cgroup::{Cgroup, CgroupError};

/// Where libcontainer looks for control groups.
const MOUNTED: &str = "/sys/fs/cgroup";
/// The tree that the helper itself stays out of: a limit of one process must be enough for a program of one.
const COUNTED: &str = "pids";

/// Who takes the first process in.
#[derive(Debug)]
pub(super) enum Joining {
    Libcontainer(Cgroup),
    /// A hybrid host: the helper itself; with the group's directory in the unified tree.
    Helper(Cgroup, PathBuf),
}

impl Joining {
    pub fn of(cgroup: Cgroup) -> Self {
        match cgroup.unified_dir() {
            Some(unified) => Joining::Helper(cgroup, unified),
            None => Joining::Libcontainer(cgroup),
        }
    }

    /// What to tell libcontainer: an OCI `cgroupsPath`.
    pub fn told(&self) -> PathBuf {
        match self {
            Joining::Libcontainer(cgroup) => cgroup.path(),
            // What it will see mounted is the group itself.
            Joining::Helper(..) => PathBuf::from("/"),
        }
    }

    /// Takes this process into the group, and so what it forks from now on. It has a mount namespace of its own.
    pub fn enter(self) -> Result<Entered, Fault> {
        let Joining::Helper(cgroup, unified) = self else { return Ok(Entered(None)) };
        let counted = cgroup.procs(COUNTED).map_err(refused)?;
        // Made before the first step, so that it undoes whatever was done.
        let mut entered = Entered(Some(Inside { cgroup, counted, covered: false }));
        if let Entered(Some(inside)) = &mut entered {
            inside.cgroup.add_but(COUNTED, own_pid()).map_err(refused)?;
            mount_bind(unified, MOUNTED).map_err(|e| failed("showing the container's control group", e))?;
            inside.covered = true;
        }
        Ok(entered)
    }
}

/// This process may be in the group: dropped, it leaves again, so that the group can be removed.
#[derive(Debug)]
pub(super) struct Entered(Option<Inside>);

#[derive(Debug)]
struct Inside {
    cgroup: Cgroup,
    counted: Option<File>,
    /// The host's trees are out of this process's sight.
    covered: bool,
}

impl Entered {
    /// Completes the membership of the first process, which was forked meanwhile. This process stays inside: it ends soon.
    pub fn complete(mut self, first: i32) -> Result<(), Fault> {
        if let Entered(Some(Inside { counted: Some(list), .. })) = &mut self {
            write!(list, "{first}").map_err(|e| failed("counting the container's first process", e))?;
        }
        self.0 = None;
        Ok(())
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        let Some(Inside { cgroup, covered, .. }) = &self.0 else { return };
        if *covered && let Err(error) = unmount(MOUNTED, UnmountFlags::DETACH) {
            eprintln!("cannot uncover the control groups: {error}");
        }
        if let Err(error) = cgroup.parent().add_but(COUNTED, own_pid()) {
            eprintln!("cannot leave the control group of a container that was not made: {error}");
        }
    }
}

fn refused(error: CgroupError) -> Fault {
    failed("entering the container's control group", super::create::chain(&error))
}

fn own_pid() -> i32 {
    rustix::process::getpid().as_raw_nonzero().get()
}
