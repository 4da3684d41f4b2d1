//! Writing: cut into lines, stamped, rotated by size and count, dropped and counted when the disk is full.

use std::{
    cell::RefCell,
    collections::VecDeque,
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::PathBuf,
};

use jiff::Timestamp;

use super::{
    PIECE, Stream, last_lines,
    line::{Piece, format},
    path, rotated,
};
use crate::spec::LogLimits;

/// The log of one container. Both of its streams write here; nothing is buffered but an unfinished line.
///
/// Writes go to the page cache, on the supervisor's only thread; a full disk costs lines, never time.
#[derive(Debug)]
pub(crate) struct LogFile {
    dir: PathBuf,
    container: String,
    limits: LogLimits,
    inner: RefCell<Inner>,
}

#[derive(Debug)]
struct Inner {
    file: Option<File>,
    size: u64,
    /// Lines lost since the last that was written, and why.
    lost: u64,
    why: String,
    /// The file ends within a line, which a failed write left.
    torn: bool,
    unfinished: [Vec<u8>; 2],
    /// The newest lines, for diagnoses.
    tail: VecDeque<String>,
    out: Vec<u8>,
}

impl LogFile {
    /// Opens the log, appending to what an earlier supervisor wrote.
    pub(crate) fn open(dir: PathBuf, container: &str, limits: LogLimits) -> Self {
        let tail = last_lines(&dir, container).into();
        let inner = Inner {
            file: None,
            size: 0,
            lost: 0,
            why: String::new(),
            torn: false,
            unfinished: [Vec::new(), Vec::new()],
            tail,
            out: Vec::new(),
        };
        let log = Self { dir, container: container.into(), limits, inner: RefCell::new(inner) };
        log.inner.borrow_mut().reopen(&log);
        log
    }

    /// Takes what a stream printed, just as it came.
    pub(crate) fn print(&self, stream: Stream, mut bytes: &[u8], now: Timestamp) {
        let inner = &mut *self.inner.borrow_mut();
        let slot = slot(stream);
        while !bytes.is_empty() {
            let room = PIECE - inner.unfinished[slot].len();
            let line_end = bytes.iter().take(room + 1).position(|byte| *byte == b'\n');
            let (taken, piece) = match line_end {
                Some(end) => (end, Some(Piece::Full)),
                None if bytes.len() > room => (room, Some(Piece::Partial)),
                None => (bytes.len(), None),
            };
            inner.unfinished[slot].extend_from_slice(&bytes[..taken]);
            bytes = &bytes[taken + usize::from(piece == Some(Piece::Full))..];
            if let Some(piece) = piece {
                inner.line(self, stream, piece, now);
            }
        }
        inner.flush(self, now);
    }

    /// The stream ended: its last line may have no end.
    pub(crate) fn end(&self, stream: Stream, now: Timestamp) {
        let inner = &mut *self.inner.borrow_mut();
        if !inner.unfinished[slot(stream)].is_empty() {
            inner.line(self, stream, Piece::Full, now);
            inner.flush(self, now);
        }
        inner.unfinished[slot(stream)] = Vec::new();
    }

    /// The newest lines, newest last.
    pub(crate) fn tail(&self) -> Vec<String> {
        self.inner.borrow().tail.iter().cloned().collect()
    }

    /// Forgets what an earlier process printed: its words explain nothing about the next one.
    pub(crate) fn clear_tail(&self) {
        self.inner.borrow_mut().tail.clear();
    }
}

fn slot(stream: Stream) -> usize {
    match stream {
        Stream::Stdout => 0,
        Stream::Stderr => 1,
    }
}

/// Lines kept for diagnoses, and how much of each.
pub(super) const TAIL_LINES: usize = 20;
pub(super) const TAIL_WIDTH: usize = 400;

impl Inner {
    fn line(&mut self, log: &LogFile, stream: Stream, piece: Piece, now: Timestamp) {
        let slot = slot(stream);
        let text = std::mem::take(&mut self.unfinished[slot]);
        if piece == Piece::Full {
            let shown = &text[..text.len().min(TAIL_WIDTH)];
            if self.tail.len() == TAIL_LINES {
                self.tail.pop_front();
            }
            self.tail.push_back(String::from_utf8_lossy(shown).into_owned());
        }
        format(&mut self.out, now, stream, piece, &text);
        self.unfinished[slot] = text;
        self.unfinished[slot].clear();
        if self.out.len() >= 4 * PIECE {
            self.flush(log, now);
        }
    }

    fn flush(&mut self, log: &LogFile, now: Timestamp) {
        if self.out.is_empty() {
            return;
        }
        let lines = self.out.iter().filter(|byte| **byte == b'\n').count() as u64;
        if self.lost > 0 {
            let mut notice = Vec::new();
            let text = format!("pillion: {} lines are missing here: {}", self.lost, self.why);
            format(&mut notice, now, Stream::Stderr, Piece::Full, text.as_bytes());
            notice.append(&mut self.out);
            self.out = notice;
        }
        if self.torn {
            self.out.insert(0, b'\n');
        }
        match self.write(log) {
            Ok(()) => {
                self.lost = 0;
                self.torn = false;
            }
            Err(error) => {
                self.lost += lines;
                self.why = error.to_string();
            }
        }
        self.out.clear();
        self.out.shrink_to(PIECE / 4);
    }

    fn write(&mut self, log: &LogFile) -> io::Result<()> {
        if self.size > 0 && self.size + self.out.len() as u64 > log.limits.file_bytes {
            self.rotate(log)?;
        }
        if self.file.is_none() {
            self.reopen(log);
        }
        let file = self.file.as_mut().ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "the log cannot be opened"))?;
        let mut rest = self.out.as_slice();
        while !rest.is_empty() {
            match file.write(rest) {
                Ok(written) => {
                    self.size += written as u64;
                    rest = &rest[written..];
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    self.torn |= rest.len() < self.out.len();
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    fn rotate(&mut self, log: &LogFile) -> io::Result<()> {
        let kept = log.limits.files.max(1);
        for n in (1..kept).rev() {
            let from = if n == 1 { path(&log.dir, &log.container) } else { rotated(&log.dir, &log.container, n - 1) };
            match fs::rename(&from, rotated(&log.dir, &log.container, n)) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        if kept == 1 {
            fs::remove_file(path(&log.dir, &log.container))?;
        }
        self.file = None;
        self.torn = false;
        Ok(())
    }

    fn reopen(&mut self, log: &LogFile) {
        let opened = OpenOptions::new().create(true).append(true).mode(0o600).open(path(&log.dir, &log.container));
        self.size = opened.as_ref().ok().and_then(|file| file.metadata().ok()).map_or(0, |found| found.len());
        self.file = opened.ok();
    }
}
