//! Secrets at rest: unreadable in the file, refused when tampered with or moved, readable after a new key.

use std::{fs, os::unix::fs::PermissionsExt};

use pillion_store::{Batch, Store, StoreError};

use crate::{name, raw};

async fn with_two_secrets(root: &std::path::Path) -> Store {
    let store = Store::open(root).expect("the store opens");
    let batch =
        Batch::new().secret(&name(), "setting:A", 1, "the-first-secret").secret(&name(), "setting:B", 1, "the-second-secret");
    store.commit(batch).await.expect("it is written");
    store
}

#[tokio::test]
async fn a_secret_is_not_in_any_file() {
    let directory = tempfile::tempdir().expect("a directory");
    let store = with_two_secrets(directory.path()).await;
    assert_eq!(store.secret(&name(), "setting:A", 1).await.expect("a secret").as_deref(), Some("the-first-secret"));
    for entry in fs::read_dir(directory.path()).expect("a listing") {
        let path = entry.expect("an entry").path();
        if path.is_file() {
            let bytes = fs::read(&path).expect("it is readable");
            assert!(
                !bytes.windows(10).any(|window| window == b"-secret-se" || window == b"the-first-"),
                "{} holds the secret",
                path.display()
            );
        }
    }
}

#[tokio::test]
async fn a_ciphertext_that_was_changed_is_refused() {
    let directory = tempfile::tempdir().expect("a directory");
    let store = with_two_secrets(directory.path()).await;
    for column in ["ciphertext", "nonce"] {
        let changed = raw(directory.path());
        let flip = format!("UPDATE secrets SET {column} = CAST(X'00' || substr({column}, 2) AS BLOB) WHERE name = 'setting:A'");
        changed.execute(&flip, []).expect("it is changed");
        assert!(
            matches!(store.secret(&name(), "setting:A", 1).await, Err(StoreError::Secret { .. })),
            "a changed {column} was taken"
        );
    }
}

#[tokio::test]
async fn a_ciphertext_moved_to_another_row_is_refused() {
    let directory = tempfile::tempdir().expect("a directory");
    let store = with_two_secrets(directory.path()).await;
    let swap = "UPDATE secrets AS a SET ciphertext = b.ciphertext, nonce = b.nonce FROM secrets AS b WHERE b.name = 'setting:B' AND a.name = 'setting:A'";
    assert_eq!(raw(directory.path()).execute(swap, []).expect("it is moved"), 1);
    assert!(matches!(store.secret(&name(), "setting:A", 1).await, Err(StoreError::Secret { .. })));
    raw(directory.path()).execute("UPDATE secrets SET app = 'other' WHERE name = 'setting:B'", []).expect("it is moved");
    let other = "other".parse().expect("a name");
    assert!(matches!(store.secret(&other, "setting:B", 1).await, Err(StoreError::Secret { .. })));
}

#[tokio::test]
async fn a_new_key_seals_everything_and_old_copies_stay_readable() {
    let directory = tempfile::tempdir().expect("a directory");
    let store = with_two_secrets(directory.path()).await;
    store.rotate_key().await.expect("a new key");
    let ids: Vec<u32> = raw(directory.path())
        .prepare("SELECT DISTINCT key_id FROM secrets")
        .and_then(|mut all| all.query_map([], |row| row.get(0))?.collect())
        .expect("key ids");
    assert_eq!(ids, [2]);
    drop(store);
    let store = Store::open(directory.path()).expect("the store opens again");
    assert_eq!(store.secret(&name(), "setting:B", 1).await.expect("a secret").as_deref(), Some("the-second-secret"));
    assert!(directory.path().join("keys/1.key").exists());
}

#[tokio::test]
async fn a_lost_key_is_named_as_the_cause() {
    let directory = tempfile::tempdir().expect("a directory");
    let store = with_two_secrets(directory.path()).await;
    store.rotate_key().await.expect("a new key");
    drop(store);
    fs::remove_file(directory.path().join("keys/2.key")).expect("it is removed");
    let store = Store::open(directory.path()).expect("the store opens");
    let refused = store.secret(&name(), "setting:A", 1).await.expect_err("the key is gone");
    assert_eq!(refused.to_string(), "secret `setting:A` of app `shop` cannot be decrypted: its key is gone");
}

#[tokio::test]
async fn a_key_that_others_may_read_is_refused() {
    let directory = tempfile::tempdir().expect("a directory");
    drop(with_two_secrets(directory.path()).await);
    let key = directory.path().join("keys/1.key");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).expect("a mode");
    assert!(matches!(Store::open(directory.path()), Err(StoreError::Key { .. })));
}
