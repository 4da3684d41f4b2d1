//! Errors of the store's own files.

use std::{io, path::PathBuf};

use pillion_fault::Fault;

use crate::{PullError, pull_error::is_disk_full};

/// A file of the store could not be read, written or removed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("cannot {doing} {}", path.display())]
    Io { doing: &'static str, path: PathBuf, source: io::Error },
    #[error("{} is not what the store wrote there", path.display())]
    Corrupt { path: PathBuf, source: serde_json::Error },
    #[error("the thread that works on {} ended early", path.display())]
    Task { path: PathBuf },
    #[error("another process uses the image store {}", path.display())]
    InUse { path: PathBuf },
    #[error("{} was removed by somebody else", path.display())]
    Vanished { path: PathBuf },
}

/// Why an OCI layout could not be imported.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    #[error("cannot read {}", path.display())]
    Layout { path: PathBuf, source: io::Error },
    #[error(transparent)]
    Image(#[from] PullError),
}

impl From<&StoreError> for Fault {
    fn from(error: &StoreError) -> Fault {
        match error {
            StoreError::Io { doing, path, source } if is_disk_full(source) => {
                Fault::DiskFull { path: path.display().to_string(), doing: (*doing).to_owned() }
            }
            StoreError::Io { doing, path, source } => {
                Fault::Internal { doing: format!("{doing} {}", path.display()), reason: source.to_string() }
            }
            StoreError::Corrupt { path, source } => {
                Fault::Internal { doing: format!("read {}", path.display()), reason: source.to_string() }
            }
            StoreError::Task { path } | StoreError::InUse { path } | StoreError::Vanished { path } => {
                Fault::Internal { doing: format!("work on {}", path.display()), reason: error.to_string() }
            }
        }
    }
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Fault {
        Fault::from(&error)
    }
}

impl From<&ImportError> for Fault {
    fn from(error: &ImportError) -> Fault {
        match error {
            ImportError::Layout { path, source } => {
                Fault::ImageUnsupported { image: path.display().to_string(), reason: source.to_string() }
            }
            ImportError::Image(error) => error.into(),
        }
    }
}

impl From<ImportError> for Fault {
    fn from(error: ImportError) -> Fault {
        Fault::from(&error)
    }
}
