//! Talking to one registry about one image, as one user, with patience.

pub(crate) mod authorities;
mod clients;
mod open;
mod trouble;

use std::{future::Future, sync::Arc};

use bytes::Bytes;
use futures::StreamExt;
use oci_client::{Reference, client::BlobResponse, errors::OciDistributionError, secrets::RegistryAuth};
use tokio::sync::mpsc;

pub(crate) use clients::Clients;
use open::Open;
use trouble::Trouble;

use crate::{
    Credential, Digest, ImageName, Progress, PullError, PullEvent, Retry,
    backoff::{chance, pause},
    manifest::Descriptor,
    unpack::Piece,
};

const MANIFEST_TYPES: [&str; 4] = [
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.docker.distribution.manifest.v2+json",
];

const USER_AGENT: &str = concat!("pillion/", env!("CARGO_PKG_VERSION"));
/// A manifest larger than this is left to the client, whose caller refuses it by the limit in force.
const SMALL_MANIFEST: u64 = 1 << 20;

/// One image at its registry.
#[derive(Clone)]
pub(crate) struct Session {
    client: oci_client::Client,
    /// Asked first for manifests, once the client has been of use: only then may it be known to need no more.
    open: Option<Open>,
    auth: RegistryAuth,
    name: ImageName,
    user: Option<String>,
    retry: Retry,
    progress: Progress,
    reused: bool,
}

impl Session {
    pub(crate) async fn open(
        clients: &Arc<Clients>,
        name: &ImageName,
        credential: Option<&Credential>,
        retry: &Retry,
        progress: &Progress,
    ) -> Result<Session, PullError> {
        let (client, open, reused) = clients.get(name, credential).await?;
        Ok(Session {
            client,
            open: open.filter(|_| reused),
            reused,
            auth: auth(credential),
            name: name.clone(),
            user: credential.and_then(Credential::user).map(str::to_owned),
            retry: retry.clone(),
            progress: Arc::clone(progress),
        })
    }

    pub(crate) fn image(&self) -> String {
        self.name.to_string()
    }

    /// Returns true if its connections and tokens come from an earlier pull.
    pub(crate) fn is_reused(&self) -> bool {
        self.reused
    }

    /// Fetches the manifest the name stands for, or the one with this digest, checked against it.
    pub(crate) async fn manifest(&self, digest: Option<&Digest>) -> Result<(Bytes, Digest), PullError> {
        let reference = match digest {
            Some(digest) => self.name.pinned(digest),
            None => self.name.wire().clone(),
        };
        let open = match &self.open {
            Some(open) => open.manifest(&reference, &MANIFEST_TYPES, SMALL_MANIFEST).await,
            None => None,
        };
        let fetched = match open {
            Some(bytes) => Ok((bytes, String::new())),
            None => {
                self.patiently("the manifest", || self.client.pull_manifest_raw(&reference, &self.auth, &MANIFEST_TYPES)).await
            }
        };
        let bytes = match fetched {
            Ok((bytes, _)) => bytes,
            Err(Trouble::Missing) => return Err(self.what_is_missing(&reference).await),
            Err(trouble) => return Err(self.error(trouble)),
        };
        let wanted = digest.cloned().or_else(|| self.name.digest());
        let mut hasher = wanted.as_ref().map_or_else(|| Digest::of(b"").hasher(), Digest::hasher);
        hasher.update(&bytes);
        let got = hasher.finish();
        match wanted {
            Some(wanted) if wanted != got => Err(self.mismatch(&wanted, &got)),
            Some(_) | None => Ok((bytes, got)),
        }
    }

    /// Fetches a small blob into memory, checked against its digest and its announced size.
    pub(crate) async fn blob(&self, blob: &Descriptor) -> Result<Vec<u8>, PullError> {
        let (sender, mut receiver) = mpsc::channel(4);
        let mut bytes = Vec::new();
        let fetch = async {
            // Moved in, so that the receiver sees the end.
            let sender = sender;
            self.layer(blob, &sender, &|_| {}).await
        };
        let collect = async {
            while let Some(piece) = receiver.recv().await {
                match piece {
                    Piece::Bytes(piece) => bytes.extend_from_slice(&piece),
                    Piece::End => {}
                }
            }
        };
        let (fetched, ()) = tokio::join!(fetch, collect);
        fetched.map(|_| bytes)
    }

    /// Streams a blob into `out`, resuming where a connection broke, and ends it with [`Piece::End`] once it is verified.
    /// Returns early, without an error, if nobody reads `out` any more.
    pub(crate) async fn layer(
        &self,
        blob: &Descriptor,
        out: &mpsc::Sender<Piece>,
        received_bytes: &(dyn Fn(u64) + Sync),
    ) -> Result<Delivery, PullError> {
        let mut hasher = blob.digest.hasher();
        let mut received = 0_u64;
        let mut attempt = 0;
        while received < blob.size {
            let before = received;
            let trouble = match self.stream(blob, received).await {
                Err(trouble) => trouble,
                Ok((mut stream, mut skip)) => loop {
                    let chunk = match stream.next().await {
                        Some(Ok(chunk)) => chunk,
                        Some(Err(error)) => break Trouble::passing(&error),
                        None => break Trouble::Passing("the connection ended early".to_owned()),
                    };
                    let skipped = skip.min(chunk.len() as u64);
                    skip -= skipped;
                    let chunk = chunk.slice(skipped as usize..);
                    if chunk.len() as u64 > blob.size - received {
                        return Err(self.unsupported(format!("blob {} is larger than its manifest says", blob.digest)));
                    }
                    hasher.update(&chunk);
                    received += chunk.len() as u64;
                    received_bytes(received);
                    if out.send(Piece::Bytes(chunk)).await.is_err() {
                        return Ok(Delivery::Refused);
                    }
                    if received == blob.size {
                        break Trouble::Passing(String::new());
                    }
                },
            };
            if received == blob.size {
                break;
            }
            attempt = if received > before { 1 } else { attempt + 1 };
            match trouble {
                Trouble::Passing(reason) | Trouble::Busy(reason) if attempt < self.retry.attempts => {
                    self.wait(&format!("layer {}", blob.digest), attempt, reason).await
                }
                trouble => return Err(self.error(trouble)),
            }
        }
        let got = hasher.finish();
        if got != blob.digest {
            return Err(self.mismatch(&blob.digest, &got));
        }
        match out.send(Piece::End).await {
            Ok(()) => Ok(Delivery::Complete),
            Err(_) => Ok(Delivery::Refused),
        }
    }

