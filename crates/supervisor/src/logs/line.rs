//! One line: written, parsed, and put together again from its pieces.

use jiff::Timestamp;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stream {
    Stdout,
    Stderr,
}

/// A whole line as the container printed it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Microseconds since the epoch: when the line's first piece came.
    pub at_us: i64,
    pub stream: Stream,
    /// Without the line end; any bytes.
    pub text: Vec<u8>,
}

/// Whether the line ends with this piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Piece {
    Partial,
    Full,
}

/// Appends one piece in the file's format.
pub(super) fn format(out: &mut Vec<u8>, at: Timestamp, stream: Stream, piece: Piece, text: &[u8]) {
    use std::io::Write as _;
    let stream = match stream {
        Stream::Stdout => 'o',
        Stream::Stderr => 'e',
    };
    let piece = match piece {
        Piece::Partial => 'P',
        Piece::Full => 'F',
    };
    // Writing to a vector cannot fail.
    let _ = write!(out, "{at:.6} {stream} {piece} ");
    out.extend_from_slice(text);
    out.push(b'\n');
}

/// Puts lines together. A container's streams may interleave, so each has its own pieces.
#[derive(Debug, Default)]
pub(super) struct Assembler {
    open: [Option<Line>; 2],
}

/// Longer lines are handed on in parts of this size: a reader's memory is bounded too.
const LINE_MAX: usize = 4 << 20;

impl Assembler {
    /// Takes one line of the file (without its end) and returns the container's line that it completes.
    pub(super) fn take(&mut self, raw: &[u8]) -> Option<Line> {
        let (at_us, stream, piece, text) = parse(raw)?;
        let open = &mut self.open[match stream {
            Stream::Stdout => 0,
            Stream::Stderr => 1,
        }];
        let line = open.get_or_insert_with(|| Line { at_us, stream, text: Vec::new() });
        line.text.extend_from_slice(text);
        match piece {
            Piece::Partial if line.text.len() < LINE_MAX => None,
            Piece::Partial | Piece::Full => open.take(),
        }
    }
}

fn parse(raw: &[u8]) -> Option<(i64, Stream, Piece, &[u8])> {
    let mut parts = raw.splitn(4, |byte| *byte == b' ');
    let at: Timestamp = std::str::from_utf8(parts.next()?).ok()?.parse().ok()?;
    let stream = match parts.next()? {
        b"o" => Stream::Stdout,
        b"e" => Stream::Stderr,
        _ => return None,
    };
    let piece = match parts.next()? {
        b"P" => Piece::Partial,
        b"F" => Piece::Full,
        _ => return None,
    };
    Some((at.as_microsecond(), stream, piece, parts.next().unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(stream: Stream, piece: Piece, text: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        format(&mut out, Timestamp::from_microsecond(1_700_000_000_123_456).expect("a time"), stream, piece, text);
        assert_eq!(out.pop(), Some(b'\n'));
        out
    }

    #[test]
    fn a_line_reads_back_as_it_was_written() {
        let raw = written(Stream::Stderr, Piece::Full, b"two  words \xff\xfe");
        assert!(raw.starts_with(b"2023-11-14T22:13:20.123456Z e F "), "{}", String::from_utf8_lossy(&raw));
        let line = Assembler::default().take(&raw).expect("whole");
        assert_eq!(line.text, b"two  words \xff\xfe");
        assert_eq!((line.at_us, line.stream), (1_700_000_000_123_456, Stream::Stderr));
    }

    #[test]
    fn pieces_of_interleaved_streams_do_not_mix() {
        let mut lines = Assembler::default();
        assert_eq!(lines.take(&written(Stream::Stdout, Piece::Partial, b"aa")), None);
        assert_eq!(lines.take(&written(Stream::Stderr, Piece::Full, b"x")).expect("whole").text, b"x");
        assert_eq!(lines.take(&written(Stream::Stdout, Piece::Full, b"bb")).expect("whole").text, b"aabb");
    }

    #[test]
    fn an_empty_line_survives_and_a_torn_one_is_skipped() {
        let mut lines = Assembler::default();
        assert_eq!(lines.take(&written(Stream::Stdout, Piece::Full, b"")).expect("whole").text, b"");
        assert_eq!(lines.take(b"2023-11-14T22:1"), None);
    }
}
