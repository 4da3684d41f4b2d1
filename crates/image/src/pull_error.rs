//! Why a pull failed, told apart by what the person has to do about it.

use std::io;

use pillion_fault::Fault;

use crate::{Digest, StoreError, UnpackError, registry::authorities};

/// Why [`crate::Store::pull`] failed. Credentials never appear in it.
#[derive(Debug, thiserror::Error)]
pub enum PullError {
    #[error("registry {registry} has no repository for `{image}`")]
    NotFound { image: String, registry: String },
    #[error("`{image}` has no tag `{tag}`")]
    TagNotFound { image: String, tag: String },
    #[error("registry {registry} refused {} for `{image}`", match user { Some(user) => format!("the login of {user}"), None => "an anonymous request".to_owned() })]
    LoginRefused { image: String, registry: String, user: Option<String> },
    #[error("registry {registry} allows no more pulls for now, `{image}` must wait")]
    RateLimited { image: String, registry: String },
    #[error("no trusted TLS connection to registry {registry} for `{image}`: {reason}")]
    Tls { image: String, registry: String, reason: String },
    #[error("`{image}` cannot be pulled on a machine without certificate authorities")]
    NoAuthorities { image: String },
    #[error("registry {registry} cannot be reached for `{image}`: {reason}")]
    Unreachable { image: String, registry: String, reason: String },
    #[error("`{image}` is not made for {wanted}; it is for {}", available.join(", "))]
    PlatformMissing { image: String, wanted: String, available: Vec<String> },
    #[error("`{image}`: content does not match its digest {expected}, it is {got}")]
    DigestMismatch { image: String, expected: String, got: String },
    #[error("`{image}` cannot be used: {reason}")]
    Unsupported { image: String, reason: String },
    #[error("cannot unpack layer {layer} of `{image}`")]
    Unpack { image: String, layer: Digest, source: UnpackError },
    #[error("cannot keep `{image}` in the store")]
    Store { image: String, source: StoreError },
}

impl From<&PullError> for Fault {
    fn from(error: &PullError) -> Fault {
        match error {
            PullError::NotFound { image, registry } => Fault::ImageNotFound { image: image.clone(), registry: registry.clone() },
            PullError::TagNotFound { image, tag } => Fault::ImageTagNotFound { image: image.clone(), tag: tag.clone() },
            PullError::LoginRefused { image, registry, user } => {
                Fault::RegistryLoginRefused { image: image.clone(), registry: registry.clone(), user: user.clone() }
            }
            PullError::RateLimited { image, registry } => {
                Fault::RegistryRateLimited { image: image.clone(), registry: registry.clone(), retry_after_s: None }
            }
            PullError::Tls { image, registry, reason } => {
                Fault::RegistryTlsFailed { image: image.clone(), registry: registry.clone(), reason: reason.clone() }
            }
            PullError::NoAuthorities { .. } => authorities::missing(),
            PullError::Unreachable { image, registry, reason } => {
                Fault::RegistryUnreachable { image: image.clone(), registry: registry.clone(), reason: reason.clone() }
            }
            PullError::PlatformMissing { image, wanted, available } => {
                Fault::ImagePlatformMissing { image: image.clone(), wanted: wanted.clone(), available: available.clone() }
            }
            PullError::DigestMismatch { image, expected, got } => {
                Fault::ImageDigestMismatch { image: image.clone(), expected: expected.clone(), got: got.clone() }
            }
            PullError::Unsupported { image, reason } => Fault::ImageUnsupported { image: image.clone(), reason: reason.clone() },
            PullError::Unpack { image, layer, source } => source.fault(image, layer),
            PullError::Store { source, .. } => source.into(),
        }
    }
}

impl From<PullError> for Fault {
    fn from(error: PullError) -> Fault {
        Fault::from(&error)
    }
}

impl From<&crate::NameInvalid> for Fault {
    fn from(error: &crate::NameInvalid) -> Fault {
        Fault::ImageNameInvalid { image: error.name.clone(), reason: error.reason.clone() }
    }
}

impl From<crate::NameInvalid> for Fault {
    fn from(error: crate::NameInvalid) -> Fault {
        Fault::from(&error)
    }
}

/// Returns true for the errors that more room would heal.
pub(crate) fn is_disk_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}
