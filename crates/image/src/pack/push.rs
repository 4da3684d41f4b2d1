//! Sending an image layout to a registry.

use std::{
    future::Future,
    io,
    path::{Path, PathBuf},
};

use futures::TryStreamExt;
use oci_client::{
    Reference, RegistryOperation,
    client::{Certificate, CertificateEncoding, Client, ClientConfig, ClientProtocol},
    errors::{OciDistributionError, OciErrorCode},
    secrets::RegistryAuth,
};
use pillion_fault::Fault;
use serde::Deserialize;

use super::layout::MANIFEST_TYPE;
use crate::{
    Credential, Digest, ImageName, Retry, Settings,
    backoff::{chance, pause},
    registry::authorities,
};

/// An index or manifest larger than this is none.
const MAX_DOCUMENT: u64 = 4 << 20;
const PIECE: usize = 256 << 10;

/// What a push did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pushed {
    /// The name pinned to what was pushed.
    pub pinned: String,
    pub digest: Digest,
    /// Bytes sent; what the registry had already does not count.
    pub sent: u64,
}

/// Why a push failed.
#[derive(Debug, thiserror::Error)]
pub enum PushError {
    #[error("{path:?} is no image layout with exactly one image")]
    NoLayout { path: PathBuf },
    #[error("could not read {path:?}")]
    Read { path: PathBuf, source: io::Error },
    #[error("{path:?} is not what it should be")]
    Document { path: PathBuf, source: serde_json::Error },
    #[error("image {image:?} can be pushed by tag, not by digest")]
    Pinned { image: String },
    #[error("registry {registry} did not let {} push {image:?}", user.as_deref().map_or("anonymous users".to_owned(), |user| format!("user {user:?}")))]
    Refused { image: String, registry: String, user: Option<String> },
    #[error("could not push {image:?}: this machine has no certificate authorities")]
    NoAuthorities { image: String },
    #[error("could not push {image:?} to {registry}")]
    Registry { image: String, registry: String, source: Box<OciDistributionError> },
}

impl From<&PushError> for Fault {
    fn from(error: &PushError) -> Fault {
        match error {
            PushError::NoLayout { .. } | PushError::Read { .. } | PushError::Document { .. } => {
                Fault::Internal { doing: "reading an image layout".to_owned(), reason: chain(error) }
            }
            PushError::Pinned { image } => {
                Fault::ImageNameInvalid { image: image.clone(), reason: "a push needs a tag, not a digest".to_owned() }
            }
            PushError::Refused { image, registry, user } => {
                Fault::RegistryLoginRefused { image: image.clone(), registry: registry.clone(), user: user.clone() }
            }
            PushError::NoAuthorities { .. } => authorities::missing(),
            PushError::Registry { image, registry, source } => {
                Fault::RegistryUnreachable { image: image.clone(), registry: registry.clone(), reason: chain(source.as_ref()) }
            }
        }
    }
}

#[derive(Deserialize)]
struct Index {
    manifests: Vec<Descriptor>,
}

#[derive(Deserialize)]
struct Manifest {
    config: Descriptor,
    layers: Vec<Descriptor>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Descriptor {
    digest: Digest,
    size: u64,
    media_type: Option<String>,
}

/// Sends the one image of a layout to where `name` says, over plain HTTP on loopback and where `settings` list the registry.
/// Blobs that the registry has are not sent again; the manifest comes last, so that nobody pulls half an image. A transfer
/// that breaks is tried again as often as `settings.retry` says.
///
/// # Errors
/// [`PushError`]; blobs that were sent stay with the registry, which forgets them in time.
pub async fn push(
    layout: &Path,
    name: &ImageName,
    credential: Option<&Credential>,
    settings: &Settings,
) -> Result<Pushed, PushError> {
    if name.digest().is_some() {
        return Err(PushError::Pinned { image: name.to_string() });
    }
    let index: Index = document(&layout.join("index.json")).await?.1;
    let [image] = index.manifests.as_slice() else {
        return Err(PushError::NoLayout { path: layout.to_owned() });
    };
    let (bytes, manifest): (Vec<u8>, Manifest) = document(&blob_path(layout, &image.digest)).await?;
    let target = Target::new(name, credential, settings)?;
    target.login().await?;
    let mut sent = 0;
    for blob in manifest.layers.iter().chain([&manifest.config]) {
        sent += target.patiently(|| target.blob(layout, blob)).await?;
    }
    let media_type = image.media_type.as_deref().unwrap_or(MANIFEST_TYPE);
    sent += bytes.len() as u64;
    target.patiently(|| target.manifest(bytes.clone(), media_type)).await?;
    let pinned = format!("{}/{}@{}", name.registry(), name.repository(), image.digest);
    Ok(Pushed { pinned, digest: image.digest.clone(), sent })
}

/// One image name at its registry, as one user.
struct Target<'a> {
    client: Client,
    auth: RegistryAuth,
    name: &'a ImageName,
    wire: &'a Reference,
    user: Option<&'a str>,
    retry: &'a Retry,
}

