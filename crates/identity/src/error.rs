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

    /// The HTTP status for it.
    pub fn status(&self) -> u16 {
        match self {
            AuthError::Throttled { .. } => 429,
            AuthError::Missing
            | AuthError::Expired
            | AuthError::Audience
            | AuthError::Invalid
            | AuthError::Unknown(_)
            | AuthError::Credentials => 401,
        }
    }
}

/// Why a login gives no tokens.
#[derive(Debug, thiserror::Error)]
pub enum LoginError {
    /// Unknown or wrong, not told apart: a stranger learns no names.
    #[error("the client id or the client secret is not right")]
    Client,
    #[error("the user name or the password is not right")]
    User,
    #[error("too many failed logins; try again in {seconds} s")]
    Throttled { seconds: u64 },
    #[error("nobody has approved the login yet")]
    Pending,
    #[error("asked again too soon")]
    SlowDown,
    #[error("the code is unknown, was used, or has expired")]
    DeviceCode,
    #[error("the refresh token is unknown, has expired, or its principal was revoked")]
    Refresh,
    #[error(transparent)]
    Identity(#[from] IdentityError),
}

/// Why identities cannot be kept or read.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    #[error("cannot {doing} {}", path.display())]
    File { doing: &'static str, path: PathBuf, source: std::io::Error },
    #[error("others than its owner may use {} (mode {mode:o}); `chmod 600` it if nobody has read it", path.display())]
    Exposed { path: PathBuf, mode: u32 },
    #[error("cannot {doing}")]
    Store { doing: &'static str, source: pillion_store::StoreError },
    #[error("cannot {doing}")]
    Certificate { doing: &'static str, source: rcgen::Error },
    #[error("a stored key for tokens, `{0}`, is not readable")]
    Key(String),
}

impl IdentityError {
    pub(crate) fn certificate(doing: &'static str) -> impl FnOnce(rcgen::Error) -> IdentityError {
        move |source| IdentityError::Certificate { doing, source }
    }

    pub(crate) fn store(doing: &'static str) -> impl FnOnce(pillion_store::StoreError) -> IdentityError {
        move |source| IdentityError::Store { doing, source }
    }
}
