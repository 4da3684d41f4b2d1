//! Sorting a registry client's errors by what can be done about them.

use std::{error::Error, io};

use oci_client::errors::{DigestError, OciDistributionError, OciErrorCode};

/// What went wrong with one request.
#[derive(Debug)]
pub(super) enum Trouble {
    /// The registry or its token server wants other credentials.
    Refused,
    Missing,
    Tls(String),
    /// Too many requests came from here.
    Busy(String),
    /// May be gone the next time.
    Passing(String),
    /// Will not go away by itself.
    Lasting(String),
    Mismatch {
        expected: String,
        got: String,
    },
    Unsupported(String),
}

impl Trouble {
    /// Sorts what broke a transfer.
    pub(super) fn passing(error: &io::Error) -> Trouble {
        Trouble::Passing(chain(error))
    }
}

impl From<OciDistributionError> for Trouble {
    fn from(error: OciDistributionError) -> Trouble {
        match error {
            OciDistributionError::UnauthorizedError { .. } | OciDistributionError::AuthenticationFailure(_) => Trouble::Refused,
            OciDistributionError::RegistryError { envelope, .. } => match envelope.errors.first() {
                Some(first) => match first.code {
                    OciErrorCode::Unauthorized | OciErrorCode::Denied => Trouble::Refused,
                    OciErrorCode::ManifestUnknown
                    | OciErrorCode::NameUnknown
                    | OciErrorCode::NotFound
                    | OciErrorCode::BlobUnknown
                    | OciErrorCode::ManifestBlobUnknown
                    | OciErrorCode::NameInvalid
                    | OciErrorCode::TagInvalid => Trouble::Missing,
                    OciErrorCode::Toomanyrequests => Trouble::Busy(format!("too many requests: {}", first.message)),
                    OciErrorCode::BlobUploadInvalid
                    | OciErrorCode::BlobUploadUnknown
                    | OciErrorCode::DigestInvalid
                    | OciErrorCode::ManifestInvalid
                    | OciErrorCode::ManifestUnverified
                    | OciErrorCode::SizeInvalid
                    | OciErrorCode::Unsupported
                    | OciErrorCode::Other(_) => Trouble::Lasting(format!("it answers: {}", first.message)),
                },
                None => Trouble::Lasting("it answers with an empty error".to_owned()),
            },
            OciDistributionError::ServerError { code, message, .. } => match code {
                401 | 403 => Trouble::Refused,
                404 => Trouble::Missing,
                429 => Trouble::Busy("it answers with status 429".to_owned()),
                408 | 500..=599 => Trouble::Passing(format!("it answers with status {code}")),
                _ => Trouble::Lasting(format!("it answers with status {code}: {}", first_line(&message))),
            },
            OciDistributionError::ImageManifestNotFoundError(_) => Trouble::Missing,
            OciDistributionError::DigestError(DigestError::VerificationError { expected, actual }) => {
                Trouble::Mismatch { expected, got: actual }
            }
            OciDistributionError::RequestError(error) => match tls(&error) {
                Some(reason) => Trouble::Tls(reason),
                None if error.is_builder() || error.is_redirect() => Trouble::Lasting(chain(&error)),
                None => Trouble::Passing(chain(&error)),
            },
            OciDistributionError::IoError(error) => Trouble::Passing(chain(&error)),
            OciDistributionError::RegistryTokenDecodeError(reason) => {
                Trouble::Lasting(format!("its token server's answer cannot be read: {reason}"))
            }
            OciDistributionError::SpecViolationError(reason) => Trouble::Lasting(reason),
            error @ (OciDistributionError::DigestError(_)
            | OciDistributionError::ConfigConversionError(_)
            | OciDistributionError::GenericError(_)
            | OciDistributionError::HeaderValueError(_)
            | OciDistributionError::ImageIndexParsingNoPlatformResolverError
            | OciDistributionError::IncompatibleLayerMediaTypeError(_)
            | OciDistributionError::JsonError(_)
            | OciDistributionError::ManifestEncodingError(_)
            | OciDistributionError::ManifestParsingError(_)
            | OciDistributionError::PushNoDataError
            | OciDistributionError::PushLayerNoDataError
            | OciDistributionError::PullNoLayersError
            | OciDistributionError::RegistryNoDigestError
            | OciDistributionError::RegistryNoLocationError
            | OciDistributionError::UrlParseError(_)
            | OciDistributionError::UnsupportedMediaTypeError(_)
            | OciDistributionError::UnsupportedSchemaVersionError(_)
            | OciDistributionError::VersionedParsingError(_)) => Trouble::Unsupported(error.to_string()),
        }
    }
}

/// Finds a TLS failure among the causes; an I/O error hides what it wraps from `source`.
fn tls(error: &(dyn Error + 'static)) -> Option<String> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(tls) = error.downcast_ref::<rustls::Error>() {
            return Some(tls.to_string());
        }
        next = match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(inner) => Some(inner),
            None => error.source(),
        };
    }
    None
}

/// Writes the innermost cause: the outer ones say "error sending request for url".
fn chain(error: &(dyn Error + 'static)) -> String {
    let mut last = error;
    loop {
        let inner = match last.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(inner) => Some(inner as &(dyn Error + 'static)),
            None => last.source(),
        };
        match inner {
            Some(inner) => last = inner,
            None => return last.to_string(),
        }
    }
}

fn first_line(message: &str) -> String {
    message.lines().next().unwrap_or_default().chars().take(200).collect()
}
