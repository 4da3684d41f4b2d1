//! The last few lines of a log, read from its end.

use std::{
    fs::File,
    io::{Read as _, Seek as _, SeekFrom},
    path::Path,
};

use super::{
    line::Assembler,
    path,
    write::{TAIL_LINES, TAIL_WIDTH},
};

/// Returns the last whole lines of the newest file, as text; empty where there is none.
pub(crate) fn last_lines(dir: &Path, container: &str) -> Vec<String> {
    let Ok(mut file) = File::open(path(dir, container)) else { return Vec::new() };
    let length = file.metadata().map_or(0, |found| found.len());
    let start = length.saturating_sub(8 << 10);
    let mut bytes = Vec::new();
    if file.seek(SeekFrom::Start(start)).is_err() || file.read_to_end(&mut bytes).is_err() {
        return Vec::new();
    }
    let mut lines = Assembler::default();
    let found: Vec<String> = bytes
        .split(|byte| *byte == b'\n')
        .skip(usize::from(start > 0))
        .filter_map(|raw| lines.take(raw))
        .map(|line| String::from_utf8_lossy(&line.text[..line.text.len().min(TAIL_WIDTH)]).into_owned())
        .collect();
    found[found.len().saturating_sub(TAIL_LINES)..].to_vec()
}
