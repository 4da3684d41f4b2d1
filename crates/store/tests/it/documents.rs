//! Documents, revisions and events as their readers see them.

use std::os::unix::fs::PermissionsExt;

use pillion_store::{Batch, Expect, Kind, NewEvent, Outcome, Store, StoreError};

use crate::{app, name, raw};

fn event(text: &str, source: Option<u64>) -> NewEvent {
    let instance = Some("shop-1-abcdef".parse().expect("an id"));
    NewEvent {
        at_ms: 1,
        app: name(),
        revision: Some(1),
        instance,
        container: None,
        kind: "started".into(),
        text: text.into(),
        source,
    }
}

#[tokio::test]
async fn an_etag_guards_a_document_and_is_never_given_again() {
    let directory = tempfile::tempdir().expect("a directory");
    let store = Store::open(directory.path()).expect("the store opens");
    let put = |expect| store.commit(Batch::new().put(Kind::App, "shop", &1, expect));
    let first = put(Expect::Absent).await.expect("it was absent").expect("an etag");
    assert!(matches!(put(Expect::Absent).await, Err(StoreError::Conflict { found: Some(found) }) if found == first));
    let second = put(Expect::Version(first)).await.expect("it is as expected").expect("an etag");
    assert!(matches!(put(Expect::Version(first)).await, Err(StoreError::Conflict { .. })));
    store.commit(Batch::new().forget(&name())).await.expect("it is removed");
    assert!(matches!(put(Expect::Version(second)).await, Err(StoreError::Conflict { found: None })));
    let third = put(Expect::Absent).await.expect("it was absent").expect("an etag");
    assert!(third > second);
    assert_eq!(third.to_string().parse(), Ok(third));
}

#[tokio::test]
async fn a_batch_that_conflicts_leaves_nothing() {
    let directory = tempfile::tempdir().expect("a directory");
    let store = Store::open(directory.path()).expect("the store opens");
    store.commit(Batch::new().put(Kind::App, "shop", &1, Expect::Absent)).await.expect("it is written");
    let batch = Batch::new().revision(1, &app(), 1).event(event("no", None)).put(Kind::App, "shop", &2, Expect::Absent);
    assert!(store.commit(batch).await.is_err());
    assert!(store.revisions(&name()).await.expect("revisions").is_empty());
    assert!(store.events(&name(), 0, 10).await.expect("events").is_empty());
}

#[tokio::test]
async fn a_revision_is_numbered_once_and_keeps_its_outcome() {
    let directory = tempfile::tempdir().expect("a directory");
    let store = Store::open(directory.path()).expect("the store opens");
    store.commit(Batch::new().revision(1, &app(), 5)).await.expect("it is written");
    assert!(store.commit(Batch::new().revision(1, &app(), 6)).await.is_err());
    store.commit(Batch::new().outcome(&name(), 1, &Outcome::Superseded { by: 2 })).await.expect("it is written");
    drop(store);
    let store = Store::open(directory.path()).expect("the store opens again");
    let found = store.revision(&name(), 1).await.expect("a revision").expect("it is there");
    assert_eq!((found.definition, found.outcome, found.created_ms), (app(), Outcome::Superseded { by: 2 }, 5));
}

#[tokio::test]
async fn an_observed_event_is_kept_once_and_old_ones_make_room() {
    let directory = tempfile::tempdir().expect("a directory");
    let store = Store::open_keeping(directory.path(), 100).expect("the store opens");
    for _ in 0..3 {
        store.commit(Batch::new().event(event("once", Some(7)))).await.expect("it is written");
    }
    assert_eq!(store.events(&name(), 0, 10).await.expect("events").len(), 1);
    for _ in 0..4 {
        let batch = (0..128).fold(Batch::new(), |batch, number| batch.event(event(&number.to_string(), None)));
        store.commit(batch).await.expect("it is written");
    }
    let kept = store.events(&name(), 0, 1000).await.expect("events");
    assert!((100..=164).contains(&kept.len()), "{} events", kept.len());
    assert_eq!(kept.last().map(|last| last.text.as_str()), Some("127"));
}

#[tokio::test]
async fn every_commit_wakes_who_watches() {
    let directory = tempfile::tempdir().expect("a directory");
    let store = Store::open(directory.path()).expect("the store opens");
    let (mut changes, mut news) = (store.changes(), store.event_changes());
    store.commit(Batch::new().event(event("only an event", None))).await.expect("it is written");
    assert!(news.has_changed().expect("open") && !changes.has_changed().expect("open"));
    news.mark_unchanged();
    store.commit(Batch::new().put(Kind::App, "shop", &1, Expect::Absent)).await.expect("it is written");
    assert!(changes.has_changed().expect("open") && !news.has_changed().expect("open"));
    changes.mark_unchanged();
}

#[tokio::test]
async fn a_state_of_a_newer_program_is_refused_and_left_alone() {
    let directory = tempfile::tempdir().expect("a directory");
    drop(Store::open(directory.path()).expect("the store opens"));
    raw(directory.path()).pragma_update(None, "user_version", 99).expect("a version");
    assert!(matches!(Store::open(directory.path()), Err(StoreError::TooNew { found: 99, .. })));
}

#[tokio::test]
async fn nobody_else_may_read_the_files() {
    let directory = tempfile::tempdir().expect("a directory");
    let root = directory.path().join("state");
    let store = Store::open(&root).expect("the store opens");
    store.commit(Batch::new().put(Kind::App, "shop", &1, Expect::Absent)).await.expect("it is written");
    let mode = |path: &str| std::fs::metadata(root.join(path)).expect("it is there").permissions().mode() & 0o777;
    assert_eq!((mode(""), mode("keys")), (0o700, 0o700));
    assert_eq!([mode("state.db"), mode("state.db-wal"), mode("state.db-shm"), mode("keys/1.key")], [0o600; 4]);
}
