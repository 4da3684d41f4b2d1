//! Principals: whoever may log in.

use pillion_store::{Document, Kind, Store};
use serde::{Deserialize, Serialize};

use crate::{Grant, IdentityError, proof::Proof};

/// What sort of somebody it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum PrincipalKind {
    /// A program, with a secret that the server made.
    Service,
    /// A person, with a password.
    User,
}

/// Somebody who may log in, without what proves it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Principal {
    pub id: String,
    /// What people call it; unique among those not revoked, so it can be given instead of the id.
    pub name: String,
    pub kind: PrincipalKind,
    pub grants: Vec<Grant>,
    pub created_ms: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked_ms: Option<u64>,
}

/// A principal as stored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Record {
    #[serde(flatten)]
    pub(crate) principal: Principal,
    /// Gone once revoked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) proof: Option<Proof>,
}

/// Somebody to be made.
#[derive(Debug, Clone)]
pub struct NewPrincipal {
    pub name: String,
    pub kind: PrincipalKind,
    /// A user's password; a service principal's secret, and a user's where none is given, is made by the server.
    pub password: Option<String>,
    pub grants: Vec<Grant>,
}

/// Somebody just made: the only time that the secret is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Created {
    pub principal: Principal,
    /// None where the caller chose the password.
    pub secret: Option<String>,
}

/// Why no principal was made, changed or found.
#[derive(Debug, thiserror::Error)]
pub enum PrincipalError {
    #[error("`{0}` is not a name for a principal: 1 to 64 letters, digits, and - _ . @ inside")]
    Name(String),
    #[error("a principal named `{0}` exists already")]
    Taken(String),
    #[error("there is no principal `{0}`")]
    Unknown(String),
    #[error("the principal `{0}` was revoked already")]
    Revoked(String),
    #[error("a password needs at least 12 characters, and at most 256")]
    Password,
    #[error("a service principal's secret is made by the server; a password is for users")]
    ServicePassword,
    #[error("there is no login waiting for the code `{0}`; codes live {minutes} minutes", minutes = crate::device::LIFETIME_MS / 60_000)]
    Code(String),
    #[error(transparent)]
    Identity(#[from] IdentityError),
}

/// In bytes; long enough for a mail address.
const MOST_NAME: usize = 64;

pub(crate) fn check(new: &NewPrincipal) -> Result<(), PrincipalError> {
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.@".contains(&byte);
    let name = new.name.as_bytes();
    let ends = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    if name.len() > MOST_NAME || !ends(name.first()) || !ends(name.last()) || !name.iter().all(|byte| inner(*byte)) {
        return Err(PrincipalError::Name(new.name.clone()));
    }
    match (&new.password, new.kind) {
        (Some(_), PrincipalKind::Service) => Err(PrincipalError::ServicePassword),
        (Some(password), PrincipalKind::User) if !(12..=256).contains(&password.chars().count()) => Err(PrincipalError::Password),
        (Some(_) | None, PrincipalKind::User | PrincipalKind::Service) => Ok(()),
    }
}

pub(crate) async fn load(store: &Store) -> Result<Vec<Record>, IdentityError> {
    let all: Vec<Document<Record>> =
        store.documents(Kind::Principal).await.map_err(|source| IdentityError::Store { doing: "read the principals", source })?;
    Ok(all.into_iter().map(|document| document.body).collect())
}
