//! Secrets in their table: sealed on the way in, unsealed on the way out, sealed anew when the key changes.

use rusqlite::{Connection, OptionalExtension, Transaction, params};

use crate::{
    StoreError,
    keyring::{Keyring, Row, Sealed},
};

/// One secret's place in the table.
#[derive(Clone, Copy)]
pub(crate) struct Place<'a> {
    pub(crate) app: &'a str,
    pub(crate) name: &'a str,
    pub(crate) version: u64,
}

impl<'a> Place<'a> {
    fn row(self) -> Row<'a> {
        Row::Secret { app: self.app, name: self.name, version: self.version }
    }
}

pub(crate) fn put(transaction: &Transaction<'_>, ring: &Keyring, row: Place<'_>, plain: &str) -> Result<(), StoreError> {
    let sealed = ring.seal(&row.row(), plain.as_bytes())?;
    transaction
        .prepare_cached(
            "INSERT OR REPLACE INTO secrets (app, name, version, key_id, nonce, ciphertext) VALUES (?, ?, ?, ?, ?, ?)",
        )
        .and_then(|mut put| put.execute(params![row.app, row.name, row.version, sealed.key_id, sealed.nonce, sealed.ciphertext]))
        .map(drop)
        .map_err(|source| StoreError::Database { doing: "write a secret", source })
}

pub(crate) fn get(connection: &Connection, ring: &Keyring, row: Place<'_>) -> Result<Option<String>, StoreError> {
    let sealed = connection
        .prepare_cached("SELECT key_id, nonce, ciphertext FROM secrets WHERE app = ? AND name = ? AND version = ?")
        .and_then(|mut get| {
            get.query_row(params![row.app, row.name, row.version], |found| {
                Ok(Sealed { key_id: found.get(0)?, nonce: found.get(1)?, ciphertext: found.get(2)? })
            })
            .optional()
        })
        .map_err(|source| StoreError::Database { doing: "read a secret", source })?;
    let Some(sealed) = sealed else { return Ok(None) };
    let row = row.row();
    row.text(ring.unseal(&row, &sealed)?).map(Some)
}

/// Seals every secret with the newest key.
pub(crate) fn reseal(transaction: &Transaction<'_>, ring: &Keyring) -> Result<(), StoreError> {
    let database = |source| StoreError::Database { doing: "seal the secrets anew", source };
    let rows: Vec<(String, String, u64)> = transaction
        .prepare("SELECT app, name, version FROM secrets")
        .and_then(|mut all| all.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?.collect())
        .map_err(database)?;
    for (app, name, version) in &rows {
        let row = Place { app, name, version: *version };
        if let Some(plain) = get(transaction, ring, row)? {
            put(transaction, ring, row, &plain)?;
        }
    }
    Ok(())
}
