//! What is written together: all of it or nothing.

use std::collections::BTreeMap;

use pillion_model::{App, AppName, ContainerName, RevisionNumber};
use rusqlite::{Connection, Transaction, params};
use serde::Serialize;

use crate::{AuditEntry, Etag, Kind, NewEvent, Outcome, StoreError, audit, documents, events, keyring::Keyring, secrets};

/// What a document must be for a write of it to happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expect {
    Anything,
    Absent,
    Version(Etag),
}

/// Writes to be committed together.
#[derive(Debug, Default)]
pub struct Batch {
    writes: Vec<Write>,
    broken: Option<StoreError>,
}

#[derive(Debug)]
enum Write {
    Document { kind: Kind, key: String, body: String, expect: Expect },
    Delete { kind: Kind, key: String, expect: Expect },
    DeleteUnder { kind: Kind, prefix: String },
    Revision { app: AppName, number: RevisionNumber, definition: String, created_ms: u64 },
    Images { app: AppName, number: RevisionNumber, images: String },
    Outcome { app: AppName, number: RevisionNumber, outcome: String },
    PruneRevisions { app: AppName, keep: Vec<RevisionNumber> },
    Secret { app: AppName, name: String, version: u64, plain: String },
    Event(Box<NewEvent>),
    Audit(Box<AuditEntry>),
    Forget { app: AppName },
}

impl Batch {
    pub fn new() -> Batch {
        Batch::default()
    }

    /// Writes a document; the commit fails with `Conflict` unless it is as expected.
    pub fn put<T: Serialize>(mut self, kind: Kind, key: &str, body: &T, expect: Expect) -> Batch {
        if let Some(body) = self.encode("document", body) {
            self.writes.push(Write::Document { kind, key: key.to_owned(), body, expect });
        }
        self
    }

    /// Removes a document; one that is not there is no failure where anything is expected.
    pub fn delete(mut self, kind: Kind, key: &str, expect: Expect) -> Batch {
        self.writes.push(Write::Delete { kind, key: key.to_owned(), expect });
        self
    }

    /// Removes the document `prefix` and all whose keys begin with `prefix/`.
    pub fn delete_under(mut self, kind: Kind, prefix: &str) -> Batch {
        self.writes.push(Write::DeleteUnder { kind, prefix: prefix.to_owned() });
        self
    }

    /// Appends an audit record.
    pub fn audit(mut self, entry: AuditEntry) -> Batch {
        self.writes.push(Write::Audit(Box::new(entry)));
        self
    }

    /// Appends the writes of another batch after these.
    pub fn and(mut self, other: Batch) -> Batch {
        self.writes.extend(other.writes);
        self.broken = self.broken.or(other.broken);
        self
    }

    /// Adds a revision, pending. A number is given once.
    pub fn revision(mut self, number: RevisionNumber, definition: &App, created_ms: u64) -> Batch {
        let app = definition.name.clone();
        if let Some(definition) = self.encode("definition", definition) {
            self.writes.push(Write::Revision { app, number, definition, created_ms });
        }
        self
    }

    /// Records which images a revision's containers run.
    pub fn images(mut self, app: &AppName, number: RevisionNumber, images: &BTreeMap<ContainerName, String>) -> Batch {
        if let Some(images) = self.encode("image list", images) {
            self.writes.push(Write::Images { app: app.clone(), number, images });
        }
        self
    }

    /// Records how a revision ended.
    pub fn outcome(mut self, app: &AppName, number: RevisionNumber, outcome: &Outcome) -> Batch {
        if let Some(outcome) = self.encode("outcome", outcome) {
            self.writes.push(Write::Outcome { app: app.clone(), number, outcome });
        }
        self
    }

    /// Removes all revisions of an app but these.
    pub fn prune_revisions(mut self, app: &AppName, keep: Vec<RevisionNumber>) -> Batch {
        self.writes.push(Write::PruneRevisions { app: app.clone(), keep });
        self
    }

    /// Stores a secret, encrypted; the same name and version again replaces it.
    pub fn secret(mut self, app: &AppName, name: &str, version: u64, plain: &str) -> Batch {
        self.writes.push(Write::Secret { app: app.clone(), name: name.to_owned(), version, plain: plain.to_owned() });
        self
    }

    pub fn event(mut self, event: NewEvent) -> Batch {
        self.writes.push(Write::Event(Box::new(event)));
        self
    }

