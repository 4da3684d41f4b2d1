//! What is packed comes back whole: through a registry, and straight from the layout.

use pillion_image::{
    Credentials, PullPolicy, Settings, Store,
    pack::{Recipe, push},
    silent,
};

use crate::{layouts::Built, registry::Registry};

fn recipe() -> Recipe {
    Recipe {
        programs: vec!["/usr/bin/redis-server".into()],
        cmd: vec!["--port".into(), "0".into()],
        working_dir: Some("/tmp".into()),
        ..Recipe::default()
    }
}

#[tokio::test]
async fn a_packed_and_pushed_image_is_pulled_with_the_same_digest_and_runs() {
    let (registry, built) = (Registry::start(None), Built::new(&recipe()));
    let pushed = push(&built.image.layout, &registry.name(), None, &Settings::default()).await.expect("pushed");
    let dir = tempfile::tempdir().expect("a temporary directory");
    let store = Store::open(dir.path(), Settings::default()).expect("a store");
    let credentials = Credentials::default();
    let name = registry.name();
    let image = store.pull(&name, credentials.get(name.registry()), PullPolicy::CheckRegistry, silent()).await.expect("pulled");
    assert_eq!(image.digest, pushed.digest);
    assert_eq!(image.config.entrypoint, ["/usr/bin/redis-server"]);
    assert_eq!(
        (image.config.cmd.as_slice(), image.config.working_dir.as_str()),
        (["--port".to_owned(), "0".to_owned()].as_slice(), "/tmp")
    );
    let [layer] = image.layers.as_slice() else { panic!("one layer: {:?}", image.layers) };
    let version = crate::programs::run(layer, &["/usr/bin/redis-server", "--version"]);
    assert!(version.status.success(), "{version:?}");
}

#[tokio::test]
async fn a_layout_enters_the_store_without_a_registry() {
    let built = Built::new(&recipe());
    let dir = tempfile::tempdir().expect("a temporary directory");
    let store = Store::open(dir.path(), Settings::default()).expect("a store");
    let name = "shop/cache:1".parse().expect("a name");
    let image = store.import_oci_layout(&built.image.layout, &name, silent()).await.expect("imported");
    assert_eq!(image.digest, built.image.digest);
}
