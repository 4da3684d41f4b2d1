//! Log files: what containers print, line by line with time and stream, kept within bounds.
//!
//! `<dir>/<container>.log` is the newest file; `.log.1` is the one before it, `.log.2` older, and so on. A line is
//!
//! ```text
//! 2026-11-23T10:20:30.123456Z o F text of the line, any bytes
//! │                           │ └ F: ends here · P: goes on in this stream's next line (cut every 16 KiB)
//! │                           └ o: stdout · e: stderr (a terminal's output counts as stdout)
//! └ UTC, microseconds
//! ```
//!
//! The bytes are those that were written, without the line end. A line of 1 MB is 64 `P` lines and one `F` line.

mod follow;
mod line;
mod read;
mod tail;
mod write;

pub use follow::follow;
pub use line::{Line, Stream};
pub use read::read;
pub(crate) use tail::last_lines;
pub(crate) use write::LogFile;

use std::path::{Path, PathBuf};

/// A line longer than this is cut into several.
pub const PIECE: usize = 16 << 10;

/// The newest file of a container.
pub fn path(dir: &Path, container: &str) -> PathBuf {
    dir.join(format!("{container}.log"))
}

/// The `n`th predecessor; 1 is the newest of them.
fn rotated(dir: &Path, container: &str, n: u32) -> PathBuf {
    dir.join(format!("{container}.log.{n}"))
}
