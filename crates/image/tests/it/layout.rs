//! OCI layouts on disk: the quickest way to bring odd layers into a store.

use std::{path::Path, sync::Arc};

use pillion_image::{ImageName, ImportError, Settings, Store, silent};
use serde_json::json;
use tempfile::TempDir;

use crate::{
    registry,
    tarball::{Compression, Layer},
};

/// Writes a layout that holds one image of these layers.
pub fn write(dir: &Path, layers: &[Layer]) {
    let blobs = dir.join("blobs/sha256");
    std::fs::create_dir_all(&blobs).expect("a temporary directory");
    let put =
        |bytes: &[u8]| std::fs::write(blobs.join(pillion_image::Digest::of(bytes).hex()), bytes).expect("a temporary directory");
    layers.iter().for_each(|layer| put(&layer.bytes));
    let image = registry::Image::default();
    let config = image.config(layers);
    put(&config);
    let (media_type, manifest) = image.manifest(layers, &config);
    put(&manifest);
    let index = json!({"schemaVersion": 2, "manifests": [{"mediaType": media_type, "digest": pillion_image::Digest::of(&manifest), "size": manifest.len()}]});
    std::fs::write(dir.join("index.json"), index.to_string()).expect("a temporary directory");
    std::fs::write(dir.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).expect("a temporary directory");
}

/// A store of its own and an image imported into it.
pub struct Imported {
    pub root: TempDir,
    pub store: Arc<Store>,
    pub result: Result<pillion_image::Image, ImportError>,
}

/// Imports an image of these archives, in memory: the disk has nothing to do with what is tested.
pub async fn import(tars: &[Vec<u8>], settings: Settings) -> Imported {
    let layers: Vec<_> = tars.iter().map(|tar| Layer::new(tar, Compression::Plain)).collect();
    import_layers(&layers, settings).await
}

pub async fn import_layers(layers: &[Layer], mut settings: Settings) -> Imported {
    settings.platform.architecture = "amd64".to_owned();
    let root = TempDir::new_in("/dev/shm").expect("a temporary directory");
    let layout = root.path().join("layout");
    write(&layout, layers);
    let store = Store::open(root.path(), settings).expect("a new store");
    let name: ImageName = "localhost/test:1".parse().expect("valid");
    let result = store.import_oci_layout(&layout, &name, silent()).await;
    Imported { root, store, result }
}
