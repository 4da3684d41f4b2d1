//! Pillion's vocabulary: the app and its containers, checked at construction. No I/O, no async.

mod app;
mod name;
mod phase;

pub use app::*;
pub use name::*;
pub use phase::*;
