//! Unpacking: a layer's tar stream becomes a directory in overlayfs form, and nothing outside that directory is touched.

mod apply;
mod archive;
mod error;
mod metadata;
mod path;
mod pipe;
mod tree;

use std::{fs::DirBuilder, io, os::unix::fs::DirBuilderExt, path::Path, sync::mpsc, thread};

use rustix::fs::{Mode, OFlags};

pub(crate) use apply::Applied;
pub use error::UnpackError;
pub(crate) use pipe::Piece;

use crate::{Digest, Limits};

/// Unpacks the layer that arrives in `pieces` into the new directory `root` and checks it against `diff_id`; blocks.
///
/// # Errors
/// See [`UnpackError`]; what was unpacked until then is left for the caller to remove.
pub(crate) fn unpack(
    pieces: tokio::sync::mpsc::Receiver<Piece>,
    root: &Path,
    diff_id: &Digest,
    limits: &Limits,
) -> Result<Applied, UnpackError> {
    let io = |doing, source| UnpackError::Io { doing, entry: root.display().to_string(), source };
    DirBuilder::new().mode(0o755).create(root).map_err(|error| io("create", error))?;
    let dir = rustix::fs::open(root, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())
        .map_err(|errno| io("open", errno.into()))?;
    // The umask of whoever started this process is not the image's business.
    rustix::fs::fchmod(&dir, Mode::from_raw_mode(0o755)).map_err(|errno| io("set attributes of", errno.into()))?;

    let (out, inflated) = mpsc::sync_channel(4);
    let (spare_in, spare) = mpsc::sync_channel(4);
    let incoming = pipe::Incoming::new(pieces);
    let hasher = diff_id.hasher();
    thread::scope(|scope| {
        let spawned = thread::Builder::new()
            .name("layer-inflate".to_owned())
            .spawn_scoped(scope, move || pipe::inflate(incoming, hasher, limits.layer_bytes, &out, &spare));
        spawned.map_err(|error| io("start a thread for", error))?;
        let mut outgoing = pipe::Outgoing::new(inflated, spare_in);
        let applied = apply::apply(&mut archive::Archive::new(&mut outgoing), dir, limits)?;
        match outgoing.digest() {
            Some(got) if got == *diff_id => Ok(applied),
            Some(got) => Err(UnpackError::DiffId { expected: diff_id.clone(), got }),
            None => Err(UnpackError::Archive { source: io::ErrorKind::UnexpectedEof.into() }),
        }
    })
}