    /// Opens a blob's stream at an offset; where the registry cannot, says how many bytes to skip.
    async fn stream(
        &self,
        blob: &Descriptor,
        offset: u64,
    ) -> Result<(futures::stream::BoxStream<'static, std::io::Result<Bytes>>, u64), Trouble> {
        // Without this a blob asked for before any manifest would go without credentials.
        self.client.store_auth_if_needed(self.name.wire().resolve_registry(), &self.auth).await;
        // Only the digest: a descriptor's own `urls` would let an image name addresses for this host to visit.
        match self.client.pull_blob_stream_partial(self.name.wire(), blob.digest.as_str(), offset, None).await {
            Ok(BlobResponse::Full(stream)) => Ok((stream.stream, offset)),
            Ok(BlobResponse::Partial(stream)) => Ok((stream.stream, 0)),
            Err(error) => Err(self.trouble(error).await),
        }
    }

    async fn patiently<T, F>(&self, what: &str, request: impl Fn() -> F) -> Result<T, Trouble>
    where
        F: Future<Output = Result<T, OciDistributionError>>,
    {
        let mut attempt = 1;
        loop {
            let trouble = match request().await {
                Ok(done) => return Ok(done),
                Err(error) => self.trouble(error).await,
            };
            match trouble {
                Trouble::Passing(reason) | Trouble::Busy(reason) if attempt < self.retry.attempts => {
                    self.wait(what, attempt, reason).await
                }
                trouble => return Err(trouble),
            }
            attempt += 1;
        }
    }

    async fn wait(&self, what: &str, attempt: u32, reason: String) {
        (self.progress)(PullEvent::Retrying { what: what.to_owned(), attempt, reason });
        tokio::time::sleep(pause(&self.retry, attempt, chance())).await;
    }

    /// Sorts an error. A refusal is looked at twice, because the client hides why it could not get a token.
    async fn trouble(&self, error: OciDistributionError) -> Trouble {
        let trouble = Trouble::from(error);
        if !matches!(trouble, Trouble::Refused) {
            return trouble;
        }
        match self.client.auth(self.name.wire(), &self.auth, oci_client::RegistryOperation::Pull).await {
            Ok(_) => Trouble::Refused,
            Err(error) => Trouble::from(error),
        }
    }

    /// Many registries say "manifest unknown" for both; their list of tags tells the repository from the tag.
    async fn what_is_missing(&self, reference: &Reference) -> PullError {
        let image = self.name.to_string();
        match self.client.list_tags(self.name.wire(), &self.auth, Some(1), None).await {
            Ok(_) => PullError::TagNotFound { image, tag: reference.digest().or(reference.tag()).unwrap_or("latest").to_owned() },
            Err(_) => PullError::NotFound { image, registry: self.name.registry().to_owned() },
        }
    }

    fn error(&self, trouble: Trouble) -> PullError {
        let (image, registry) = (self.name.to_string(), self.name.registry().to_owned());
        match trouble {
            Trouble::Refused => PullError::LoginRefused { image, registry, user: self.user.clone() },
            Trouble::Missing => PullError::NotFound { image, registry },
            Trouble::Tls(reason) => PullError::Tls { image, registry, reason },
            Trouble::Busy(_) => PullError::RateLimited { image, registry },
            Trouble::Passing(reason) | Trouble::Lasting(reason) => PullError::Unreachable { image, registry, reason },
            Trouble::Mismatch { expected, got } => PullError::DigestMismatch { image, expected, got },
            Trouble::Unsupported(reason) => PullError::Unsupported { image, reason },
        }
    }

    fn mismatch(&self, expected: &Digest, got: &Digest) -> PullError {
        PullError::DigestMismatch { image: self.name.to_string(), expected: expected.to_string(), got: got.to_string() }
    }

    fn unsupported(&self, reason: String) -> PullError {
        PullError::Unsupported { image: self.name.to_string(), reason }
    }
}

/// How a layer's delivery ended without an error of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Delivery {
    Complete,
    /// The reader went away: unpacking failed, and knows why.
    Refused,
}

fn auth(credential: Option<&Credential>) -> RegistryAuth {
    match credential {
        None => RegistryAuth::Anonymous,
        Some(Credential::Password { user, password }) => RegistryAuth::Basic(user.clone(), password.clone()),
        Some(Credential::Bearer { token }) => RegistryAuth::Bearer(token.clone()),
    }
}
