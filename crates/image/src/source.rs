//! Where an image comes from: a registry, or an OCI layout on disk.

use std::{io, path::PathBuf, sync::Arc};

use bytes::{Bytes, BytesMut};
use tokio::{io::AsyncReadExt, sync::mpsc};

use crate::{
    Digest, PullError,
    manifest::Descriptor,
    registry::{Delivery, Session},
    unpack::Piece,
};

/// Where an image comes from; cheap to clone.
#[derive(Clone)]
pub(crate) enum Source {
    Registry(Box<Session>),
    Layout(Layout),
}

/// An OCI layout directory, and the image's name for messages.
#[derive(Clone)]
pub(crate) struct Layout {
    pub(crate) dir: Arc<PathBuf>,
    pub(crate) image: String,
}

impl Source {
    /// Fetches a manifest or index; without a digest, the one the name stands for.
    pub(crate) async fn manifest(
        &self,
        which: Option<&Descriptor>,
        digest: Option<&Digest>,
        limit: u64,
    ) -> Result<(Bytes, Digest), PullError> {
        match (self, which) {
            (Source::Registry(session), which) => session.manifest(which.map(|which| &which.digest).or(digest)).await,
            (Source::Layout(layout), Some(which)) => {
                let bytes = layout.document(which, limit).await?;
                Ok((bytes.into(), which.digest.clone()))
            }
            (Source::Layout(layout), None) => {
                let path = layout.dir.join("index.json");
                let bytes = tokio::fs::read(&path).await.map_err(|error| layout.unreadable("index.json", &error))?;
                let digest = Digest::of(&bytes);
                Ok((bytes.into(), digest))
            }
        }
    }

    /// Fetches a small blob, checked.
    pub(crate) async fn document(&self, blob: &Descriptor, limit: u64) -> Result<Vec<u8>, PullError> {
        match self {
            Source::Registry(session) if blob.size > limit => Err(PullError::Unsupported {
                image: session.image(),
                reason: format!("document {} is larger than {limit} bytes", blob.digest),
            }),
            Source::Registry(session) => session.blob(blob).await,
            Source::Layout(layout) => layout.document(blob, limit).await,
        }
    }

    /// Streams a layer into `out`; see [`Session::layer`].
    pub(crate) async fn layer(
        &self,
        blob: &Descriptor,
        out: &mpsc::Sender<Piece>,
        received: &(dyn Fn(u64) + Sync),
    ) -> Result<Delivery, PullError> {
        match self {
            Source::Registry(session) => session.layer(blob, out, received).await,
            Source::Layout(layout) => layout.layer(blob, out, received).await,
        }
    }
}

impl Layout {
    async fn open(&self, blob: &Descriptor) -> Result<tokio::fs::File, PullError> {
        let path = self.dir.join("blobs").join(blob.digest.algorithm()).join(blob.digest.hex());
        tokio::fs::File::open(&path).await.map_err(|error| self.unreadable(blob.digest.as_str(), &error))
    }

    async fn document(&self, blob: &Descriptor, limit: u64) -> Result<Vec<u8>, PullError> {
        let mut bytes = Vec::new();
        let mut file = self.open(blob).await?.take(limit.min(blob.size) + 1);
        file.read_to_end(&mut bytes).await.map_err(|error| self.unreadable(blob.digest.as_str(), &error))?;
        let mut hasher = blob.digest.hasher();
        hasher.update(&bytes);
        self.check(blob, hasher.finish())?;
        Ok(bytes)
    }

    async fn layer(
        &self,
        blob: &Descriptor,
        out: &mpsc::Sender<Piece>,
        received: &(dyn Fn(u64) + Sync),
    ) -> Result<Delivery, PullError> {
        let mut file = self.open(blob).await?;
        let mut hasher = blob.digest.hasher();
        let mut total = 0;
        loop {
            let mut buffer = BytesMut::with_capacity(256 << 10);
            let amount = file.read_buf(&mut buffer).await.map_err(|error| self.unreadable(blob.digest.as_str(), &error))?;
            if amount == 0 {
                break;
            }
            hasher.update(&buffer);
            total += amount as u64;
            received(total);
            if out.send(Piece::Bytes(buffer.freeze())).await.is_err() {
                return Ok(Delivery::Refused);
            }
        }
        self.check(blob, hasher.finish())?;
        match out.send(Piece::End).await {
            Ok(()) => Ok(Delivery::Complete),
            Err(_) => Ok(Delivery::Refused),
        }
    }

    fn check(&self, blob: &Descriptor, got: Digest) -> Result<(), PullError> {
        if got == blob.digest {
            return Ok(());
        }
        Err(PullError::DigestMismatch { image: self.image.clone(), expected: blob.digest.to_string(), got: got.to_string() })
    }

    fn unreadable(&self, what: &str, error: &io::Error) -> PullError {
        PullError::Unsupported {
            image: self.image.clone(),
            reason: format!("{what} of the layout {} cannot be read: {error}", self.dir.display()),
        }
    }
}
