//! State that outlives every process: documents with etags, revisions, events and secrets, in one SQLite file.

mod values;

pub use values::*;

mod error;
mod store;

pub use error::StoreError;
pub use store::Store;
