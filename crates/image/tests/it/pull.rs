//! Pulling from a real registry: names, credentials, forms, faults.

use std::sync::{Arc, Mutex, atomic::Ordering};

use oci_client::secrets::RegistryAuth;
use pillion_fault::Fault;
use pillion_image::{Credential, Digest, ImageName, Progress, PullError, PullEvent, PullPolicy, Settings, Store, silent};
use serde_json::json;
use tempfile::TempDir;

use crate::{
    breaking_proxy::BreakingProxy,
    registry::{Image, PASSWORD, Registry, USER},
    tarball::{Compression, Entry, Layer, Tarball},
    token_server::TokenServer,
};

pub fn store() -> (TempDir, Arc<Store>) {
    store_with(Settings::default())
}

pub fn store_with(mut settings: Settings) -> (TempDir, Arc<Store>) {
    settings.platform.architecture = "amd64".to_owned();
    settings.retry.first = std::time::Duration::from_millis(5);
    let root = TempDir::new().expect("a temporary directory");
    let store = Store::open(root.path(), settings).expect("a new store");
    (root, store)
}

pub fn layer(path: &str, content: &[u8], compression: Compression) -> Layer {
    Layer::new(&Tarball::default().add(Entry::file(path, content)).end(), compression)
}

/// Bytes that no compressor makes smaller, the same every time.
pub fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    })
    .take(length)
    .collect()
}

pub fn recorder() -> (Progress, Arc<Mutex<Vec<PullEvent>>>) {
    let events = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&events);
    (Arc::new(move |event| sink.lock().expect("no panic").push(event)), events)
}

async fn pull(store: &Arc<Store>, name: &ImageName, credential: Option<&Credential>) -> Result<pillion_image::Image, PullError> {
    store.pull(name, credential, PullPolicy::CheckRegistry, silent()).await
}

#[tokio::test]
async fn an_image_with_gzip_zstd_and_plain_layers_is_pulled_by_tag_and_by_digest() {
    let registry = Registry::open();
    let layers = [
        layer("one", b"gzip", Compression::Gzip),
        layer("two", b"zstd", Compression::Zstd),
        layer("three", b"plain", Compression::Plain),
    ];
    let run = json!({"Entrypoint": ["/bin/app"], "Cmd": ["-v"], "Env": ["A=1"], "User": "7:8", "WorkingDir": "/srv", "StopSignal": "SIGINT",
        "ExposedPorts": {"8080/tcp": {}}, "Volumes": {"/data": {}}, "Labels": {"k": "v"}});
    let digest = registry.push_image("shop/web:1.4", &layers, &Image { run, ..Image::default() }).await;
    let (_root, store) = store();

    let image = pull(&store, &registry.name("shop/web:1.4"), None).await.expect("it is there");
    assert_eq!(image.digest, digest);
    let contents: Vec<_> = image
        .layers
        .iter()
        .zip(["one", "two", "three"])
        .map(|(dir, name)| std::fs::read_to_string(dir.join(name)).expect(name))
        .collect();
    assert_eq!(contents, ["gzip", "zstd", "plain"]);
    assert_eq!(
        (image.config.entrypoint, image.config.cmd, image.config.env),
        (vec!["/bin/app".to_owned()], vec!["-v".to_owned()], vec!["A=1".to_owned()])
    );
    assert_eq!(
        (image.config.user.as_str(), image.config.working_dir.as_str(), image.config.stop_signal.as_deref()),
        ("7:8", "/srv", Some("SIGINT"))
    );
    assert_eq!(image.config.exposed_ports.first().map(|port| port.port), Some(8080));

    let by_digest = pull(&store, &registry.name(&format!("shop/web@{digest}")), None).await.expect("it is there");
    assert_eq!(by_digest.layers, image.layers);
}

#[tokio::test]
async fn a_docker_schema_2_image_is_pulled() {
    let registry = Registry::open();
    registry.push_image("old:1", &[layer("f", b"docker", Compression::Gzip)], &Image { docker: true, ..Image::default() }).await;
    let (_root, store) = store();
    let image = pull(&store, &registry.name("old:1"), None).await.expect("it is supported");
    assert_eq!(std::fs::read(image.layers[0].join("f")).expect("unpacked"), b"docker");
}

