//! Manifests, indexes and configs: OCI and Docker schema 2, read into what a pull needs.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use crate::{Digest, ExposedPort, ImageConfig, Platform, PullError};

/// What a manifest says about a blob.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Descriptor {
    #[serde(default)]
    pub(crate) media_type: String,
    pub(crate) digest: Digest,
    pub(crate) size: u64,
    platform: Option<EntryPlatform>,
    #[serde(default)]
    pub(crate) annotations: BTreeMap<String, String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct EntryPlatform {
    #[serde(default)]
    os: String,
    #[serde(default)]
    architecture: String,
    variant: Option<String>,
}

/// A document that a registry keeps under a tag.
#[derive(Debug)]
pub(crate) enum Manifest {
    Index(Vec<Descriptor>),
    Image { config: Descriptor, layers: Vec<Descriptor> },
}

impl Manifest {
    /// # Errors
    /// It is no image, or one in a form that is not supported.
    pub(crate) fn parse(image: &str, bytes: &[u8]) -> Result<Manifest, PullError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Document {
            schema_version: Option<i64>,
            config: Option<Descriptor>,
            layers: Option<Vec<Descriptor>>,
            manifests: Option<Vec<Descriptor>>,
        }
        let unsupported = |reason: String| PullError::Unsupported { image: image.to_owned(), reason };
        let document: Document =
            serde_json::from_slice(bytes).map_err(|error| unsupported(format!("its manifest cannot be read: {error}")))?;
        match (document.schema_version, document.manifests, document.config, document.layers) {
            (Some(1), ..) => Err(unsupported("its manifest is of Docker schema 1; push it again with a newer tool".to_owned())),
            (Some(2), Some(manifests), None, None) => Ok(Manifest::Index(manifests)),
            (Some(2), None, Some(config), Some(layers)) => match config.media_type.as_str() {
                "application/vnd.oci.image.config.v1+json" | "application/vnd.docker.container.image.v1+json" => {
                    Ok(Manifest::Image { config, layers })
                }
                other => Err(unsupported(format!("it is an artifact of type `{other}`, not a container image"))),
            },
            _ => Err(unsupported("its manifest is neither an image nor an index".to_owned())),
        }
    }
}

/// Chooses the entry of an index for `wanted`; one without a variant before others.
pub(crate) fn choose<'a>(image: &str, entries: &'a [Descriptor], wanted: &Platform) -> Result<&'a Descriptor, PullError> {
    let fits =
        |entry: &&Descriptor| entry.platform.as_ref().is_some_and(|p| p.os == wanted.os && p.architecture == wanted.architecture);
    let rank = |entry: &&Descriptor| match entry.platform.as_ref().and_then(|p| p.variant.as_deref()) {
        None | Some("") => 0,
        Some("v8" | "v1") => 1,
        Some(_) => 2,
    };
    if let Some(entry) = entries.iter().filter(fits).min_by_key(rank) {
        return Ok(entry);
    }
    // Some tools write the platform only into the config, which is checked later.
    if let [entry] = entries
        && entry.platform.is_none()
    {
        return Ok(entry);
    }
    // Attestations are listed as `unknown/unknown`.
    let available: BTreeSet<String> = entries
        .iter()
        .filter_map(|entry| entry.platform.as_ref())
        .filter(|platform| platform.os != "unknown")
        .map(|platform| format!("{}/{}", platform.os, platform.architecture))
        .collect();
    Err(PullError::PlatformMissing {
        image: image.to_owned(),
        wanted: wanted.to_string(),
        available: available.into_iter().collect(),
    })
}

/// Refuses a layer that is something else, by media type.
pub(crate) fn check_layer(image: &str, layer: &Descriptor) -> Result<(), PullError> {
    let media_type = layer.media_type.as_str();
    let layer_type = [
        "application/vnd.oci.image.layer.v1.tar",
        "application/vnd.oci.image.layer.nondistributable.v1.tar",
        "application/vnd.docker.image.rootfs.diff.tar",
        "application/vnd.docker.image.rootfs.foreign.diff.tar",
    ]
    .iter()
    .find_map(|known| media_type.strip_prefix(known));
    match layer_type {
        Some("" | "+gzip" | "+zstd" | ".gzip" | ".zstd") => Ok(()),
        Some(_) | None => Err(PullError::Unsupported {
            image: image.to_owned(),
            reason: format!("a layer has the unknown media type `{media_type}`"),
        }),
    }
}

/// An image's config as far as a pull and a run need it.
#[derive(Debug)]
pub(crate) struct Config {
    pub(crate) diff_ids: Vec<Digest>,
    pub(crate) run: ImageConfig,
    os: String,
    architecture: String,
}

