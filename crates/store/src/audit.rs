//! The audit log: appended with the change that it tells of, read newest first, bounded as a whole.

use rusqlite::{Connection, Row, Transaction, params};

use crate::{AuditEntry, AuditRecord, StoreError, batch::execute};

/// Records kept; enough for years of a machine that people and pipelines use.
const KEPT: u64 = 200_000;

pub(crate) fn append(transaction: &Transaction<'_>, entry: &AuditEntry) -> Result<(), StoreError> {
    let sql = "INSERT INTO audit (at_ms, principal, caller, action, target, status, correlation, detail) VALUES (?, ?, ?, ?, ?, ?, ?, ?)";
    let AuditEntry { at_ms, principal, caller, action, target, status, correlation, detail } = entry;
    let values = params![at_ms, principal, caller, action, target, status, correlation, detail];
    execute(transaction, "write an audit record", sql, values)?;
    let serial = transaction.last_insert_rowid();
    // Pruning now and then is enough: the bound is for the disk, not for readers.
    if serial % 1024 == 0 {
        let sql = "DELETE FROM audit WHERE serial <= ? - ?";
        execute(transaction, "remove old audit records", sql, params![serial, KEPT])?;
    }
    Ok(())
}

/// Reads up to `limit` records with serials below `before`, newest first, about `target` and what is under it (or all).
pub(crate) fn read(
    connection: &Connection,
    target: &str,
    since_ms: u64,
    before: u64,
    limit: u32,
) -> Result<Vec<AuditRecord>, StoreError> {
    connection
        .prepare_cached(
            "SELECT serial, at_ms, principal, caller, action, target, status, correlation, detail FROM audit
             WHERE serial < ?1 AND at_ms >= ?2 AND (?3 = '' OR target = ?3 OR (target > ?3 || '/' AND target < ?3 || '0'))
             ORDER BY serial DESC LIMIT ?4",
        )
        .and_then(|mut some| some.query_map(params![before, since_ms, target, limit], record)?.collect())
        .map_err(|source| StoreError::Database { doing: "read audit records", source })
}

fn record(row: &Row<'_>) -> rusqlite::Result<AuditRecord> {
    Ok(AuditRecord {
        serial: row.get(0)?,
        entry: AuditEntry {
            at_ms: row.get(1)?,
            principal: row.get(2)?,
            caller: row.get(3)?,
            action: row.get(4)?,
            target: row.get(5)?,
            status: row.get(6)?,
            correlation: row.get(7)?,
            detail: row.get(8)?,
        },
    })
}
