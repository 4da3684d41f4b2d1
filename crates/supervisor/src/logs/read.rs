//! Reading what is there: all files of a container, oldest first.

use std::{
    collections::VecDeque,
    fs::File,
    io::{self, BufRead as _, BufReader},
    path::Path,
    time::SystemTime,
};

use super::{Line, line::Assembler, path, rotated};

/// Returns a container's lines, oldest first: those since `since`, and of these the last `tail`.
///
/// # Errors
/// A file that exists cannot be read. No file at all is no line.
pub fn read(dir: &Path, container: &str, since: Option<SystemTime>, tail: Option<usize>) -> io::Result<Vec<Line>> {
    let mut lines = VecDeque::new();
    let mut assembler = Assembler::default();
    let mut seen = None;
    for file in files(dir, container)? {
        use std::os::unix::fs::MetadataExt as _;
        // A rotation between two opens shows the same file twice.
        let identity = file.metadata()?.ino();
        if seen.replace(identity) == Some(identity) {
            continue;
        }
        let mut reader = BufReader::new(file);
        let mut raw = Vec::new();
        while reader.read_until(b'\n', &mut raw)? > 0 {
            if raw.pop_if(|byte| *byte == b'\n').is_none() {
                break;
            }
            if let Some(line) = assembler.take(&raw).filter(|line| wanted(line, since)) {
                if tail.is_some_and(|tail| lines.len() >= tail) {
                    lines.pop_front();
                }
                lines.push_back(line);
            }
            raw.clear();
        }
    }
    if tail == Some(0) {
        lines.clear();
    }
    Ok(lines.into())
}

pub(super) fn wanted(line: &Line, since: Option<SystemTime>) -> bool {
    let Some(since) = since else { return true };
    let since_us = since.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |d| d.as_micros());
    i128::from(line.at_us) >= i128::try_from(since_us).unwrap_or(i128::MAX)
}

/// The container's files, oldest first.
pub(super) fn files(dir: &Path, container: &str) -> io::Result<Vec<File>> {
    let mut files = Vec::new();
    for n in 0.. {
        let path = if n == 0 { path(dir, container) } else { rotated(dir, container, n) };
        match File::open(path) {
            Ok(file) => files.push(file),
            // Between a rotation and the first line after it there is no newest file.
            Err(error) if error.kind() == io::ErrorKind::NotFound && n == 0 => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => break,
            Err(error) => return Err(error),
        }
    }
    files.reverse();
    Ok(files)
}
