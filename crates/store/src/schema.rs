//! The tables, version by version. A version once released is never edited: the next one is added below it.

use std::path::Path;

use rusqlite::Connection;

use crate::StoreError;

const VERSIONS: &[&str] = &[
    "
    CREATE TABLE sequence (last INTEGER NOT NULL) STRICT;
    INSERT INTO sequence VALUES (0);

    CREATE TABLE documents (
        kind TEXT NOT NULL, key TEXT NOT NULL, etag INTEGER NOT NULL, body TEXT NOT NULL,
        PRIMARY KEY (kind, key)
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE revisions (
        app TEXT NOT NULL, number INTEGER NOT NULL, definition TEXT NOT NULL, images TEXT, outcome TEXT NOT NULL,
        created_ms INTEGER NOT NULL,
        PRIMARY KEY (app, number)
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE events (
        serial INTEGER PRIMARY KEY AUTOINCREMENT, at_ms INTEGER NOT NULL, app TEXT NOT NULL, revision INTEGER,
        instance TEXT, container TEXT, kind TEXT NOT NULL, text TEXT NOT NULL, source INTEGER
    ) STRICT;
    CREATE INDEX events_of_app ON events (app, serial);
    CREATE UNIQUE INDEX events_once ON events (instance, source) WHERE source IS NOT NULL;

    CREATE TABLE secrets (
        app TEXT NOT NULL, name TEXT NOT NULL, version INTEGER NOT NULL, key_id INTEGER NOT NULL,
        nonce BLOB NOT NULL, ciphertext BLOB NOT NULL,
        PRIMARY KEY (app, name, version)
    ) STRICT, WITHOUT ROWID;
",
    "
    CREATE TABLE sealed (
        kind TEXT NOT NULL, key TEXT NOT NULL, etag INTEGER NOT NULL, key_id INTEGER NOT NULL, nonce BLOB NOT NULL,
        ciphertext BLOB NOT NULL,
        PRIMARY KEY (kind, key)
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE audit (
        serial INTEGER PRIMARY KEY AUTOINCREMENT, at_ms INTEGER NOT NULL, principal TEXT NOT NULL, caller TEXT NOT NULL,
        action TEXT NOT NULL, target TEXT NOT NULL, status INTEGER NOT NULL, correlation TEXT NOT NULL, detail TEXT NOT NULL
    ) STRICT;
    CREATE INDEX audit_of_target ON audit (target, serial);
",
];

/// Brings the file at `path` to the newest version, one transaction per version.
pub(crate) fn migrate(connection: &mut Connection, path: &Path) -> Result<(), StoreError> {
    let known = VERSIONS.len() as u32;
    let database = |source| StoreError::Database { doing: "read the state's schema version", source };
    let found: u32 = connection.pragma_query_value(None, "user_version", |row| row.get(0)).map_err(database)?;
    if found > known {
        return Err(StoreError::TooNew { path: path.to_owned(), found, known });
    }
    for (version, tables) in (1u32..).zip(VERSIONS).skip(found as usize) {
        let database = |source| StoreError::Database { doing: "bring the state to its newest schema version", source };
        let transaction = connection.transaction().map_err(database)?;
        transaction.execute_batch(tables).map_err(database)?;
        transaction.pragma_update(None, "user_version", version).map_err(database)?;
        transaction.commit().map_err(database)?;
    }
    Ok(())
}
