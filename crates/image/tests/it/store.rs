//! The store between pulls: listing, forgetting, pruning, and what it trusts when it is opened.

use std::{collections::BTreeSet, path::Path, process::Command, sync::Arc};

use pillion_fault::Fault;
use pillion_image::{ImageName, PullEvent, PullPolicy, Settings, Store, StoreError, silent};

use crate::{
    pull::{layer, layer_dirs, noise, recorder, store},
    registry::{Registry, output},
    tarball::Compression,
};

async fn two_images() -> (Registry, tempfile::TempDir, Arc<Store>, ImageName, ImageName) {
    let registry = Registry::open();
    let shared = layer("shared", b"both", Compression::Gzip);
    registry.push("a:1", &[shared.clone(), layer("a", b"a", Compression::Gzip)]).await;
    registry.push("b:1", &[shared, layer("b", b"b", Compression::Gzip)]).await;
    let (root, store) = store();
    let names = (registry.name("a:1"), registry.name("b:1"));
    (registry, root, store, names.0, names.1)
}

async fn pull(store: &Arc<Store>, name: &ImageName) -> pillion_image::Image {
    store.pull(name, None, PullPolicy::CheckRegistry, silent()).await.expect("it is there")
}

/// Waits until the last thread that works for the store is done with it, as the end of a process would.
async fn close(store: Arc<Store>) {
    let weak = Arc::downgrade(&store);
    drop(store);
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(30);
    while weak.strong_count() > 0 {
        assert!(std::time::Instant::now() < deadline, "the store is still in use");
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }
}

fn reopen(root: &Path) -> Arc<Store> {
    Store::open(root, Settings::default()).expect("it was open before")
}

#[tokio::test]
async fn images_are_listed_by_name_and_found_by_digest() {
    let (_registry, root, store, a, b) = two_images().await;
    let (image, _) = (pull(&store, &a).await, pull(&store, &b).await);
    let listed = store.list().expect("readable");
    assert_eq!(listed.iter().map(|image| image.name.clone()).collect::<Vec<_>>(), [a.clone(), b]);
    assert_eq!((listed[0].size, listed[0].digest.clone()), (5, image.digest.clone()));
    let again = store.get(&image.digest).expect("readable").expect("it is there");
    assert_eq!((again.layers, again.name), (image.layers.clone(), Some(a)));
    store.settle().expect("a working disk");
    close(store).await;
    assert_eq!(reopen(root.path()).list().expect("readable"), listed);
}

#[tokio::test]
async fn prune_keeps_what_is_named_leased_or_wanted_and_every_layer_they_share() {
    let (_registry, root, store, a, b) = two_images().await;
    let (image_a, image_b) = (pull(&store, &a).await, pull(&store, &b).await);
    assert_eq!(layer_dirs(root.path()), 3);
    let nothing = BTreeSet::new();

    assert_eq!(store.prune(&nothing).expect("allowed").layers, 0, "both have names");
    assert!(store.remove(&a).expect("writable"));
    assert!(!store.remove(&a).expect("writable"), "it is gone already");
    assert_eq!(store.prune(&nothing).expect("allowed").layers, 0, "a lease is held");

    let (digest, layers) = (image_a.digest.clone(), image_a.layers.clone());
    drop(image_a);
    assert_eq!(store.prune(&BTreeSet::from([digest.clone()])).expect("allowed").layers, 0, "a revision keeps it");

    let pruned = store.prune(&nothing).expect("allowed");
    assert_eq!((pruned.images, pruned.layers, pruned.bytes), (vec![digest.clone()], 1, 1));
    assert!(layers[0].is_dir(), "the other image has this layer too");
    assert!(!layers[1].exists());
    assert!(store.get(&digest).expect("readable").is_none());
    assert!(image_b.layers.iter().all(|layer| layer.is_dir()));
}

#[tokio::test]
async fn prune_is_refused_while_another_process_may_use_the_store() {
    let (_registry, root, store, a, _) = two_images().await;
    drop(pull(&store, &a).await);
    store.remove(&a).expect("writable");
    let other = reopen(root.path());
    assert!(matches!(store.prune(&BTreeSet::new()), Err(StoreError::InUse { .. })));
    drop(other);
    assert_eq!(store.prune(&BTreeSet::new()).expect("allowed").layers, 2);
}

#[tokio::test]
async fn what_a_dead_process_left_behind_is_swept_on_open() {
    let (_registry, root, store, a, _) = two_images().await;
    let image = pull(&store, &a).await;
    store.settle().expect("a working disk");
    close(store).await;
    let images = root.path().join("images");
    std::fs::create_dir_all(images.join("staging/1-2-3/root/etc")).expect("writable");
    std::fs::write(images.join("staging/1-2-3/root/etc/passwd"), "x").expect("writable");
    let half = images.join("layers/sha256").join("0".repeat(64));
    std::fs::create_dir_all(half.join("root")).expect("writable");
    let store = reopen(root.path());
    assert_eq!(std::fs::read_dir(images.join("staging")).expect("there").count(), 0);
    assert!(!half.exists(), "a layer without its record was never whole");
    assert!(store.get(&image.digest).expect("readable").is_some());
}

