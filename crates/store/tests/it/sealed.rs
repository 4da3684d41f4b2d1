//! Documents that are kept encrypted, the audit log, and the way from the first schema version to the second.

use std::fs;

use pillion_store::{AuditEntry, Batch, Expect, Kind, NewEvent, Outcome, Store, StoreError};

use crate::{app, name, raw};

fn entry(target: &str, at_ms: u64) -> AuditEntry {
    AuditEntry {
        at_ms,
        principal: "p1".into(),
        caller: "somebody".into(),
        action: "Microsoft.Web/sites/write".into(),
        target: target.into(),
        status: 200,
        correlation: "c1".into(),
        detail: "shop was written".into(),
    }
}

async fn put(store: &Store, key: &str, body: &str, expect: Expect) -> Result<pillion_store::Etag, StoreError> {
    let etag = store.commit(Batch::new().put(Kind::Resource, key, &body, expect)).await?;
    Ok(etag.expect("a document was written"))
}

#[tokio::test]
async fn a_sealed_document_is_read_back_and_is_in_no_file() {
    let directory = tempfile::tempdir().expect("a directory");
    let store = Store::open(directory.path()).expect("the store opens");
    let first = put(&store, "/a", "the-hidden-value", Expect::Absent).await.expect("it is written");
    assert!(
        matches!(put(&store, "/a", "x", Expect::Absent).await, Err(StoreError::Conflict { found: Some(found) }) if found == first)
    );
    let second = put(&store, "/a", "the-hidden-value 2", Expect::Version(first)).await.expect("it is replaced");
    assert!(second > first);
    let found = store.document::<String>(Kind::Resource, "/a").await.expect("it is read").expect("it is there");
    assert_eq!((found.body.as_str(), found.etag), ("the-hidden-value 2", second));
    assert_eq!(store.documents::<String>(Kind::Resource).await.expect("all are read").len(), 1);
    for file in fs::read_dir(directory.path()).expect("a listing") {
        let path = file.expect("an entry").path();
        if path.is_file() {
            let bytes = fs::read(&path).expect("it is readable");
            assert!(!bytes.windows(16).any(|part| part == b"the-hidden-value"), "{} holds the value", path.display());
        }
    }
}

#[tokio::test]
async fn a_sealed_document_in_another_row_or_of_another_version_is_refused() {
    let directory = tempfile::tempdir().expect("a directory");
    let store = Store::open(directory.path()).expect("the store opens");
    for key in ["/a", "/b", "/c"] {
        put(&store, key, key, Expect::Absent).await.expect("it is written");
    }
    let change = |sql: &str| assert_eq!(raw(directory.path()).execute(sql, []).expect("it is changed"), 1);
    change(
        "UPDATE sealed AS a SET ciphertext = b.ciphertext, nonce = b.nonce FROM sealed AS b WHERE b.key = '/b' AND a.key = '/a'",
    );
    change("UPDATE sealed SET etag = etag + 100 WHERE key = '/b'");
    change("UPDATE sealed SET kind = 'principal' WHERE key = '/c'");
    for (kind, key) in [(Kind::Resource, "/a"), (Kind::Resource, "/b"), (Kind::Principal, "/c")] {
        let read = store.document::<String>(kind, key).await;
        assert!(matches!(read, Err(StoreError::Sealed { .. })), "{key}: {read:?}");
    }
}

#[tokio::test]
async fn documents_are_deleted_with_what_lies_below_and_nothing_beside() {
    let directory = tempfile::tempdir().expect("a directory");
    let store = Store::open(directory.path()).expect("the store opens");
    for key in ["/g/a", "/g/a/x", "/g/a/x/y", "/g/ab", "/g/a-b", "/g"] {
        put(&store, key, key, Expect::Absent).await.expect("it is written");
        store.commit(Batch::new().put(Kind::Dirty, key, &1, Expect::Absent)).await.expect("it is written");
    }
    let batch = Batch::new().delete_under(Kind::Resource, "/g/a").delete_under(Kind::Dirty, "/g/a");
    store.commit(batch).await.expect("they are removed");
    let left: Vec<String> =
        store.documents::<String>(Kind::Resource).await.expect("all").into_iter().map(|document| document.key).collect();
    assert_eq!(left, ["/g", "/g/a-b", "/g/ab"]);
    assert_eq!(store.documents::<u32>(Kind::Dirty).await.expect("all").len(), 3);
    let stale = put(&store, "/g", "again", Expect::Anything).await.expect("it is written");
    put(&store, "/g", "and again", Expect::Anything).await.expect("it is written");
    let refused = store.commit(Batch::new().audit(entry("/g", 1)).delete(Kind::Resource, "/g", Expect::Version(stale))).await;
    assert!(matches!(refused, Err(StoreError::Conflict { .. })));
    assert!(store.audit("", 0, None, 10).await.expect("records").is_empty(), "a refused batch left its record");
    store.commit(Batch::new().delete(Kind::Resource, "/never", Expect::Anything)).await.expect("what is not there is gone");
}

