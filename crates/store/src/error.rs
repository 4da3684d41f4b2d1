//! Why the store cannot do what it was asked.

use std::path::PathBuf;

/// A failure of the store.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("cannot {doing} {}", path.display())]
    File { doing: &'static str, path: PathBuf, source: std::io::Error },
    #[error("cannot {doing}")]
    Database { doing: &'static str, source: rusqlite::Error },
    /// A newer Pillion wrote this file.
    #[error("the state in {} has schema version {found}, this program knows up to {known}", path.display())]
    TooNew { path: PathBuf, found: u32, known: u32 },
    /// What is stored does not decode; it was not written by this program.
    #[error("a stored {what} is not readable")]
    Unreadable { what: &'static str, source: serde_json::Error },
    /// The ciphertext does not belong to this row, was changed, or its key is gone.
    #[error("secret `{name}` of app `{app}` cannot be decrypted: {reason}")]
    Secret { app: String, name: String, reason: &'static str },
    /// As `Secret`, of a document that is kept encrypted.
    #[error("the {kind} `{key}` cannot be decrypted: {reason}")]
    Sealed { kind: String, key: String, reason: &'static str },
    #[error("key file {} is not usable: {reason}", path.display())]
    Key { path: PathBuf, reason: String },
    /// The etag given is not the document's.
    #[error("the document was changed in the meantime")]
    Conflict { found: Option<crate::Etag> },
    /// The writer has ended; only a program on its way out sees this.
    #[error("the store is closed")]
    Closed,
}
