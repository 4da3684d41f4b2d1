//! Images: references, registries, a content-addressed store of unpacked layers, packing. Knows no app.
//!
//! The door to everything is [`Store`], one directory (`<root>/images`) of blobs, unpacked layers and records:
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use pillion_image::{Credentials, ImageName, PullPolicy, Settings, Store, silent};
//!
//! // Synchronous; sweeps what an interrupted pull left behind. Settings::default() is right for most hosts.
//! let store = Store::open("/var/lib/pillion".as_ref(), Settings::default())?;
//!
//! // Credentials are values, keyed by registry host; this crate reads no file of the user's on the server's behalf.
//! let credentials = Credentials::default();
//! let name: ImageName = "registry.example/shop/web:1.4".parse()?;
//!
//! // `CheckRegistry` proves with these credentials that the caller may have the image (one manifest request) and downloads
//! // only what is missing. `Proven(digest)` skips the registry while the store holds that digest.
//! let image = store.pull(&name, credentials.get(name.registry()), PullPolicy::CheckRegistry, silent()).await?;
//!
//! image.digest;          // `Digest` of the platform's manifest: what a revision keeps, and what `Proven` and `get` take
//! image.layers;          // Vec<PathBuf>, lowest first: overlay lower directories in overlayfs form, ids as in the image
//! image.config.entrypoint; // with cmd, env, working_dir, user, stop_signal, exposed_ports, volumes, labels
//!
//! // An `Image` is a lease: while a clone of it lives in this process, `prune` and `remove` leave its files alone.
//! let again = store.get(&image.digest)?;           // Option<Image>, no network
//! let listed = store.list()?;                      // Vec<ListedImage>: name, digest, size, when pulled
//! let keep = std::collections::BTreeSet::from([image.digest.clone()]);
//! store.remove(&name)?;                            // forgets the name; files go with the next prune
//! let pruned = store.prune(&keep)?;                // everything unnamed, unleased and not in `keep`
//! # let _ = (again, listed, pruned); Ok(()) }
//! ```
//!
//! An OCI layout on disk, such as one that `pack` wrote, enters by [`Store::import_oci_layout`] without a registry.
//! [`Store::settle`] waits until everything is on disk; a server calls it before it ends.
//! Every error of the crate turns into a [`pillion_fault::Fault`] by `Fault::from(&error)`.
//!
//! `pull` is safe to call from many tasks and processes at once: a layer that several pulls want is downloaded and
//! unpacked by one of them while the others wait (and report its progress as their own).

mod backoff;
mod credential;
mod digest;
pub mod docker_config;
mod flight;
mod image;
mod manifest;
mod name;
pub mod pack;
mod progress;
mod pull_error;
mod registry;
mod settings;
mod source;
mod store;
mod unpack;

pub use credential::{Credential, Credentials};
pub use digest::{Digest, DigestInvalid};
pub use image::{ExposedPort, Image, ImageConfig, ListedImage};
pub use name::{ImageName, NameInvalid};
pub use progress::{Progress, PullEvent, silent};
pub use pull_error::PullError;
pub use settings::{Limits, Platform, PullPolicy, Retry, Settings};
pub use store::{ImportError, Pruned, Store, StoreError};
pub use unpack::UnpackError;