#[tokio::test]
async fn etags_come_in_the_order_of_the_documents() {
    let directory = tempfile::tempdir().expect("a directory");
    let store = Store::open(directory.path()).expect("the store opens");
    let batch = Batch::new().put(Kind::Resource, "/a", &1, Expect::Absent).audit(entry("/a", 1)).and(Batch::new().put(
        Kind::Setting,
        "b",
        &2,
        Expect::Absent,
    ));
    let etags = store.commit_all(batch).await.expect("it is written");
    let a = store.document::<u32>(Kind::Resource, "/a").await.expect("a").expect("it is there");
    let b = store.document::<u32>(Kind::Setting, "b").await.expect("b").expect("it is there");
    assert_eq!(etags, [a.etag, b.etag]);
}

#[tokio::test]
async fn audit_records_are_read_newest_first_by_what_they_are_about() {
    let directory = tempfile::tempdir().expect("a directory");
    let store = Store::open(directory.path()).expect("the store opens");
    for (at, target) in ["/s/g", "/s/g/shop", "/s/g2", "/s/g/shop/config"].iter().enumerate() {
        store.commit(Batch::new().audit(entry(target, at as u64))).await.expect("it is written");
    }
    let targets = |records: Vec<pillion_store::AuditRecord>| -> Vec<String> {
        records.into_iter().map(|record| record.entry.target).collect()
    };
    assert_eq!(targets(store.audit("/s/g", 0, None, 10).await.expect("records")), ["/s/g/shop/config", "/s/g/shop", "/s/g"]);
    assert_eq!(targets(store.audit("", 2, None, 10).await.expect("records")), ["/s/g/shop/config", "/s/g2"]);
    let newest = store.audit("", 0, None, 1).await.expect("records");
    let older = store.audit("", 0, Some(newest[0].serial), 1).await.expect("records");
    assert_eq!(older[0].entry.target, "/s/g2");
}

#[tokio::test]
async fn a_new_key_seals_documents_too() {
    let directory = tempfile::tempdir().expect("a directory");
    let store = Store::open(directory.path()).expect("the store opens");
    put(&store, "/a", "value", Expect::Absent).await.expect("it is written");
    store.rotate_key().await.expect("a new key is made");
    let keys: u32 = raw(directory.path())
        .query_row("SELECT count(*) FROM sealed WHERE key_id = 2", [], |row| row.get(0))
        .expect("the rows are counted");
    assert_eq!(keys, 1);
    assert_eq!(store.document::<String>(Kind::Resource, "/a").await.expect("it is read").expect("it is there").body, "value");
}

#[tokio::test]
async fn state_of_the_first_schema_version_is_kept_by_the_second() {
    let directory = tempfile::tempdir().expect("a directory");
    let store = Store::open(directory.path()).expect("the store opens");
    let event = NewEvent {
        at_ms: 1,
        app: name(),
        revision: Some(1),
        instance: None,
        container: None,
        kind: "applied".into(),
        text: "revision 1 was applied".into(),
        source: None,
    };
    let batch = Batch::new()
        .revision(1, &app(), 5)
        .outcome(&name(), 1, &Outcome::Ready)
        .secret(&name(), "setting:A", 1, "kept")
        .event(event)
        .put(Kind::App, "shop", &7, Expect::Absent);
    let etag = store.commit(batch).await.expect("it is written");
    drop(store);
    // Version 1 is version 2 without the tables that version 2 adds.
    raw(directory.path())
        .execute_batch("DROP TABLE sealed; DROP TABLE audit; PRAGMA user_version = 1;")
        .expect("it is version 1 again");

    let store = Store::open(directory.path()).expect("the store opens again");
    let found = store.document::<u32>(Kind::App, "shop").await.expect("it is read").expect("it is there");
    assert_eq!((found.body, Some(found.etag)), (7, etag));
    let revision = store.revision(&name(), 1).await.expect("it is read").expect("it is there");
    assert_eq!((revision.definition, revision.outcome), (app(), Outcome::Ready));
    assert_eq!(store.secret(&name(), "setting:A", 1).await.expect("it is read").as_deref(), Some("kept"));
    assert_eq!(store.events(&name(), 0, 10).await.expect("events").len(), 1);
    put(&store, "/a", "new", Expect::Absent).await.expect("the new tables are there");
    let version: u32 =
        raw(directory.path()).pragma_query_value(None, "user_version", |row| row.get(0)).expect("the version is read");
    assert_eq!(version, 2);
}
