//! The values that travel between the native API and its clients; the CLI uses nothing else.
//!
//! Everything is JSON in camelCase. A reader ignores fields it does not know, so that a newer server and an older
//! client understand each other.

mod app;
mod error;
pub mod exec;
mod identity;
mod image;
mod system;

pub use app::*;
pub use error::*;
pub use identity::*;
pub use image::*;
pub use system::*;

/// The prefix of every path of this version.
pub const PREFIX: &str = "/v1";
/// The media type of streams: one JSON object a line.
pub const NDJSON: &str = "application/x-ndjson";
/// The `Upgrade` token of exec.
pub const EXEC_PROTOCOL: &str = "pillion-exec";
/// The largest request body, in bytes.
pub const MAX_BODY: usize = 4 << 20;
