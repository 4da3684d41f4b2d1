//! Packing: an image made from directories and programs of this host, without a registry and without running anything.
//!
//! A [`Recipe`] says what goes in; [`Recipe::build`] writes an OCI image layout; [`push()`] sends one to a registry.
//! The same recipe over the same files gives the same bytes: entries are sorted, owners are root, times are fixed.

mod base;
mod elf;
mod layout;
mod libraries;
mod push;
mod search;
mod tree;

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
};

use crate::Digest;

pub use elf::ElfError;
pub use push::{PushError, Pushed, push};

/// What an image is made of. Later sources win over earlier ones, and all of them over what packing adds by itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Recipe {
    /// Programs of this host, at the same path in the image, with every shared library they need.
    pub programs: Vec<PathBuf>,
    /// Files and directories of this host, at chosen places. Programs among them get their libraries too; where this host
    /// lacks one, that is an error for the entrypoint and a warning for all others.
    pub adds: Vec<Add>,
    /// Empty: the only program, if there is exactly one.
    pub entrypoint: Vec<String>,
    pub cmd: Vec<String>,
    pub env: Vec<(String, String)>,
    pub working_dir: Option<String>,
    pub user: Option<String>,
    /// TCP ports the image says it listens on.
    pub ports: Vec<u16>,
    pub labels: BTreeMap<String, String>,
    pub stop_signal: Option<String>,
    /// Takes this host's certificate authorities along.
    pub ca_certificates: bool,
    /// Seconds since 1970 that every file and the image itself carry; 0 where absent.
    pub epoch: Option<u64>,
    /// The name written into the layout's index, such as `shop/web:1.4`.
    pub name: Option<String>,
}

/// One thing to add.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Add {
    pub source: PathBuf,
    /// An absolute path in the image. A directory's content goes into it; a file goes to it, or into it where it ends in `/`.
    pub destination: PathBuf,
}

/// What a build made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackedImage {
    /// The layout's directory.
    pub layout: PathBuf,
    /// The manifest's digest.
    pub digest: Digest,
    /// Bytes of the compressed layer.
    pub size: u64,
    pub entries: usize,
    /// Shared libraries that were found and packed.
    pub libraries: Vec<PathBuf>,
    /// What may be missing, in sentences.
    pub warnings: Vec<String>,
}

/// Why no image could be made.
#[derive(Debug, thiserror::Error)]
pub enum PackError {
    #[error("nothing to pack: name a program or something to add")]
    Empty,
    #[error("{0:?} is not written as SOURCE:DESTINATION with an absolute destination")]
    AddInvalid(String),
    #[error("{path:?} cannot be packed: {reason}")]
    Unfit { path: PathBuf, reason: &'static str },
    #[error("could not read {path:?}")]
    Read { path: PathBuf, source: io::Error },
    #[error("could not write {path:?}")]
    Write { path: PathBuf, source: io::Error },
    #[error("{path:?} is no program that can be understood")]
    Elf { path: PathBuf, source: ElfError },
    #[error("{program:?} needs {library}, which this host does not have for its architecture; looked in {}", list(.searched))]
    LibraryMissing { program: PathBuf, library: String, searched: Vec<PathBuf> },
    #[error("{path:?} leads through more than 40 symbolic links")]
    Loop { path: PathBuf },
    #[error("{path:?} is not an image layout and not empty")]
    OutputTaken { path: PathBuf },
}

impl std::str::FromStr for Add {
    type Err = PackError;

    /// Reads `SOURCE:DESTINATION`.
    fn from_str(text: &str) -> Result<Self, PackError> {
        match text.rsplit_once(':') {
            Some((source, destination)) if !source.is_empty() && destination.starts_with('/') => {
                Ok(Self { source: source.into(), destination: destination.into() })
            }
            Some(_) | None => Err(PackError::AddInvalid(text.to_owned())),
        }
    }
}

impl Recipe {
    /// Makes the image and writes it to `out` as an OCI image layout (made if missing; a layout that is there is replaced).
    ///
    /// # Errors
    /// [`PackError`]; `out` then holds no index that names a half-written image.
    pub fn build(&self, out: &Path) -> Result<PackedImage, PackError> {
        if self.programs.is_empty() && self.adds.is_empty() {
            return Err(PackError::Empty);
        }
        let mut tree = tree::Tree::default();
        for add in &self.adds {
            tree.add(add)?;
        }
        let found = libraries::add_programs(&mut tree, &self.programs, self.effective_entrypoint().first().map(String::as_str))?;
        base::add(&mut tree, self.ca_certificates)?;
        layout::write(self, &tree, found, out)
    }

    /// Returns the entrypoint, which is the only program where none is named.
    fn effective_entrypoint(&self) -> Vec<String> {
        match (self.entrypoint.as_slice(), self.programs.as_slice()) {
            ([], [only]) => vec![only.to_string_lossy().into_owned()],
            (given, _) => given.to_vec(),
        }
    }
}

/// Reads `SOURCE_DATE_EPOCH` as reproducible-builds.org defines it: whole seconds since 1970.
pub fn epoch_from_environment() -> Option<u64> {
    std::env::var("SOURCE_DATE_EPOCH").ok()?.parse().ok()
}

fn list(paths: &[PathBuf]) -> String {
    paths.iter().map(|path| path.to_string_lossy()).collect::<Vec<_>>().join(", ")
}
