//! Why a layer could not be unpacked.

use std::io;

use pillion_fault::Fault;

use crate::{Digest, pull_error::is_disk_full};

/// Why a layer could not be unpacked.
#[derive(Debug, thiserror::Error)]
pub enum UnpackError {
    /// The entry asks for something that no honest image asks for.
    #[error("entry `{entry}` is refused: {reason}")]
    Refused { entry: String, reason: String },
    /// The compressed stream or the archive inside is broken or ends too early.
    #[error("the archive is broken")]
    Archive { source: io::Error },
    #[error("cannot {doing} `{entry}`")]
    Io { doing: &'static str, entry: String, source: io::Error },
    /// The unpacked content is not what the image's config promised.
    #[error("unpacked content does not match its diff id {expected}, it is {got}")]
    DiffId { expected: Digest, got: Digest },
    /// The download ended before the layer did; its own error says why.
    #[error("the download ended early")]
    Interrupted,
}

impl UnpackError {
    pub(crate) fn fault(&self, image: &str, layer: &Digest) -> Fault {
        let image = image.to_owned();
        match self {
            UnpackError::Refused { entry, reason } => {
                Fault::ImageLayerRefused { image, entry: entry.clone(), reason: reason.clone() }
            }
            UnpackError::Archive { source } => {
                Fault::ImageLayerRefused { image, entry: layer.to_string(), reason: format!("the archive is broken: {source}") }
            }
            UnpackError::Io { entry, source, .. } if is_disk_full(source) => {
                Fault::DiskFull { path: entry.clone(), doing: format!("unpack {image}") }
            }
            UnpackError::Io { doing, entry, source } => {
                Fault::Internal { doing: format!("unpack {image}"), reason: format!("cannot {doing} `{entry}`: {source}") }
            }
            UnpackError::DiffId { expected, got } => {
                Fault::ImageDigestMismatch { image, expected: expected.to_string(), got: got.to_string() }
            }
            UnpackError::Interrupted => Fault::Internal { doing: format!("unpack {image}"), reason: self.to_string() },
        }
    }
}