    /// Removes everything there is about an app: record, revisions, secrets, events.
    pub fn forget(mut self, app: &AppName) -> Batch {
        self.writes.push(Write::Forget { app: app.clone() });
        self
    }

    pub fn is_empty(&self) -> bool {
        self.writes.is_empty()
    }

    /// Returns true if only events and audit records are in it.
    pub(crate) fn events_only(&self) -> bool {
        self.writes.iter().all(|write| matches!(write, Write::Event(_) | Write::Audit(_)))
    }

    pub(crate) fn has_events(&self) -> bool {
        self.writes.iter().any(|write| matches!(write, Write::Event(_)))
    }

    /// Commits; returns the etags of the documents written, in order.
    pub(crate) fn commit(self, connection: &mut Connection, ring: &Keyring, kept: u64) -> Result<Vec<Etag>, StoreError> {
        if let Some(broken) = self.broken {
            return Err(broken);
        }
        let database = |source| StoreError::Database { doing: "commit", source };
        let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate).map_err(database)?;
        let mut etags = Vec::new();
        for write in self.writes {
            etags.extend(write.apply(&transaction, ring, kept)?);
        }
        transaction.commit().map_err(database)?;
        Ok(etags)
    }

    fn encode<T: Serialize>(&mut self, what: &'static str, value: &T) -> Option<String> {
        match serde_json::to_string(value) {
            Ok(text) => Some(text),
            Err(source) => {
                self.broken.get_or_insert(StoreError::Unreadable { what, source });
                None
            }
        }
    }
}

impl Write {
    fn apply(self, transaction: &Transaction<'_>, ring: &Keyring, kept: u64) -> Result<Option<Etag>, StoreError> {
        match self {
            Write::Document { kind, key, body, expect } => {
                return documents::put(transaction, ring, kind, &key, &body, expect).map(Some);
            }
            Write::Delete { kind, key, expect } => documents::delete(transaction, kind, &key, expect)?,
            Write::DeleteUnder { kind, prefix } => documents::delete_under(transaction, kind, &prefix)?,
            Write::Revision { app, number, definition, created_ms } => {
                let outcome = r#"{"outcome":"pending"}"#;
                let sql = "INSERT INTO revisions (app, number, definition, outcome, created_ms) VALUES (?, ?, ?, ?, ?)";
                execute(transaction, "add a revision", sql, params![app.as_str(), number, definition, outcome, created_ms])?;
            }
            Write::Images { app, number, images } => {
                let sql = "UPDATE revisions SET images = ? WHERE app = ? AND number = ?";
                execute(transaction, "record a revision's images", sql, params![images, app.as_str(), number])?;
            }
            Write::Outcome { app, number, outcome } => {
                let sql = "UPDATE revisions SET outcome = ? WHERE app = ? AND number = ?";
                execute(transaction, "record a revision's outcome", sql, params![outcome, app.as_str(), number])?;
            }
            Write::PruneRevisions { app, keep } => {
                let keep =
                    serde_json::to_string(&keep).map_err(|source| StoreError::Unreadable { what: "revision list", source })?;
                let sql = "DELETE FROM revisions WHERE app = ? AND number NOT IN (SELECT value FROM json_each(?))";
                execute(transaction, "remove old revisions", sql, params![app.as_str(), keep])?;
            }
            Write::Secret { app, name, version, plain } => {
                secrets::put(transaction, ring, secrets::Place { app: app.as_str(), name: &name, version }, &plain)?;
            }
            Write::Audit(entry) => audit::append(transaction, &entry)?,
            Write::Event(event) => events::append(transaction, &event, kept)?,
            Write::Forget { app } => {
                let app = app.as_str();
                execute(
                    transaction,
                    "remove an app",
                    "DELETE FROM documents WHERE kind = ? AND key = ?",
                    params![Kind::App.word(), app],
                )?;
                for sql in [
                    "DELETE FROM revisions WHERE app = ?",
                    "DELETE FROM secrets WHERE app = ?",
                    "DELETE FROM events WHERE app = ?",
                ] {
                    execute(transaction, "remove an app", sql, params![app])?;
                }
            }
        }
        Ok(None)
    }
}

pub(crate) fn execute(
    transaction: &Transaction<'_>,
    doing: &'static str,
    sql: &str,
    values: &[&dyn rusqlite::ToSql],
) -> Result<(), StoreError> {
    transaction
        .prepare_cached(sql)
        .and_then(|mut statement| statement.execute(values))
        .map(drop)
        .map_err(|source| StoreError::Database { doing, source })
}
