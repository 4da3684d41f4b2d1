//! Why somebody is not let in, and why identities cannot be kept.

use std::path::PathBuf;

/// Why a request has no caller.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    #[error("the request carries no access token")]
    Missing,
    #[error("the access token is not one of this server's")]
    Invalid,
    #[error("the access token has expired")]
    Expired,
    #[error("the access token was made for another audience")]
    Audience,
    #[error("the principal `{0}` was revoked or never existed")]
    Unknown(String),
    #[error("the user name or password is not right")]
    Credentials,
    #[error("too many failed attempts; try again in {seconds} s")]
    Throttled { seconds: u64 },
}

impl AuthError {
    /// ARM's code for it.
    pub fn code(&self) -> &'static str {
        match self {
            AuthError::Missing => "AuthenticationFailed",
            AuthError::Expired => "ExpiredAuthenticationToken",
            AuthError::Audience => "InvalidAuthenticationTokenAudience",
            AuthError::Invalid | AuthError::Unknown(_) | AuthError::Credentials => "InvalidAuthenticationToken",
            AuthError::Throttled { .. } => "TooManyRequests",
        }
    }
}

/// Why identities cannot be kept or read.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    #[error("cannot {doing} {}", path.display())]
    File { doing: &'static str, path: PathBuf, source: std::io::Error },
    #[error("cannot {doing}")]
    Store { doing: &'static str, source: pillion_store::StoreError },
}
