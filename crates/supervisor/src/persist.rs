//! Files that are there whole or not at all.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

use serde::Serialize;

/// Writes `value` as JSON to `path`, mode 0600, through a file beside it.
pub(crate) fn write<T: Serialize>(path: &Path, value: &T) -> io::Result<()> {
    let beside = path.with_extension("new");
    let mut file: File = File::options().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
    file.write_all(&serde_json::to_vec(value)?)?;
    file.sync_data()?;
    fs::rename(&beside, path)
}