#[tokio::test]
async fn a_layer_not_known_to_be_on_disk_before_a_power_failure_is_pulled_again() {
    let (_registry, root, store, a, _) = two_images().await;
    let image = pull(&store, &a).await;
    store.settle().expect("a working disk");
    let record = image.layers[1].with_file_name("layer.json");
    let text = std::fs::read_to_string(&record).expect("written");
    assert!(!text.contains("unsettledSinceBoot"), "settling marks what is safe: {text}");
    let (digest, content) = (image.digest.clone(), image.layers[1].join("a"));
    drop(image);
    close(store).await;

    // As it looks after the power failed between unpacking and settling, with half the content gone.
    let unsettled = text.replacen('{', r#"{"unsettledSinceBoot": "another boot","#, 1);
    std::fs::write(&record, unsettled).expect("writable");
    std::fs::write(&content, "").expect("writable");
    let store = reopen(root.path());
    assert!(store.get(&digest).expect("readable").is_none());
    assert!(store.list().expect("readable").is_empty());
    let image = pull(&store, &a).await;
    assert_eq!(std::fs::read(image.layers[1].join("a")).expect("unpacked"), b"a");
}

#[tokio::test]
async fn a_damaged_config_is_not_used() {
    let (_registry, root, store, a, _) = two_images().await;
    let image = pull(&store, &a).await;
    for blob in std::fs::read_dir(root.path().join("images/blobs/sha256")).expect("there") {
        std::fs::write(blob.expect("readable").path(), "{}").expect("writable");
    }
    assert!(store.get(&image.digest).expect("readable").is_none());
    assert_eq!(pull(&store, &a).await.config, image.config, "a pull brings it back");
}

#[tokio::test]
async fn a_pull_tells_what_it_downloads_and_what_was_there() {
    let (_registry, _root, store, a, b) = two_images().await;
    let (progress, events) = recorder();
    let image = store.pull(&a, None, PullPolicy::CheckRegistry, progress.clone()).await.expect("it is there");
    let seen = std::mem::take(&mut *events.lock().expect("no panic"));
    let Some(PullEvent::Resolved { digest, layers }) = seen.first() else { panic!("{seen:?}") };
    assert_eq!((digest, layers.len()), (&image.digest, 2));
    for (layer, size) in layers {
        assert!(seen.contains(&PullEvent::LayerBytes { layer: layer.clone(), received: *size, total: *size }));
        assert!(seen.contains(&PullEvent::LayerDone { layer: layer.clone() }));
    }
    store.pull(&b, None, PullPolicy::CheckRegistry, progress).await.expect("it is there");
    let seen = events.lock().expect("no panic").clone();
    assert!(
        seen.contains(&PullEvent::LayerPresent { layer: layers[0].0.clone() }),
        "the shared layer is not downloaded again: {seen:?}"
    );
}

#[tokio::test]
async fn what_is_proven_but_missing_is_pulled_by_its_digest_whatever_the_tag_says_now() {
    let registry = Registry::open();
    let first = registry.push("moved:1", &[layer("f", b"first", Compression::Gzip)]).await;
    registry.push("moved:1", &[layer("f", b"second", Compression::Gzip)]).await;
    let (_root, store) = store();
    let image =
        store.pull(&registry.name("moved:1"), None, PullPolicy::Proven(first.clone()), silent()).await.expect("still there");
    assert_eq!(image.digest, first);
    assert_eq!(std::fs::read(image.layers[0].join("f")).expect("unpacked"), b"first");
}

/// A file system of a few megabytes, unmounted with the value.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn new(size: &str) -> SmallDisk {
        let dir = tempfile::TempDir::new().expect("a temporary directory");
        output(Command::new("mount").args(["-t", "tmpfs", "-o", &format!("size={size}"), "small"]).arg(dir.path()));
        SmallDisk(dir)
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: a thread of the store may have it open for a moment longer.
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

#[tokio::test]
async fn a_full_disk_is_called_one_and_what_was_unpacked_is_removed() {
    let registry = Registry::open();
    registry.push("large:1", &[layer("f", &noise(4 << 20), Compression::Gzip)]).await;
    let disk = SmallDisk::new("2m");
    let store = Store::open(disk.0.path(), Settings::default()).expect("there is room for that");
    let error = store.pull(&registry.name("large:1"), None, PullPolicy::CheckRegistry, silent()).await.expect_err("no room");
    assert!(matches!(Fault::from(&error), Fault::DiskFull { .. }), "{error:?}");
    assert_eq!(layer_dirs(disk.0.path()), 0);
    let left: Vec<_> = std::fs::read_dir(disk.0.path().join("images/staging"))
        .expect("there")
        .filter(|entry| entry.as_ref().is_ok_and(|entry| entry.path().is_dir()))
        .collect();
    assert!(left.is_empty(), "{left:?}");
}