impl<'a> Target<'a> {
    fn new(name: &'a ImageName, credential: Option<&'a Credential>, settings: &'a Settings) -> Result<Self, PushError> {
        // Fails only if a provider is installed already, which is as good.
        drop(rustls::crypto::ring::default_provider().install_default());
        let plain = name.registry_is_loopback() || settings.plain_http.iter().any(|registry| registry == name.registry());
        let certificate = |pem: &String| Certificate { encoding: CertificateEncoding::Pem, data: pem.clone().into_bytes() };
        let config = ClientConfig {
            protocol: if plain { ClientProtocol::Http } else { ClientProtocol::Https },
            extra_root_certificates: settings.extra_roots.iter().map(certificate).collect(),
            connect_timeout: Some(settings.retry.connect_timeout),
            read_timeout: Some(settings.retry.read_timeout),
            user_agent: concat!("pillion/", env!("CARGO_PKG_VERSION")),
            ..ClientConfig::default()
        };
        let auth = match credential {
            None => RegistryAuth::Anonymous,
            Some(Credential::Password { user, password }) => RegistryAuth::Basic(user.clone(), password.clone()),
            Some(Credential::Bearer { token }) => RegistryAuth::Bearer(token.clone()),
        };
        let user = credential.and_then(Credential::user);
        if !authorities::are_known() {
            return Err(PushError::NoAuthorities { image: name.to_string() });
        }
        let client = Client::try_from(config).map_err(|source| registry_error(name, user, source))?;
        Ok(Self { client, auth, name, wire: name.wire(), user, retry: &settings.retry })
    }

    async fn login(&self) -> Result<(), PushError> {
        let answer = self.client.auth(self.wire, &self.auth, RegistryOperation::Push).await;
        answer.map(drop).map_err(|source| self.error(source))
    }

    /// Tries again what may work the next time, after pauses that double.
    async fn patiently<T, F: Future<Output = Result<T, PushError>>>(&self, request: impl Fn() -> F) -> Result<T, PushError> {
        let mut attempt = 1;
        loop {
            match request().await {
                Err(PushError::Registry { source, .. }) if attempt < self.retry.attempts && passing(&source) => {
                    tracing::debug!(attempt, error = chain(source.as_ref()), "a push is tried again");
                    tokio::time::sleep(pause(self.retry, attempt, chance())).await;
                    attempt += 1;
                }
                done => return done,
            }
        }
    }

    /// Sends a blob unless the registry has it; returns the bytes sent.
    async fn blob(&self, layout: &Path, blob: &Descriptor) -> Result<u64, PushError> {
        // A registry that hides what it has from this user says no here and still takes the blob.
        if self.client.blob_exists(self.wire, blob.digest.as_str()).await.unwrap_or(false) {
            return Ok(0);
        }
        let path = blob_path(layout, &blob.digest);
        let file = tokio::fs::File::open(&path).await.map_err(|source| PushError::Read { path, source })?;
        let pieces = tokio_util::io::ReaderStream::with_capacity(file, PIECE).map_err(OciDistributionError::IoError);
        let sent = self.client.push_blob_stream(self.wire, pieces, blob.digest.as_str(), Some(blob.size)).await;
        sent.map_err(|source| self.error(source))?;
        Ok(blob.size)
    }

    async fn manifest(&self, bytes: Vec<u8>, media_type: &str) -> Result<(), PushError> {
        let media_type = media_type.parse().map_err(|_| PushError::NoLayout { path: PathBuf::from(media_type) })?;
        let answer = self.client.push_manifest_raw(self.wire, bytes, media_type).await;
        answer.map(drop).map_err(|source| self.error(source))
    }

    fn error(&self, source: OciDistributionError) -> PushError {
        registry_error(self.name, self.user, source)
    }
}

fn registry_error(name: &ImageName, user: Option<&str>, source: OciDistributionError) -> PushError {
    let (image, registry) = (name.to_string(), name.registry().to_owned());
    let refused = match &source {
        OciDistributionError::UnauthorizedError { .. } | OciDistributionError::AuthenticationFailure(_) => true,
        OciDistributionError::ServerError { code, .. } => matches!(code, 401 | 403),
        OciDistributionError::RegistryError { envelope, .. } => {
            envelope.errors.iter().any(|error| matches!(error.code, OciErrorCode::Unauthorized | OciErrorCode::Denied))
        }
        _ => false,
    };
    if refused {
        return PushError::Refused { image, registry, user: user.map(str::to_owned) };
    }
    PushError::Registry { image, registry, source: Box::new(source) }
}

/// Returns true for broken connections and for a registry that is busy or ill at the moment.
fn passing(error: &OciDistributionError) -> bool {
    match error {
        OciDistributionError::RequestError(error) => !error.is_builder() && !error.is_redirect(),
        OciDistributionError::IoError(_) => true,
        OciDistributionError::ServerError { code, .. } => matches!(code, 408 | 429 | 500..=599),
        // The client's own enum, with thirty ways to fail for good.
        _ => false,
    }
}

async fn document<T: for<'de> Deserialize<'de>>(path: &Path) -> Result<(Vec<u8>, T), PushError> {
    let failed = |source| PushError::Read { path: path.to_owned(), source };
    let length = tokio::fs::metadata(path).await.map_err(failed)?.len();
    if length > MAX_DOCUMENT {
        return Err(PushError::NoLayout { path: path.to_owned() });
    }
    let bytes = tokio::fs::read(path).await.map_err(failed)?;
    let value = serde_json::from_slice(&bytes).map_err(|source| PushError::Document { path: path.to_owned(), source })?;
    Ok((bytes, value))
}

fn blob_path(layout: &Path, digest: &Digest) -> PathBuf {
    layout.join("blobs").join(digest.algorithm()).join(digest.hex())
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text = format!("{text}: {cause}");
        next = cause.source();
    }
    text
}
