//! [`Store`]: the handle that everybody shares.

use std::{
    fs::{DirBuilder, OpenOptions},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::Path,
    sync::{Arc, RwLock},
};

use pillion_model::{AppName, RevisionNumber};
use rusqlite::{OptionalExtension, Row as SqlRow, params};
use serde::de::DeserializeOwned;
use tokio::sync::watch;

use crate::{
    AuditRecord, Batch, Document, Etag, Event, Kind, Revision, StoreError, audit,
    connection::{self, Worker},
    documents, events,
    keyring::Keyring,
    schema, secrets,
};

/// Events kept per app.
pub const DEFAULT_EVENTS_KEPT: u64 = 2_000;

/// A handle on the state; cheap to clone. The file is closed when the last handle is dropped.
#[derive(Clone)]
pub struct Store {
    writer: Worker,
    reader: Worker,
    ring: Arc<RwLock<Keyring>>,
    changes: Arc<watch::Sender<u64>>,
    events: Arc<watch::Sender<u64>>,
    events_kept: u64,
}

impl Store {
    /// Opens `root/state.db` and `root/keys/`, making what is missing (0700 and 0600).
    ///
    /// # Errors
    /// `TooNew` where a newer program wrote the file; otherwise what the disk or SQLite said.
    pub fn open(root: &Path) -> Result<Store, StoreError> {
        Store::open_keeping(root, DEFAULT_EVENTS_KEPT)
    }

    /// As [`Store::open`], with another bound on the events kept per app.
    pub fn open_keeping(root: &Path, events_kept: u64) -> Result<Store, StoreError> {
        DirBuilder::new().recursive(true).mode(0o700).create(root).map_err(|source| StoreError::File {
            doing: "make the directory",
            path: root.to_owned(),
            source,
        })?;
        let path = root.join("state.db");
        // SQLite gives its -wal and -shm files the mode of the database.
        OpenOptions::new().create(true).append(true).mode(0o600).open(&path).map_err(|source| StoreError::File {
            doing: "make the file",
            path: path.clone(),
            source,
        })?;
        let ring = Keyring::open(&root.join("keys"))?;
        let mut writing = connection::open(&path)?;
        schema::migrate(&mut writing, &path)?;
        let reading = connection::open(&path)?;
        let thread = |source| StoreError::File { doing: "start a thread for", path: path.clone(), source };
        Ok(Store {
            writer: Worker::spawn("store-write", writing).map_err(thread)?,
            reader: Worker::spawn("store-read", reading).map_err(thread)?,
            ring: Arc::new(RwLock::new(ring)),
            changes: Arc::new(watch::Sender::new(0)),
            events: Arc::new(watch::Sender::new(0)),
            events_kept,
        })
    }

    /// Commits a batch: all of it, on disk, or nothing. Returns the etag of the last document in it.
    ///
    /// # Errors
    /// `Conflict` where a document is not as expected.
    pub async fn commit(&self, batch: Batch) -> Result<Option<Etag>, StoreError> {
        self.commit_all(batch).await.map(|etags| etags.last().copied())
    }

    /// As [`Store::commit`]; returns the etag of every document in it, in the order they were put.
    ///
    /// # Errors
    /// `Conflict` where a document is not as expected.
    pub async fn commit_all(&self, batch: Batch) -> Result<Vec<Etag>, StoreError> {
        if batch.is_empty() {
            return Ok(Vec::new());
        }
        let (state, news) = (!batch.events_only(), batch.has_events());
        let (ring, kept) = (self.ring.clone(), self.events_kept);
        let etags = self.writer.run(move |connection| batch.commit(connection, &read(&ring), kept)).await?;
        if state {
            self.changes.send_modify(|generation| *generation += 1);
        }
        if news {
            self.events.send_modify(|generation| *generation += 1);
        }
        Ok(etags)
    }

