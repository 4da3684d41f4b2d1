//! State that outlives every process: documents with etags, revisions, events and secrets, in one SQLite file.
//!
//! One thread writes, one reads; a write is acknowledged after its commit has reached the disk. Everything that must
//! change together goes into one [`Batch`].

mod audit;
mod batch;
mod connection;
mod documents;
mod error;
mod events;
mod keyring;
mod schema;
mod secrets;
mod store;
mod values;

pub use batch::{Batch, Expect};
pub use error::StoreError;
pub use store::{DEFAULT_EVENTS_KEPT, Store};
pub use values::*;
