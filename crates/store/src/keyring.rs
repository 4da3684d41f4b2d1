//! The keys that secrets are encrypted with: files in `keys/`, numbered; the highest number encrypts, all decrypt.

use std::{
    collections::BTreeMap,
    fs::{self, DirBuilder, File, OpenOptions},
    io::{Read, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use chacha20poly1305::{
    XChaCha20Poly1305, XNonce,
    aead::{Aead, AeadCore, KeyInit, OsRng, Payload},
};

use crate::StoreError;

/// All keys there are.
pub(crate) struct Keyring {
    directory: PathBuf,
    keys: BTreeMap<u32, XChaCha20Poly1305>,
}

/// A secret as it lies in its row.
pub(crate) struct Sealed {
    pub(crate) key_id: u32,
    pub(crate) nonce: Vec<u8>,
    pub(crate) ciphertext: Vec<u8>,
}

/// The row that a ciphertext belongs to. It is authenticated with it, so a ciphertext moved elsewhere does not decrypt.
pub(crate) enum Row<'a> {
    Secret { app: &'a str, name: &'a str, version: u64 },
    Document { kind: &'a str, key: &'a str, etag: u64 },
}

impl Row<'_> {
    fn refused(&self, reason: &'static str) -> StoreError {
        match self {
            Row::Secret { app, name, .. } => StoreError::Secret { app: (*app).to_owned(), name: (*name).to_owned(), reason },
            Row::Document { kind, key, .. } => StoreError::Sealed { kind: (*kind).to_owned(), key: (*key).to_owned(), reason },
        }
    }

    /// Decodes what was unsealed from this row as text.
    pub(crate) fn text(&self, plain: Vec<u8>) -> Result<String, StoreError> {
        String::from_utf8(plain).map_err(|_| self.refused("it is not text"))
    }
}

impl Keyring {
    /// Reads all keys in `directory`, making it and a first key where there is none.
    pub(crate) fn open(directory: &Path) -> Result<Keyring, StoreError> {
        if !directory.exists() {
            DirBuilder::new().mode(0o700).create(directory).map_err(|source| StoreError::File {
                doing: "make the key directory",
                path: directory.to_owned(),
                source,
            })?;
        }
        let mut ring = Keyring { directory: directory.to_owned(), keys: BTreeMap::new() };
        let entries = fs::read_dir(directory).map_err(|source| StoreError::File {
            doing: "list the key directory",
            path: directory.to_owned(),
            source,
        })?;
        for entry in entries {
            let entry = entry.map_err(|source| StoreError::File {
                doing: "list the key directory",
                path: directory.to_owned(),
                source,
            })?;
            let path = entry.path();
            // A temporary file of a key that was never finished has another ending.
            if let Some(id) =
                path.file_name().and_then(|n| n.to_str()).and_then(|n| n.strip_suffix(".key")).and_then(|n| n.parse().ok())
            {
                ring.keys.insert(id, read_key(&path)?);
            }
        }
        if ring.keys.is_empty() {
            ring.add_key()?;
        }
        Ok(ring)
    }

    /// Makes a new key, durable before it is used; it encrypts from now on.
    pub(crate) fn add_key(&mut self) -> Result<u32, StoreError> {
        let id = self.keys.keys().last().map_or(1, |last| last + 1);
        let path = self.directory.join(format!("{id}.key"));
        let fresh = self.directory.join(format!("{id}.key.new"));
        let key = XChaCha20Poly1305::generate_key(&mut OsRng);
        let write = || -> std::io::Result<()> {
            let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&fresh)?;
            file.write_all(&key)?;
            file.sync_all()?;
            fs::rename(&fresh, &path)?;
            File::open(&self.directory)?.sync_all()
        };
        write().map_err(|source| StoreError::File { doing: "write the key file", path: path.clone(), source })?;
        self.keys.insert(id, XChaCha20Poly1305::new(&key));
        Ok(id)
    }

    pub(crate) fn seal(&self, row: &Row<'_>, plain: &[u8]) -> Result<Sealed, StoreError> {
        let refused = |reason| row.refused(reason);
        let (key_id, key) = self.keys.last_key_value().ok_or_else(|| refused("there is no key"))?;
        let nonce = XChaCha20Poly1305::generate_nonce(&mut OsRng);
        let aad = associated_data(row, *key_id);
        let ciphertext = key.encrypt(&nonce, Payload { msg: plain, aad: &aad }).map_err(|_| refused("it is too long"))?;
        Ok(Sealed { key_id: *key_id, nonce: nonce.to_vec(), ciphertext })
    }

    pub(crate) fn unseal(&self, row: &Row<'_>, sealed: &Sealed) -> Result<Vec<u8>, StoreError> {
        let refused = |reason| row.refused(reason);
        let key = self.keys.get(&sealed.key_id).ok_or_else(|| refused("its key is gone"))?;
        if sealed.nonce.len() != 24 {
            return Err(refused("its nonce has the wrong length"));
        }
        let aad = associated_data(row, sealed.key_id);
        key.decrypt(XNonce::from_slice(&sealed.nonce), Payload { msg: &sealed.ciphertext, aad: &aad })
            .map_err(|_| refused("it was changed, or belongs elsewhere"))
    }
}

/// Every part with its length before it, so that no two rows give the same bytes.
fn associated_data(row: &Row<'_>, key_id: u32) -> Vec<u8> {
    // The first word differs, so that no secret's row gives the bytes of a document's.
    let (mut data, parts, version) = match row {
        Row::Secret { app, name, version } => (b"pillion secret 1\0".to_vec(), [app, name], version),
        Row::Document { kind, key, etag } => (b"pillion document 1\0".to_vec(), [kind, key], etag),
    };
    for part in parts {
        data.extend_from_slice(&(part.len() as u64).to_le_bytes());
        data.extend_from_slice(part.as_bytes());
    }
    data.extend_from_slice(&version.to_le_bytes());
    data.extend_from_slice(&key_id.to_le_bytes());
    data
}

fn read_key(path: &Path) -> Result<XChaCha20Poly1305, StoreError> {
    let file = |source| StoreError::File { doing: "read the key file", path: path.to_owned(), source };
    let mut open = File::open(path).map_err(file)?;
    let mode = open.metadata().map_err(file)?.mode();
    if mode & 0o077 != 0 {
        let reason = format!("others than its owner may use it (mode {:o}); `chmod 600` it if nobody has read it", mode & 0o7777);
        return Err(StoreError::Key { path: path.to_owned(), reason });
    }
    let mut bytes = Vec::new();
    open.read_to_end(&mut bytes).map_err(file)?;
    XChaCha20Poly1305::new_from_slice(&bytes)
        .map_err(|_| StoreError::Key { path: path.to_owned(), reason: format!("it holds {} bytes, not 32", bytes.len()) })
}
