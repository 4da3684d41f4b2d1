//! What makes a server the only one of its copy: its directories, its lock, its socket.

use std::{
    fs::{self, DirBuilder, File, OpenOptions, Permissions},
    io,
    os::unix::{
        fs::{DirBuilderExt, MetadataExt, PermissionsExt},
        net::UnixListener,
    },
    path::Path,
};

use rustix::{
    fs::{FlockOperation, Gid, flock},
    io::Errno,
};

use crate::{complaint::Complaint, layout::Layout};

/// The group whose members may use the API; membership equals root.
const GROUP: &str = "pillion";

/// Makes the directories that everything else lives in, closed to others where secrets lie.
pub fn make_directories(layout: &Layout) -> Result<(), Complaint> {
    if let Some(root) = layout.root() {
        make(root, 0o755)?;
    }
    make(layout.state(), 0o700)?;
    make(&layout.state().join("logs"), 0o700)?;
    // Searchable, so that the group can reach the API's socket and the gateway its own.
    make(layout.run(), 0o755)?;
    make(&layout.gateway(), 0o700)
}

fn make(path: &Path, mode: u32) -> Result<(), Complaint> {
    let made = match DirBuilder::new().mode(mode).create(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => DirBuilder::new().recursive(true).mode(mode).create(path),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        other => other,
    };
    made.map_err(|error| Complaint::new(format!("could not make the directory {}", path.display())).because(Some(&error)))
}

/// Takes the lock that only one server of a copy can have; it is free again when the process ends, however it ends.
pub fn only_one(layout: &Layout) -> Result<File, Complaint> {
    let path = layout.lock();
    let failed = |error: &dyn std::error::Error| {
        Complaint::new(format!("could not take the lock {}", path.display())).because(Some(error))
    };
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(&path).map_err(|e| failed(&e))?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        // The server that had it before may have removed the name meanwhile: then it is a lock that nobody else finds.
        Ok(()) if !is_same(&file, &path) => {
            make_directories(layout)?;
            only_one(layout)
        }
        Ok(()) => Ok(file),
        Err(Errno::WOULDBLOCK) => {
            let complaint = Complaint::conflict(format!("a server already runs for {}", layout.state().display()));
            Err(complaint.hint("`pillion system info` shows it, `pillion system stop` ends it"))
        }
        Err(error) => Err(failed(&error)),
    }
}

fn is_same(file: &File, path: &Path) -> bool {
    let (Ok(ours), Ok(named)) = (file.metadata(), fs::metadata(path)) else { return false };
    (ours.dev(), ours.ino()) == (named.dev(), named.ino())
}

/// Removes the directories below `/run` and the lock, once nothing is in them any more; the last thing a server does when
/// its apps have stopped.
pub fn withdraw(layout: &Layout) {
    super::endpoint::withdraw(layout.run());
    let instances = layout.run().join("i");
    for dir in [layout.gateway(), layout.run().join("gates"), instances.clone()] {
        // What is not empty is in use, or for `system prune` to explain.
        let _ = fs::remove_dir(dir);
    }
    if !instances.exists() {
        let _ = fs::remove_file(layout.lock());
        let _ = fs::remove_dir(layout.run());
    }
}

/// Listens on the API's socket: 0660, root and the group `pillion` if there is one.
pub fn api_socket(layout: &Layout) -> Result<UnixListener, Complaint> {
    let path = layout.api_socket();
    listen(&path)
        .map_err(|error| Complaint::new(format!("could not listen on the API's socket {}", path.display())).because(Some(&error)))
}

fn listen(path: &Path) -> io::Result<UnixListener> {
    // The lock is held: whoever left this socket is gone.
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Err(_) | Ok(()) => {}
    }
    // Bound under another name and moved, so that nobody can connect before the mode is right.
    let hidden = path.with_extension("new");
    match fs::remove_file(&hidden) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Err(_) | Ok(()) => {}
    }
    let listener = UnixListener::bind(&hidden)?;
    fs::set_permissions(&hidden, Permissions::from_mode(0o600))?;
    if let Some(group) = group_id()? {
        rustix::fs::chown(&hidden, None, Some(Gid::from_raw(group)))?;
    }
    fs::set_permissions(&hidden, Permissions::from_mode(0o660))?;
    fs::rename(&hidden, path)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

fn group_id() -> io::Result<Option<u32>> {
    let text = match fs::read_to_string("/etc/group") {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    Ok(text.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next() == Some(GROUP)).then(|| fields.nth(1)?.parse().ok()).flatten()
    }))
}
