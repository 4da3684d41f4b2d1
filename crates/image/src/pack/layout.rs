//! Tree to disk: one gzip layer, config, manifest and index, as the OCI image layout specification 1.0 has them.

use std::{
    fs::{self, File},
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
};

use flate2::{Compression, GzBuilder};
use serde_json::{Value, json};

use super::{
    PackError, PackedImage, Recipe,
    elf::{Machine, host_architecture},
    libraries::Closure,
    tree::{Entry, Tree},
};
use crate::{Digest, digest::Hasher};

pub(super) const MANIFEST_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX_TYPE: &str = "application/vnd.oci.image.index.v1+json";
const CONFIG_TYPE: &str = "application/vnd.oci.image.config.v1+json";
const LAYER_TYPE: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

const CAPABILITY: &str = "security.capability";

/// A blob as descriptors name it.
struct Blob {
    media_type: &'static str,
    digest: Digest,
    size: u64,
}

impl Blob {
    fn descriptor(&self) -> Value {
        json!({ "mediaType": self.media_type, "digest": self.digest.as_str(), "size": self.size })
    }
}

pub(super) fn write(recipe: &Recipe, tree: &Tree, found: Closure, out: &Path) -> Result<PackedImage, PackError> {
    let blobs = prepare(out)?;
    let (layer, diff_id) = write_layer(tree, recipe.epoch.unwrap_or(0), &blobs)?;
    let architecture = found.machine.map_or_else(host_architecture, Machine::architecture);
    let config = put_json(&config(recipe, architecture, &diff_id), CONFIG_TYPE, &blobs)?;
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "config": config.descriptor(),
        "layers": [layer.descriptor()],
    });
    let manifest = put_json(&manifest, MANIFEST_TYPE, &blobs)?;
    let mut entry = manifest.descriptor();
    entry["platform"] = json!({ "architecture": architecture, "os": "linux" });
    if let Some(name) = &recipe.name {
        entry["annotations"] = json!({ "org.opencontainers.image.ref.name": name });
    }
    let index = json!({ "schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": [entry] });
    put_file(&out.join("oci-layout"), br#"{"imageLayoutVersion":"1.0.0"}"#)?;
    // Last and in one step: until now a reader finds the old image, or none.
    let staged = out.join("index.json.new");
    put_file(&staged, index.to_string().as_bytes())?;
    let index = out.join("index.json");
    fs::rename(&staged, &index).map_err(|source| PackError::Write { path: index, source })?;
    Ok(PackedImage {
        layout: out.to_owned(),
        digest: manifest.digest,
        size: layer.size,
        entries: tree.entries().len(),
        libraries: found.libraries.into_iter().collect(),
        warnings: found.warnings,
    })
}

/// Makes the directories; returns the one for blobs.
fn prepare(out: &Path) -> Result<PathBuf, PackError> {
    let blobs = out.join("blobs/sha256");
    let taken = fs::read_dir(out).is_ok_and(|mut items| items.next().is_some());
    if taken && !out.join("oci-layout").is_file() {
        return Err(PackError::OutputTaken { path: out.to_owned() });
    }
    fs::create_dir_all(&blobs).map_err(|source| PackError::Write { path: blobs.clone(), source })?;
    Ok(blobs)
}

fn config(recipe: &Recipe, architecture: &str, diff_id: &Digest) -> Value {
    let mut run = serde_json::Map::new();
    let mut set = |key: &str, value: Value| {
        run.insert(key.to_owned(), value);
    };
    let env = &recipe.env;
    let path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_owned();
    let given = env.iter().map(|(name, value)| format!("{name}={value}"));
    let has_path = env.iter().any(|(name, _)| name == "PATH");
    set("Env", (!has_path).then_some(path).into_iter().chain(given).collect::<Vec<_>>().into());
    let entrypoint = recipe.effective_entrypoint();
    if !entrypoint.is_empty() {
        set("Entrypoint", entrypoint.into());
    }
    if !recipe.cmd.is_empty() {
        set("Cmd", recipe.cmd.clone().into());
    }
    for (key, value) in [("WorkingDir", &recipe.working_dir), ("User", &recipe.user), ("StopSignal", &recipe.stop_signal)] {
        if let Some(value) = value {
            set(key, value.clone().into());
        }
    }
    if !recipe.ports.is_empty() {
        set(
            "ExposedPorts",
            recipe.ports.iter().map(|port| (format!("{port}/tcp"), json!({}))).collect::<serde_json::Map<_, _>>().into(),
        );
    }
    if !recipe.labels.is_empty() {
        set("Labels", json!(recipe.labels));
    }
    let created = time(recipe.epoch.unwrap_or(0));
    json!({
        "created": created,
        "architecture": architecture,
        "os": "linux",
        "config": run,
        "rootfs": { "type": "layers", "diff_ids": [diff_id.as_str()] },
        "history": [{ "created": created, "created_by": "pillion image pack" }],
    })
}