#[tokio::test]
async fn of_a_multi_platform_index_this_platform_is_pulled_and_a_missing_one_lists_what_there_is() {
    let registry = Registry::open();
    let mut entries = Vec::new();
    for architecture in ["arm64", "amd64"] {
        let layers = [layer("arch", architecture.as_bytes(), Compression::Gzip)];
        let image = Image { architecture, ..Image::default() };
        let digest = registry.push_image(&format!("multi:{architecture}"), &layers, &image).await;
        let (media_type, manifest) = image.manifest(&layers, &image.config(&layers));
        entries.push(json!({"mediaType": media_type, "digest": digest, "size": manifest.len(), "platform": {"os": "linux", "architecture": architecture}}));
    }
    let media_type = "application/vnd.oci.image.index.v1+json";
    let index = json!({"schemaVersion": 2, "mediaType": media_type, "manifests": entries}).to_string();
    let digest = registry.push_manifest("multi:1", media_type, index.as_bytes()).await;

    let (_root, amd) = store();
    for name in ["multi:1".to_owned(), format!("multi@{digest}")] {
        let image = pull(&amd, &registry.name(&name), None).await.expect("amd64 is there");
        assert_eq!(std::fs::read(image.layers[0].join("arch")).expect("unpacked"), b"amd64");
    }

    let root = TempDir::new().expect("a temporary directory");
    let mut settings = Settings::default();
    settings.platform.architecture = "s390x".to_owned();
    let store = Store::open(root.path(), settings).expect("a new store");
    match Fault::from(pull(&store, &registry.name("multi:1"), None).await.expect_err("no s390x")) {
        Fault::ImagePlatformMissing { wanted, available, .. } => {
            assert_eq!(wanted, "linux/s390x");
            assert_eq!(available, ["linux/amd64", "linux/arm64"]);
        }
        other => panic!("{other:?}"),
    }
    match pull(&store, &registry.name("multi:arm64"), None).await {
        Err(PullError::PlatformMissing { available, .. }) => assert_eq!(available, ["linux/arm64"]),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_registry_with_passwords_lets_in_who_has_one_and_tells_the_others() {
    let registry = Registry::with_htpasswd();
    registry.push("private:1", &[layer("f", b"secret", Compression::Gzip)]).await;
    let (_root, store) = store();
    let name = registry.name("private:1");
    match Fault::from(pull(&store, &name, None).await.expect_err("nobody is let in")) {
        Fault::RegistryLoginRefused { user: None, registry: host, .. } => assert_eq!(host, registry.host),
        other => panic!("{other:?}"),
    }
    let wrong = Credential::Password { user: "eve".to_owned(), password: "guess".to_owned() };
    match pull(&store, &name, Some(&wrong)).await {
        Err(PullError::LoginRefused { user, .. }) => assert_eq!(user.as_deref(), Some("eve")),
        other => panic!("{other:?}"),
    }
    pull(&store, &name, Some(&registry.credential())).await.expect("ada may");
}

#[tokio::test]
async fn a_stored_private_image_is_refused_to_who_cannot_pull_it_and_given_to_who_has_proven_it() {
    let registry = Registry::with_htpasswd();
    registry.push("private:2", &[layer("f", b"mine", Compression::Gzip)]).await;
    let (_root, store) = store();
    let name = registry.name("private:2");
    let image = pull(&store, &name, Some(&registry.credential())).await.expect("ada may");
    assert!(
        matches!(pull(&store, &name, None).await, Err(PullError::LoginRefused { .. })),
        "the cache is not a way around the registry"
    );
    drop(registry);
    let proven =
        store.pull(&name, None, PullPolicy::Proven(image.digest.clone()), silent()).await.expect("no registry is needed");
    assert_eq!(proven.layers, image.layers);
}

#[tokio::test]
async fn a_bearer_token_is_fetched_from_the_token_server() {
    let tokens = TokenServer::start().await;
    let registry =
        Registry::with_tokens(&tokens.realm, &tokens.certificate(), RegistryAuth::Basic(USER.to_owned(), PASSWORD.to_owned()));
    registry.push("team/app:1", &[layer("f", b"token", Compression::Zstd)]).await;
    let (_root, store) = store();
    let name = registry.name("team/app:1");
    assert!(matches!(pull(&store, &name, None).await, Err(PullError::LoginRefused { user: None, .. })));
    let image = pull(&store, &name, Some(&registry.credential())).await.expect("ada gets a token");
    assert_eq!(std::fs::read(image.layers[0].join("f")).expect("unpacked"), b"token");
}

#[tokio::test]
async fn a_registry_known_to_let_everybody_in_is_asked_for_manifests_only() {
    let registry = Registry::open();
    registry.push("shop/web:1", &[layer("f", b"x", Compression::Gzip)]).await;
    let (_root, store) = store();
    let name = registry.name("shop/web:1");
    // The first may have to learn how the registry is spoken to, the second whether it wants tokens.
    for _ in 0..2 {
        pull(&store, &name, None).await.expect("it is there");
    }
    let manifest = "GET /v2/shop/web/manifests/1 ";
    let before = registry.asked_until(manifest, 2).await.len();
    for _ in 0..3 {
        pull(&store, &name, None).await.expect("it is there");
    }
    let asked = registry.asked_until(manifest, 5).await;
    assert!(asked[before..].iter().all(|request| request.starts_with(manifest)), "{:#?}", &asked[before..]);
    assert_eq!(asked.len() - before, 3);
}

#[tokio::test]
async fn a_missing_repository_a_missing_tag_and_a_missing_digest_are_told_apart() {
    let registry = Registry::open();
    registry.push("there:1", &[layer("f", b"x", Compression::Gzip)]).await;
    let (_root, store) = store();
    match pull(&store, &registry.name("nowhere:1"), None).await {
        Err(PullError::NotFound { registry: host, .. }) => assert_eq!(host, registry.host),
        other => panic!("{other:?}"),
    }
    match pull(&store, &registry.name("there:2"), None).await {
        Err(PullError::TagNotFound { tag, .. }) => assert_eq!(tag, "2"),
        other => panic!("{other:?}"),
    }
    let digest = Digest::of(b"never pushed");
    match pull(&store, &registry.name(&format!("there@{digest}")), None).await {
        Err(PullError::TagNotFound { tag, .. }) => assert_eq!(tag, digest.as_str()),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn an_unknown_certificate_is_refused_and_a_trusted_one_accepted() {
    let registry = Registry::with_tls();
    registry.push("safe:1", &[layer("f", b"x", Compression::Gzip)]).await;
    let (_root, store) = store();
    match Fault::from(pull(&store, &registry.name("safe:1"), None).await.expect_err("nobody knows it")) {
        Fault::RegistryTlsFailed { reason, .. } => assert!(reason.contains("certificate"), "{reason}"),
        other => panic!("{other:?}"),
    }
    let trusting = Settings { extra_roots: vec![registry.root_certificate().expect("made").to_owned()], ..Settings::default() };
    let (_root, store) = store_with(trusting);
    pull(&store, &registry.name("safe:1"), None).await.expect("now it is trusted");
}

#[tokio::test]
async fn a_registry_beyond_loopback_is_spoken_to_in_plain_http_only_where_the_settings_list_it() {
    let registry = Registry::open();
    registry.push("plain:1", &[layer("f", b"x", Compression::Gzip)]).await;
    // The kernel takes 0.0.0.0 for this host, but it is no loopback address.
    let host = registry.host.replace("127.0.0.1", "0.0.0.0");
    let name: ImageName = format!("{host}/plain:1").parse().expect("valid");
    let (_root, store) = store();
    match pull(&store, &name, None).await {
        Err(PullError::Tls { registry, .. }) => assert_eq!(registry, host),
        other => panic!("{other:?}"),
    }
    let (_root, store) = store_with(Settings { plain_http: vec![host], ..Settings::default() });
    pull(&store, &name, None).await.expect("now it may");
}

#[tokio::test]
async fn a_registry_that_is_not_there_is_unreachable_and_says_why() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let name: ImageName = format!("{}/x:1", listener.local_addr().expect("bound")).parse().expect("valid");
    drop(listener);
    let (_root, store) = store();
    let (progress, events) = recorder();
    match store.pull(&name, None, PullPolicy::CheckRegistry, progress).await {
        Err(PullError::Unreachable { reason, .. }) => assert!(reason.contains("refused"), "{reason}"),
        other => panic!("{other:?}"),
    }
    let retries = events.lock().expect("no panic").iter().filter(|event| matches!(event, PullEvent::Retrying { .. })).count();
    assert_eq!(retries, 4, "five attempts in all");

    match pull(&store, &"registry.invalid/x:1".parse().expect("valid"), None).await {
        Err(PullError::Unreachable { registry, .. }) => assert_eq!(registry, "registry.invalid"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_broken_connection_is_resumed_where_it_broke() {
    let registry = Registry::open();
    let content = noise(3 << 20);
    registry.push("big:1", &[layer("big", &content, Compression::Gzip)]).await;
    let proxy = BreakingProxy::start(&registry.host, 1 << 20, 2).await;
    let (_root, store) = store();
    let name: ImageName = format!("{}/big:1", proxy.host).parse().expect("valid");
    let (progress, events) = recorder();
    let image = store.pull(&name, None, PullPolicy::CheckRegistry, progress).await.expect("it is resumed");
    assert_eq!(std::fs::read(image.layers[0].join("big")).expect("unpacked"), content);
    assert_eq!(proxy.broken.load(Ordering::SeqCst), 2);
    let received: Vec<u64> = events
        .lock()
        .expect("no panic")
        .iter()
        .filter_map(|event| match event {
            PullEvent::LayerBytes { received, .. } => Some(*received),
            _ => None,
        })
        .collect();
    assert!(received.is_sorted(), "nothing was downloaded twice: {received:?}");
}

#[tokio::test]
async fn a_connection_that_always_breaks_is_given_up_and_leaves_nothing_to_trust() {
    let registry = Registry::open();
    registry.push("big:1", &[layer("big", &noise(1 << 20), Compression::Gzip)]).await;
    let proxy = BreakingProxy::start(&registry.host, 2000, usize::MAX).await;
    let mut settings = Settings::default();
    settings.retry.attempts = 2;
    let (root, store) = store_with(settings);
    let name: ImageName = format!("{}/big:1", proxy.host).parse().expect("valid");
    // The proxy drops the piece that crosses its limit, so no attempt brings a byte of the layer.
    match pull(&store, &name, None).await {
        Err(PullError::Unreachable { .. }) => {}
        other => panic!("{other:?}"),
    }
    assert!(store.list().expect("readable").is_empty());
    assert_eq!(layer_dirs(root.path()), 0);
}

pub fn layer_dirs(root: &std::path::Path) -> usize {
    std::fs::read_dir(root.join("images/layers/sha256")).map_or(0, Iterator::count)
}

#[tokio::test]
async fn a_layer_that_is_not_what_its_digests_say_is_refused() {
    let registry = Registry::open();
    let (root, store) = store();
    // The registry checks blobs on the way in, so the lie is in the config: the diff id of another layer.
    let honest = layer("f", b"honest", Compression::Gzip);
    let lying = Layer { diff_id: Digest::of(b"something else"), ..honest.clone() };
    registry.push("lying:1", &[lying]).await;
    match Fault::from(pull(&store, &registry.name("lying:1"), None).await.expect_err("it lies")) {
        Fault::ImageDigestMismatch { expected, got, .. } => {
            assert_eq!(expected, Digest::of(b"something else").to_string());
            assert_eq!(got, honest.diff_id.to_string());
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(layer_dirs(root.path()), 0);
    assert_eq!(
        std::fs::read_dir(root.path().join("images/staging"))
            .expect("there")
            .filter(|entry| { entry.as_ref().is_ok_and(|entry| entry.path().is_dir()) })
            .count(),
        0,
        "what was unpacked is removed at once"
    );
}

#[tokio::test]
async fn a_byte_flipped_in_the_registry_is_noticed() {
    let registry = Registry::open();
    let good = layer("f", &noise(100_000), Compression::Plain);
    registry.push("flipped:1", std::slice::from_ref(&good)).await;
    registry.flip_byte(&good.digest());
    let (root, store) = store();
    match pull(&store, &registry.name("flipped:1"), None).await {
        Err(PullError::DigestMismatch { expected, .. }) => assert_eq!(expected, good.digest().to_string()),
        other => panic!("{other:?}"),
    }
    assert_eq!(layer_dirs(root.path()), 0);
}

#[tokio::test]
async fn two_pulls_at_once_download_each_layer_once() {
    let registry = Registry::open();
    let layers: Vec<_> = (0..4).map(|n| layer(&format!("f{n}"), &noise(300_000 + n), Compression::Gzip)).collect();
    registry.push("shared:1", &layers).await;
    registry.push("shared:2", &layers[..3]).await;
    let counting = BreakingProxy::start(&registry.host, usize::MAX, 0).await;
    let (_root, store) = store();
    let names: Vec<ImageName> = ["shared:1", "shared:2", "shared:1"]
        .iter()
        .map(|name| format!("{}/{name}", counting.host).parse().expect("valid"))
        .collect();
    let (progress, events) = recorder();
    let pulls = names.iter().map(|name| store.pull(name, None, PullPolicy::CheckRegistry, Arc::clone(&progress)));
    let images = futures::future::try_join_all(pulls).await.expect("all succeed");
    assert_eq!(images[0].layers, images[2].layers);
    assert_eq!(images[0].layers[..3], images[1].layers[..]);
    drop(events);
    assert_eq!(registry.blob_downloads(&layers[0].digest()), 1);
    assert_eq!(registry.blob_downloads(&layers[3].digest()), 1);
}

#[tokio::test]
async fn two_stores_on_one_directory_do_not_unpack_a_layer_twice() {
    let registry = Registry::open();
    let layers = [layer("f", &noise(2 << 20), Compression::Gzip)];
    registry.push("both:1", &layers).await;
    let (root, first) = store();
    let second = Store::open(root.path(), Settings::default()).expect("the same store again");
    let name = registry.name("both:1");
    let (a, b) = tokio::join!(pull(&first, &name, None), pull(&second, &name, None));
    assert_eq!(a.expect("one").layers, b.expect("other").layers);
    assert_eq!(registry.blob_downloads(&layers[0].digest()), 1);
}

#[tokio::test]
async fn a_pull_given_up_half_way_leaves_nothing_that_a_later_pull_trusts() {
    let registry = Registry::open();
    let content = noise(8 << 20);
    registry.push("long:1", &[layer("big", &content, Compression::Plain)]).await;
    let (root, store) = store();
    let (started, begun) = tokio::sync::oneshot::channel();
    let started = Mutex::new(Some(started));
    let progress: Progress = Arc::new(move |event| {
        if matches!(event, PullEvent::LayerBytes { .. })
            && let Some(started) = started.lock().expect("no panic").take()
        {
            let _ = started.send(());
        }
    });
    let name = registry.name("long:1");
    let pulling = {
        let (store, name) = (Arc::clone(&store), name.clone());
        tokio::spawn(async move { store.pull(&name, None, PullPolicy::CheckRegistry, progress).await })
    };
    begun.await.expect("bytes arrive");
    pulling.abort();
    let _ = pulling.await;
    assert!(store.list().expect("readable").is_empty());
    let image = pull(&store, &name, None).await.expect("a second try");
    assert_eq!(std::fs::read(image.layers[0].join("big")).expect("unpacked"), content);
    assert_eq!(layer_dirs(root.path()), 1);
}

#[tokio::test]
async fn an_artifact_that_is_no_image_and_an_unknown_layer_type_are_unsupported() {
    let registry = Registry::open();
    let (_root, store) = store();
    let odd = Layer { media_type: "application/vnd.example.wasm", ..layer("f", b"x", Compression::Plain) };
    registry.push("odd:1", &[odd]).await;
    match Fault::from(pull(&store, &registry.name("odd:1"), None).await.expect_err("not a layer")) {
        Fault::ImageUnsupported { reason, .. } => assert!(reason.contains("vnd.example.wasm"), "{reason}"),
        other => panic!("{other:?}"),
    }
}