    pub async fn document<T: DeserializeOwned + Send + 'static>(
        &self,
        kind: Kind,
        key: &str,
    ) -> Result<Option<Document<T>>, StoreError> {
        let (key, ring) = (key.to_owned(), self.ring.clone());
        self.reader
            .run(move |connection| documents::get(connection, &read(&ring), kind, &key)?.map(decode_document).transpose())
            .await
    }

    /// Reads all documents of a kind, by key.
    pub async fn documents<T: DeserializeOwned + Send + 'static>(&self, kind: Kind) -> Result<Vec<Document<T>>, StoreError> {
        let ring = self.ring.clone();
        self.reader
            .run(move |connection| documents::all(connection, &read(&ring), kind)?.into_iter().map(decode_document).collect())
            .await
    }

    pub async fn revision(&self, app: &AppName, number: RevisionNumber) -> Result<Option<Revision>, StoreError> {
        let app = app.clone();
        self.reader
            .run(move |connection| {
                let row = connection
                    .prepare_cached(
                        "SELECT number, definition, images, outcome, created_ms FROM revisions WHERE app = ? AND number = ?",
                    )
                    .and_then(|mut get| get.query_row(params![app.as_str(), number], raw_revision).optional())
                    .map_err(|source| StoreError::Database { doing: "read a revision", source })?;
                row.map(|row| decode_revision(&app, row)).transpose()
            })
            .await
    }

    /// Reads all revisions kept of an app, oldest first.
    pub async fn revisions(&self, app: &AppName) -> Result<Vec<Revision>, StoreError> {
        let app = app.clone();
        self.reader
            .run(move |connection| {
                let rows: Vec<_> = connection
                    .prepare_cached(
                        "SELECT number, definition, images, outcome, created_ms FROM revisions WHERE app = ? ORDER BY number",
                    )
                    .and_then(|mut all| all.query_map(params![app.as_str()], raw_revision)?.collect())
                    .map_err(|source| StoreError::Database { doing: "read revisions", source })?;
                rows.into_iter().map(|row| decode_revision(&app, row)).collect()
            })
            .await
    }

    /// Reads and decrypts a secret.
    ///
    /// # Errors
    /// `Secret` where the row was tampered with or its key is gone.
    pub async fn secret(&self, app: &AppName, name: &str, version: u64) -> Result<Option<String>, StoreError> {
        let (app, name, ring) = (app.clone(), name.to_owned(), self.ring.clone());
        self.reader
            .run(move |connection| {
                secrets::get(connection, &read(&ring), secrets::Place { app: app.as_str(), name: &name, version })
            })
            .await
    }

    /// Lists an app's secrets by name and version.
    pub async fn secret_names(&self, app: &AppName) -> Result<Vec<(String, u64)>, StoreError> {
        let app = app.clone();
        self.reader
            .run(move |connection| {
                connection
                    .prepare_cached("SELECT name, version FROM secrets WHERE app = ? ORDER BY name, version")
                    .and_then(|mut all| all.query_map(params![app.as_str()], |row| Ok((row.get(0)?, row.get(1)?)))?.collect())
                    .map_err(|source| StoreError::Database { doing: "list secrets", source })
            })
            .await
    }

    /// Makes a new key and seals every secret and every sealed document with it; the old key files stay for copies of the state made before.
    pub async fn rotate_key(&self) -> Result<(), StoreError> {
        let ring = self.ring.clone();
        self.writer
            .run(move |connection| {
                ring.write().unwrap_or_else(|poisoned| poisoned.into_inner()).add_key()?;
                let database = |source| StoreError::Database { doing: "seal the secrets anew", source };
                let transaction = connection.transaction().map_err(database)?;
                secrets::reseal(&transaction, &read(&ring))?;
                documents::reseal(&transaction, &read(&ring))?;
                transaction.commit().map_err(database)
            })
            .await
    }

    /// Reads up to `limit` events of an app with serials above `after`, oldest first.
    pub async fn events(&self, app: &AppName, after: u64, limit: u32) -> Result<Vec<Event>, StoreError> {
        let app = app.clone();
        self.reader.run(move |connection| events::after(connection, &app, after, limit)).await
    }

    /// Reads up to `limit` audit records, newest first: those with serials below `before` and not older than `since_ms`,
    /// about `target` and everything under it (all where `target` is empty).
    pub async fn audit(
        &self,
        target: &str,
        since_ms: u64,
        before: Option<u64>,
        limit: u32,
    ) -> Result<Vec<AuditRecord>, StoreError> {
        let target = target.to_owned();
        // SQLite's integers are signed.
        let before = before.unwrap_or(i64::MAX as u64);
        self.reader.run(move |connection| audit::read(connection, &target, since_ms, before, limit)).await
    }

    /// Counts commits that changed documents, revisions or secrets; every change wakes the receiver.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Counts commits that appended events.
    pub fn event_changes(&self) -> watch::Receiver<u64> {
        self.events.subscribe()
    }
}

fn read(ring: &RwLock<Keyring>) -> std::sync::RwLockReadGuard<'_, Keyring> {
    ring.read().unwrap_or_else(|poisoned| poisoned.into_inner())
}

fn decode_document<T: DeserializeOwned>((key, etag, body): documents::Raw) -> Result<Document<T>, StoreError> {
    let body = serde_json::from_str(&body).map_err(|source| StoreError::Unreadable { what: "document", source })?;
    Ok(Document { key, etag, body })
}

type RawRevision = (u64, String, Option<String>, String, u64);

fn raw_revision(row: &SqlRow<'_>) -> rusqlite::Result<RawRevision> {
    Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?))
}

fn decode_revision(
    app: &AppName,
    (number, definition, images, outcome, created_ms): RawRevision,
) -> Result<Revision, StoreError> {
    let unreadable = |what| move |source| StoreError::Unreadable { what, source };
    Ok(Revision {
        app: app.clone(),
        number,
        definition: serde_json::from_str(&definition).map_err(unreadable("definition"))?,
        images: images.map(|text| serde_json::from_str(&text)).transpose().map_err(unreadable("image list"))?,
        outcome: serde_json::from_str(&outcome).map_err(unreadable("outcome"))?,
        created_ms,
    })
}
