//! Documents in their two tables: plain ones as text, the others sealed. A kind is always one or the other.

use rusqlite::{Connection, OptionalExtension, Row as SqlRow, Transaction, params};

use crate::{
    Etag, Expect, Kind, StoreError,
    batch::execute,
    keyring::{Keyring, Row, Sealed},
};

/// A document as text: its key, its etag, its body.
pub(crate) type Raw = (String, Etag, String);

pub(crate) fn put(
    transaction: &Transaction<'_>,
    ring: &Keyring,
    kind: Kind,
    key: &str,
    body: &str,
    expect: Expect,
) -> Result<Etag, StoreError> {
    check(transaction, kind, key, expect)?;
    // One sequence for all documents: an etag is not given again even after its document was removed and made anew.
    let etag: u64 = transaction
        .prepare_cached("UPDATE sequence SET last = last + 1 RETURNING last")
        .and_then(|mut next| next.query_row([], |row| row.get(0)))
        .map_err(|source| StoreError::Database { doing: "write a document", source })?;
    if kind.sealed() {
        seal(transaction, ring, kind.word(), key, etag, body)?;
    } else {
        let sql = "INSERT OR REPLACE INTO documents (kind, key, etag, body) VALUES (?, ?, ?, ?)";
        execute(transaction, "write a document", sql, params![kind.word(), key, etag, body])?;
    }
    Ok(Etag(etag))
}

pub(crate) fn delete(transaction: &Transaction<'_>, kind: Kind, key: &str, expect: Expect) -> Result<(), StoreError> {
    check(transaction, kind, key, expect)?;
    let sql = if kind.sealed() {
        "DELETE FROM sealed WHERE kind = ? AND key = ?"
    } else {
        "DELETE FROM documents WHERE kind = ? AND key = ?"
    };
    execute(transaction, "remove a document", sql, params![kind.word(), key])
}

pub(crate) fn delete_under(transaction: &Transaction<'_>, kind: Kind, prefix: &str) -> Result<(), StoreError> {
    // `0` is the character after `/`, so the range is exactly what begins with `prefix/`.
    let sql = if kind.sealed() {
        "DELETE FROM sealed WHERE kind = ?1 AND (key = ?2 OR (key > ?2 || '/' AND key < ?2 || '0'))"
    } else {
        "DELETE FROM documents WHERE kind = ?1 AND (key = ?2 OR (key > ?2 || '/' AND key < ?2 || '0'))"
    };
    execute(transaction, "remove documents", sql, params![kind.word(), prefix])
}

pub(crate) fn get(connection: &Connection, ring: &Keyring, kind: Kind, key: &str) -> Result<Option<Raw>, StoreError> {
    let database = |source| StoreError::Database { doing: "read a document", source };
    if kind.sealed() {
        let row = connection
            .prepare_cached("SELECT key, etag, key_id, nonce, ciphertext FROM sealed WHERE kind = ? AND key = ?")
            .and_then(|mut get| get.query_row(params![kind.word(), key], sealed_row).optional())
            .map_err(database)?;
        return row.map(|row| unseal(ring, kind.word(), row)).transpose();
    }
    connection
        .prepare_cached("SELECT key, etag, body FROM documents WHERE kind = ? AND key = ?")
        .and_then(|mut get| get.query_row(params![kind.word(), key], plain_row).optional())
        .map_err(database)
}

/// Reads all documents of a kind, by key.
pub(crate) fn all(connection: &Connection, ring: &Keyring, kind: Kind) -> Result<Vec<Raw>, StoreError> {
    let database = |source| StoreError::Database { doing: "read documents", source };
    if kind.sealed() {
        let rows: Vec<_> = connection
            .prepare_cached("SELECT key, etag, key_id, nonce, ciphertext FROM sealed WHERE kind = ? ORDER BY key")
            .and_then(|mut all| all.query_map(params![kind.word()], sealed_row)?.collect())
            .map_err(database)?;
        return rows.into_iter().map(|row| unseal(ring, kind.word(), row)).collect();
    }
    connection
        .prepare_cached("SELECT key, etag, body FROM documents WHERE kind = ? ORDER BY key")
        .and_then(|mut all| all.query_map(params![kind.word()], plain_row)?.collect())
        .map_err(database)
}

/// Seals every sealed document with the newest key.
pub(crate) fn reseal(transaction: &Transaction<'_>, ring: &Keyring) -> Result<(), StoreError> {
    let database = |source| StoreError::Database { doing: "seal the documents anew", source };
    let rows: Vec<(String, SealedRow)> = transaction
        .prepare("SELECT key, etag, key_id, nonce, ciphertext, kind FROM sealed")
        .and_then(|mut all| all.query_map([], |row| Ok((row.get(5)?, sealed_row(row)?)))?.collect())
        .map_err(database)?;
    for (kind, row) in rows {
        let (key, etag, body) = unseal(ring, &kind, row)?;
        seal(transaction, ring, &kind, &key, etag.0, &body)?;
    }
    Ok(())
}

fn check(transaction: &Transaction<'_>, kind: Kind, key: &str, expect: Expect) -> Result<(), StoreError> {
    let sql = if kind.sealed() {
        "SELECT etag FROM sealed WHERE kind = ? AND key = ?"
    } else {
        "SELECT etag FROM documents WHERE kind = ? AND key = ?"
    };
    let found: Option<Etag> = transaction
        .prepare_cached(sql)
        .and_then(|mut get| get.query_row(params![kind.word(), key], |row| row.get(0).map(Etag)).optional())
        .map_err(|source| StoreError::Database { doing: "read a document's etag", source })?;
    let met = match expect {
        Expect::Anything => true,
        Expect::Absent => found.is_none(),
        Expect::Version(etag) => found == Some(etag),
    };
    if met { Ok(()) } else { Err(StoreError::Conflict { found }) }
}

fn seal(transaction: &Transaction<'_>, ring: &Keyring, kind: &str, key: &str, etag: u64, body: &str) -> Result<(), StoreError> {
    let sealed = ring.seal(&Row::Document { kind, key, etag }, body.as_bytes())?;
    let sql = "INSERT OR REPLACE INTO sealed (kind, key, etag, key_id, nonce, ciphertext) VALUES (?, ?, ?, ?, ?, ?)";
    let values = params![kind, key, etag, sealed.key_id, sealed.nonce, sealed.ciphertext];
    execute(transaction, "write a document", sql, values)
}

type SealedRow = (String, u64, Sealed);

fn sealed_row(row: &SqlRow<'_>) -> rusqlite::Result<SealedRow> {
    Ok((row.get(0)?, row.get(1)?, Sealed { key_id: row.get(2)?, nonce: row.get(3)?, ciphertext: row.get(4)? }))
}

fn unseal(ring: &Keyring, kind: &str, (key, etag, sealed): SealedRow) -> Result<Raw, StoreError> {
    let row = Row::Document { kind, key: &key, etag };
    let body = row.text(ring.unseal(&row, &sealed)?)?;
    Ok((key, Etag(etag), body))
}

fn plain_row(row: &SqlRow<'_>) -> rusqlite::Result<Raw> {
    Ok((row.get(0)?, Etag(row.get(1)?), row.get(2)?))
}
