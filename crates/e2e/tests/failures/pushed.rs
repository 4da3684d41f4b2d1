//! Things that no builder makes, pushed to a registry by its HTTP API.

use pillion_e2e::Registry;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// What a layer holds.
pub enum Layer<'a> {
    File { path: &'a str, content: &'a [u8], mode: u32 },
}

/// Pushes an index that offers an image for these CPUs.
pub fn index(registry: &Registry, name: &str, image: &str, cpus: &[&str]) -> String {
    let (repository, _) = split(name);
    let bytes = copied(registry, image, repository);
    let digest = put(registry, &format!("{repository}/manifests/{}", digest(&bytes)), MANIFEST, &bytes);
    let manifests: Vec<Value> = cpus
        .iter()
        .map(|cpu| json!({ "mediaType": MANIFEST, "digest": digest, "size": bytes.len(), "platform": { "os": "linux", "architecture": cpu } }))
        .collect();
    tagged(registry, name, INDEX, &json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": manifests }))
}

/// Pushes an image with one more layer.
pub fn with_layer(registry: &Registry, name: &str, image: &str, layer: &Layer<'_>) -> String {
    changed(registry, name, image, |manifest, config| {
        let tar = layer.tar();
        let digest = upload(registry, split(name).0, &tar);
        config["rootfs"]["diff_ids"].as_array_mut().expect("diff ids").push(json!(digest));
        config.as_object_mut().expect("a configuration").remove("history");
        manifest["layers"].as_array_mut().expect("layers").push(json!({
            "mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": digest, "size": tar.len()
        }));
    })
}

/// Pushes an image that says nothing of what to run.
pub fn without_command(registry: &Registry, name: &str, image: &str) -> String {
    changed(registry, name, image, |_, config| {
        let run = config["config"].as_object_mut().expect("what to run");
        run.remove("Entrypoint");
        run.remove("Cmd");
    })
}

fn changed(registry: &Registry, name: &str, image: &str, change: impl FnOnce(&mut Value, &mut Value)) -> String {
    let (repository, _) = split(name);
    let mut manifest: Value = serde_json::from_slice(&copied(registry, image, repository)).expect("a manifest");
    let config = manifest["config"]["digest"].as_str().expect("a digest").to_owned();
    let mut config: Value = serde_json::from_slice(&blob(registry, image, &config)).expect("a configuration");
    change(&mut manifest, &mut config);
    let config = config.to_string().into_bytes();
    manifest["config"]["digest"] = json!(upload(registry, repository, &config));
    manifest["config"]["size"] = json!(config.len());
    tagged(registry, name, MANIFEST, &manifest)
}

/// Pushes what is no container image: a package of another tool.
pub fn chart(registry: &Registry, name: &str) -> String {
    let (repository, _) = split(name);
    let config = b"{\"name\":\"chart\"}";
    let content = b"a package of something else";
    let manifest = json!({
        "schemaVersion": 2, "mediaType": MANIFEST,
        "config": { "mediaType": "application/vnd.cncf.helm.config.v1+json", "digest": upload(registry, repository, config), "size": config.len() },
        "layers": [{ "mediaType": "application/vnd.cncf.helm.chart.content.v1.tar+gzip", "digest": upload(registry, repository, content), "size": content.len() }]
    });
    tagged(registry, name, MANIFEST, &manifest)
}

impl Layer<'_> {
    fn tar(&self) -> Vec<u8> {
        let Layer::File { path, content, mode } = self;
        let mut header = tar::Header::new_gnu();
        // `set_path` refuses what a hostile builder would write.
        header.as_mut_bytes()[..path.len()].copy_from_slice(path.as_bytes());
        header.set_size(content.len() as u64);
        header.set_mode(*mode);
        header.set_cksum();
        let mut builder = tar::Builder::new(Vec::new());
        builder.append(&header, *content).expect("a tar in memory");
        builder.into_inner().expect("a tar in memory")
    }
}

/// Copies an image's blobs into another repository of the registry; returns its manifest.
fn copied(registry: &Registry, image: &str, repository: &str) -> Vec<u8> {
    let (from, tag) = split(image.trim_start_matches(&format!("{}/", registry.host())));
    let url = format!("http://{}/v2/{from}/manifests/{tag}", registry.host());
    let bytes = agent()
        .get(url)
        .header("Accept", MANIFEST)
        .call()
        .expect("the manifest is there")
        .body_mut()
        .read_to_vec()
        .expect("its text");
    let manifest: Value = serde_json::from_slice(&bytes).expect("a manifest");
    let layers = manifest["layers"].as_array().cloned().unwrap_or_default();
    for part in layers.iter().chain([&manifest["config"]]) {
        let digest = part["digest"].as_str().expect("a digest");
        upload(registry, repository, &blob(registry, image, digest));
    }
    bytes
}

fn blob(registry: &Registry, image: &str, digest: &str) -> Vec<u8> {
    let (from, _) = split(image.trim_start_matches(&format!("{}/", registry.host())));
    let url = format!("http://{}/v2/{from}/blobs/{digest}", registry.host());
    let mut answer = agent().get(url).call().expect("the blob is there");
    answer.body_mut().with_config().limit(1 << 30).read_to_vec().expect("its bytes")
}

fn upload(registry: &Registry, repository: &str, bytes: &[u8]) -> String {
    let digest = digest(bytes);
    let started = agent()
        .post(format!("http://{}/v2/{repository}/blobs/uploads/", registry.host()))
        .send_empty()
        .expect("an upload starts");
    let place = started.headers()["location"].to_str().expect("a place").to_owned();
    let place = if place.starts_with('/') { format!("http://{}{place}", registry.host()) } else { place };
    let mark = if place.contains('?') { '&' } else { '?' };
    agent()
        .put(format!("{place}{mark}digest={digest}"))
        .header("Content-Type", "application/octet-stream")
        .send(bytes)
        .expect("the upload ends");
    digest
}

fn tagged(registry: &Registry, name: &str, kind: &str, manifest: &Value) -> String {
    let (repository, tag) = split(name);
    put(registry, &format!("{repository}/manifests/{tag}"), kind, manifest.to_string().as_bytes());
    format!("{}/{name}", registry.host())
}

fn put(registry: &Registry, at: &str, kind: &str, bytes: &[u8]) -> String {
    agent()
        .put(format!("http://{}/v2/{at}", registry.host()))
        .header("Content-Type", kind)
        .send(bytes)
        .expect("the manifest is pushed");
    digest(bytes)
}

fn digest(bytes: &[u8]) -> String {
    let hex: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hex}")
}

fn split(name: &str) -> (&str, &str) {
    name.rsplit_once(':').expect("a name with a tag")
}

fn agent() -> ureq::Agent {
    ureq::Agent::new_with_defaults()
}
