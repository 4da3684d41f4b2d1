//! The event log: appended in batches, read by app, bounded per app.

use pillion_model::AppName;
use rusqlite::{Connection, Row, Transaction, params};

use crate::{Event, NewEvent, StoreError};

pub(crate) fn append(transaction: &Transaction<'_>, event: &NewEvent, kept: u64) -> Result<(), StoreError> {
    let database = |source| StoreError::Database { doing: "write an event", source };
    let written = transaction
        .prepare_cached(
            "INSERT OR IGNORE INTO events (at_ms, app, revision, instance, container, kind, text, source) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        )
        .and_then(|mut put| {
            put.execute(params![
                event.at_ms,
                event.app.as_str(),
                event.revision,
                event.instance.as_ref().map(|i| i.as_str()),
                event.container,
                event.kind,
                event.text,
                event.source,
            ])
        })
        .map_err(database)?;
    // Pruning now and then is enough: the bound is for the disk, not for readers.
    if written > 0 && transaction.last_insert_rowid() % 64 == 0 {
        transaction
            .prepare_cached(
                "DELETE FROM events WHERE app = ?1 AND serial <= (SELECT serial FROM events WHERE app = ?1 ORDER BY serial DESC LIMIT 1 OFFSET ?2)",
            )
            .and_then(|mut prune| prune.execute(params![event.app.as_str(), kept]))
            .map_err(database)?;
    }
    Ok(())
}

/// Reads up to `limit` events of an app with serials above `after`, oldest first.
pub(crate) fn after(connection: &Connection, app: &AppName, after: u64, limit: u32) -> Result<Vec<Event>, StoreError> {
    connection
        .prepare_cached(
            "SELECT serial, at_ms, app, revision, instance, container, kind, text FROM events WHERE app = ? AND serial > ? ORDER BY serial LIMIT ?",
        )
        .and_then(|mut some| some.query_map(params![app.as_str(), after, limit], read)?.collect())
        .map_err(|source| StoreError::Database { doing: "read events", source })
}

fn read(row: &Row<'_>) -> rusqlite::Result<Event> {
    let name = |column: usize, text: String| -> rusqlite::Result<_> {
        AppName::try_from(text)
            .map_err(|wrong| rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Text, Box::new(wrong)))
    };
    Ok(Event {
        serial: row.get(0)?,
        at_ms: row.get(1)?,
        app: name(2, row.get(2)?)?,
        revision: row.get(3)?,
        instance: row.get::<_, Option<String>>(4)?.and_then(|id| id.try_into().ok()),
        container: row.get(5)?,
        kind: row.get(6)?,
        text: row.get(7)?,
    })
}