/// Writes seconds since 1970 as RFC 3339 does.
fn time(epoch: u64) -> String {
    let (days, second) = (epoch / 86_400, epoch % 86_400);
    // Days to a date by years of 365 or 366 and months: plain counting, once per image.
    let leap = |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let (mut year, mut day) = (1970, days);
    while day >= 365 + u64::from(leap(year)) {
        day -= 365 + u64::from(leap(year));
        year += 1;
    }
    let lengths = [31, 28 + u64::from(leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let mut month = 1;
    for length in lengths {
        if day < length {
            break;
        }
        day -= length;
        month += 1;
    }
    format!("{year:04}-{month:02}-{:02}T{:02}:{:02}:{:02}Z", day + 1, second / 3600, second / 60 % 60, second % 60)
}

fn write_layer(tree: &Tree, epoch: u64, blobs: &Path) -> Result<(Blob, Digest), PackError> {
    let staged = blobs.join(format!(".layer-{}", std::process::id()));
    let failed = |source| PackError::Write { path: staged.clone(), source };
    let file = File::create(&staged).map_err(failed)?;
    let blob = Hashed::new(BufWriter::with_capacity(1 << 17, file));
    // The header's time and file name stay empty, so that the bytes depend on the content alone.
    let gzip = GzBuilder::new().mtime(0).write(blob, Compression::new(6));
    let mut tar = tar::Builder::new(Hashed::new(gzip));
    for (path, entry) in tree.entries() {
        append(&mut tar, path, entry, epoch)?;
    }
    let finish = || -> io::Result<(Digest, Digest, u64)> {
        let plain = tar.into_inner()?;
        let (gzip, diff_id, _) = plain.finish();
        let blob = gzip.finish()?;
        let (file, digest, size) = blob.finish();
        file.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
        Ok((digest, diff_id, size))
    };
    let (digest, diff_id, size) = finish().map_err(failed)?;
    let place = blobs.join(digest.hex());
    fs::rename(&staged, &place).map_err(|source| PackError::Write { path: place, source })?;
    Ok((Blob { media_type: LAYER_TYPE, digest, size }, diff_id))
}

fn append<W: Write>(tar: &mut tar::Builder<W>, path: &Path, entry: &Entry, epoch: u64) -> Result<(), PackError> {
    let name = path.strip_prefix("/").unwrap_or(path);
    let mut header = tar::Header::new_gnu();
    header.set_mtime(epoch);
    header.set_uid(0);
    header.set_gid(0);
    let failed = |source| PackError::Read { path: path.to_owned(), source };
    match entry {
        Entry::Directory { mode } => {
            header.set_entry_type(tar::EntryType::Directory);
            header.set_mode(*mode);
            header.set_size(0);
            // The slash at the end is how tar writes directories.
            tar.append_data(&mut header, name.join(""), io::empty()).map_err(failed)
        }
        Entry::Link { target } => {
            header.set_entry_type(tar::EntryType::Symlink);
            header.set_mode(0o777);
            header.set_size(0);
            tar.append_link(&mut header, name, target).map_err(failed)
        }
        Entry::Inline { content, mode } => {
            header.set_mode(*mode);
            header.set_size(content.len() as u64);
            tar.append_data(&mut header, name, content.as_slice()).map_err(failed)
        }
        Entry::File { source, mode } => {
            let failed = |error| PackError::Read { path: source.clone(), source: error };
            let mut value = vec![0; 256];
            // Only capabilities are the file's own meaning; other attributes belong to this host.
            if let Ok(length) = rustix::fs::getxattr(source, CAPABILITY, value.as_mut_slice()) {
                value.truncate(length);
                let key = format!("SCHILY.xattr.{CAPABILITY}");
                tar.append_pax_extensions([(key.as_str(), value.as_slice())]).map_err(failed)?;
            }
            let file = File::open(source).map_err(failed)?;
            let length = file.metadata().map_err(failed)?.len();
            header.set_mode(*mode);
            header.set_size(length);
            // A file that grows meanwhile is cut, and one that shrinks is an error: the header has said its length.
            let mut content = Counted { inner: io::Read::take(file, length), left: length };
            tar.append_data(&mut header, name, &mut content).map_err(failed)?;
            if content.left == 0 { Ok(()) } else { Err(failed(io::Error::other("it became shorter while it was packed"))) }
        }
    }
}

fn put_json(document: &Value, media_type: &'static str, blobs: &Path) -> Result<Blob, PackError> {
    let bytes = document.to_string().into_bytes();
    let digest = Digest::of(&bytes);
    put_file(&blobs.join(digest.hex()), &bytes)?;
    Ok(Blob { media_type, digest, size: bytes.len() as u64 })
}

fn put_file(path: &Path, bytes: &[u8]) -> Result<(), PackError> {
    fs::write(path, bytes).map_err(|source| PackError::Write { path: path.to_owned(), source })
}

/// Hashes and counts what passes.
struct Hashed<W> {
    inner: W,
    hasher: Hasher,
    size: u64,
}

impl<W: Write> Hashed<W> {
    fn new(inner: W) -> Self {
        Self { inner, hasher: Hasher::Sha256(sha2::Sha256::default()), size: 0 }
    }

    fn finish(self) -> (W, Digest, u64) {
        (self.inner, self.hasher.finish(), self.size)
    }
}

impl<W: Write> Write for Hashed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.hasher.update(&bytes[..written]);
        self.size += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

struct Counted<R> {
    inner: R,
    left: u64,
}

impl<R: io::Read> io::Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let got = self.inner.read(buffer)?;
        self.left -= got as u64;
        Ok(got)
    }
}

#[cfg(test)]
mod tests {
    use super::time;

    #[test]
    fn times_are_written_as_rfc_3339_has_them() {
        assert_eq!(time(0), "1970-01-01T00:00:00Z");
        assert_eq!(time(951_782_400), "2000-02-29T00:00:00Z");
        assert_eq!(time(1_767_225_599), "2025-12-31T23:59:59Z");
        assert_eq!(time(4_107_542_400), "2100-03-01T00:00:00Z");
    }
}