impl Config {
    pub(crate) fn parse(bytes: &[u8]) -> Result<Config, serde_json::Error> {
        let document: ConfigDocument = serde_json::from_slice(bytes)?;
        let run = document.config.unwrap_or_default();
        Ok(Config {
            diff_ids: document.rootfs.diff_ids,
            os: document.os,
            architecture: document.architecture,
            run: ImageConfig {
                entrypoint: run.entrypoint.unwrap_or_default(),
                cmd: run.cmd.unwrap_or_default(),
                env: run.env.unwrap_or_default(),
                working_dir: run.working_dir.unwrap_or_default(),
                user: run.user.unwrap_or_default(),
                stop_signal: run.stop_signal.filter(|signal| !signal.is_empty()),
                exposed_ports: run.exposed_ports.unwrap_or_default().keys().filter_map(|port| exposed_port(port)).collect(),
                volumes: run.volumes.unwrap_or_default().into_keys().collect(),
                labels: run.labels.unwrap_or_default(),
            },
        })
    }

    pub(crate) fn check_platform(&self, image: &str, wanted: &Platform) -> Result<(), PullError> {
        let fits = |has: &str, wants: &str| has.is_empty() || has == wants;
        if fits(&self.os, &wanted.os) && fits(&self.architecture, &wanted.architecture) {
            return Ok(());
        }
        Err(PullError::PlatformMissing {
            image: image.to_owned(),
            wanted: wanted.to_string(),
            available: vec![format!("{}/{}", self.os, self.architecture)],
        })
    }
}

#[derive(Deserialize)]
struct ConfigDocument {
    #[serde(default)]
    os: String,
    #[serde(default)]
    architecture: String,
    config: Option<RunDocument>,
    rootfs: RootFs,
}

#[derive(Deserialize)]
struct RootFs {
    diff_ids: Vec<Digest>,
}

// Docker writes `null` for what is empty.
#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RunDocument {
    entrypoint: Option<Vec<String>>,
    cmd: Option<Vec<String>>,
    env: Option<Vec<String>>,
    working_dir: Option<String>,
    user: Option<String>,
    stop_signal: Option<String>,
    exposed_ports: Option<BTreeMap<String, serde_json::Value>>,
    volumes: Option<BTreeMap<String, serde_json::Value>>,
    labels: Option<BTreeMap<String, String>>,
}

/// Reads `8080/tcp` or `8080`.
fn exposed_port(text: &str) -> Option<ExposedPort> {
    let (port, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    Some(ExposedPort { port: port.parse().ok()?, protocol: protocol.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(os: &str, architecture: &str, variant: Option<&str>, content: &str) -> Descriptor {
        Descriptor {
            media_type: String::new(),
            digest: Digest::of(content.as_bytes()),
            size: 1,
            platform: Some(EntryPlatform {
                os: os.to_owned(),
                architecture: architecture.to_owned(),
                variant: variant.map(str::to_owned),
            }),
            annotations: BTreeMap::new(),
        }
    }

    #[test]
    fn an_index_gives_the_plain_variant_of_the_wanted_platform() {
        let entries = [
            entry("linux", "arm64", Some("v8"), "a"),
            entry("linux", "amd64", Some("v3"), "b"),
            entry("linux", "amd64", None, "c"),
            entry("unknown", "unknown", None, "d"),
        ];
        let wanted = |architecture: &str| Platform { os: "linux".to_owned(), architecture: architecture.to_owned() };
        assert_eq!(choose("x", &entries, &wanted("amd64")).expect("there").digest, Digest::of(b"c"));
        assert_eq!(choose("x", &entries, &wanted("arm64")).expect("there").digest, Digest::of(b"a"));
        match choose("x", &entries, &wanted("s390x")) {
            Err(PullError::PlatformMissing { available, .. }) => assert_eq!(available, ["linux/amd64", "linux/arm64"]),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_is_not_an_image_is_refused_by_name() {
        let helm = br#"{"schemaVersion":2,"config":{"mediaType":"application/vnd.cncf.helm.config.v1+json","digest":"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","size":0},"layers":[]}"#;
        for (bytes, says) in
            [(&helm[..], "helm"), (br#"{"schemaVersion":1}"#, "schema 1"), (b"{}", "neither"), (b"<html>", "cannot be read")]
        {
            match Manifest::parse("x", bytes) {
                Err(PullError::Unsupported { reason, .. }) => assert!(reason.contains(says), "{reason}"),
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn a_config_with_nulls_is_read() {
        let config = Config::parse(
            br#"{"os":"linux","architecture":"amd64","config":{"Cmd":null,"Env":["A=b"],"ExposedPorts":{"80/tcp":{},"53/udp":{}}},"rootfs":{"type":"layers","diff_ids":[]}}"#,
        )
        .expect("it is valid");
        assert_eq!(config.run.env, ["A=b"]);
        assert!(config.run.cmd.is_empty());
        assert_eq!(config.run.exposed_ports.iter().map(|port| port.port).collect::<Vec<_>>(), [53, 80]);
    }
}
