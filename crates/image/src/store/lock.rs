//! Locks between processes that use one store.

use std::{fs::File, io, path::Path, time::Duration};

use rustix::fs::{FlockOperation, flock};

use super::{StoreError, place::failed};

/// The store's own lock: shared while it is open, exclusive while unused files are removed.
#[derive(Debug)]
pub(crate) struct StoreLock(File);

impl StoreLock {
    pub(crate) fn open(path: &Path) -> Result<StoreLock, StoreError> {
        let file = File::options().create(true).truncate(false).write(true).open(path).map_err(failed("open", path))?;
        Ok(StoreLock(file))
    }

    /// Runs `work` if no other process has the store open; the lock is shared afterwards, whatever happens.
    pub(crate) fn alone<T>(&self, path: &Path, work: impl FnOnce() -> Result<T, StoreError>) -> Result<Option<T>, StoreError> {
        let lock = |operation| rustix::io::retry_on_intr(|| flock(&self.0, operation)).map_err(io::Error::from);
        let done = match lock(FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => work().map(Some),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(failed("lock", path)(error)),
        };
        // A failed attempt has let go of the shared lock as well.
        lock(FlockOperation::LockShared).map_err(failed("lock", path))?;
        done
    }
}

/// One process's right to unpack a layer.
#[derive(Debug)]
pub(crate) struct LayerLock {
    _file: File,
}

impl LayerLock {
    /// Waits until no other process unpacks this layer. Polls, so that a pull can be given up while it waits.
    pub(crate) async fn acquire(path: &Path) -> Result<LayerLock, StoreError> {
        let file = File::options().create(true).truncate(false).write(true).open(path).map_err(failed("open", path))?;
        loop {
            match flock(&file, FlockOperation::NonBlockingLockExclusive).map_err(io::Error::from) {
                Ok(()) => return Ok(LayerLock { _file: file }),
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                Err(error) => return Err(failed("lock", path)(error)),
            }
        }
    }
}
