//! The way of a layer's bytes: from the download through a decompressor in a thread of its own to the unpacking thread.

use std::{
    io::{self, BufRead, BufReader, Read},
    sync::mpsc::{Receiver, SyncSender},
};

use bytes::{Buf, Bytes};

use crate::{Digest, digest::Hasher};

const BUFFER: usize = 256 << 10;

/// What a download sends: bytes, and a mark that they are all there and verified.
pub(crate) enum Piece {
    Bytes(Bytes),
    End,
}

/// Why the stream ended that has nothing to do with its content.
#[derive(Debug, thiserror::Error)]
pub(super) enum StreamFault {
    #[error("the download ended early")]
    Interrupted,
    #[error("the layer unpacks to more than {0} bytes")]
    TooLarge(u64),
}

/// The compressed bytes, as a blocking reader.
pub(super) struct Incoming {
    pieces: tokio::sync::mpsc::Receiver<Piece>,
    current: Bytes,
    ended: bool,
}

impl Incoming {
    pub(super) fn new(pieces: tokio::sync::mpsc::Receiver<Piece>) -> Incoming {
        Incoming { pieces, current: Bytes::new(), ended: false }
    }
}

impl BufRead for Incoming {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        while self.current.is_empty() && !self.ended {
            match self.pieces.blocking_recv() {
                Some(Piece::Bytes(bytes)) => self.current = bytes,
                Some(Piece::End) => self.ended = true,
                None => return Err(io::Error::other(StreamFault::Interrupted)),
            }
        }
        Ok(&self.current)
    }

    fn consume(&mut self, amount: usize) {
        self.current.advance(amount);
    }
}

impl Read for Incoming {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let available = self.fill_buf()?;
        let amount = available.len().min(buffer.len());
        buffer[..amount].copy_from_slice(&available[..amount]);
        self.consume(amount);
        Ok(amount)
    }
}

/// What the decompressor hands on.
pub(super) enum Inflated {
    Bytes(Vec<u8>),
    /// All bytes were handed on; this is their digest.
    End(Digest),
    Failed(io::Error),
}

/// Decompresses everything into `out`, hashing on the way; buffers come back through `spare`.
pub(super) fn inflate(incoming: Incoming, mut hasher: Hasher, limit: u64, out: &SyncSender<Inflated>, spare: &Receiver<Vec<u8>>) {
    let mut total = 0_u64;
    let ending = decoder(incoming).and_then(|mut input| {
        loop {
            let mut buffer = spare.try_recv().unwrap_or_default();
            buffer.resize(BUFFER, 0);
            let filled = fill(&mut input, &mut buffer)?;
            if filled == 0 {
                return Ok(true);
            }
            buffer.truncate(filled);
            hasher.update(&buffer);
            total += filled as u64;
            if total > limit {
                return Err(io::Error::other(StreamFault::TooLarge(limit)));
            }
            // The other side is gone when it has failed, and says so itself.
            if out.send(Inflated::Bytes(buffer)).is_err() {
                return Ok(false);
            }
        }
    });
    let last = match ending {
        Ok(true) => Inflated::End(hasher.finish()),
        Ok(false) => return,
        Err(error) => Inflated::Failed(error),
    };
    // As above: nobody left to tell.
    drop(out.send(last));
}

/// Chooses by the first bytes, not by the media type, which registries and tools often get wrong.
fn decoder(mut incoming: Incoming) -> io::Result<Box<dyn Read>> {
    let mut magic = [0_u8; 4];
    let filled = fill(&mut incoming, &mut magic)?;
    let head = Read::take(io::Cursor::new(magic), filled as u64);
    let input = BufReader::with_capacity(64 << 10, head.chain(incoming));
    Ok(match magic {
        [0x1f, 0x8b, ..] => Box::new(flate2::bufread::MultiGzDecoder::new(input)),
        // A zstd frame, or a skippable one in front (seekable and zstd:chunked archives).
        [0x28, 0xb5, 0x2f, 0xfd] | [0x50..=0x5f, 0x2a, 0x4d, 0x18] => Box::new(zstd::stream::read::Decoder::with_buffer(input)?),
        _ => Box::new(input),
    })
}

fn fill(input: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match input.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(amount) => filled += amount,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// The decompressed bytes, as the unpacking thread reads them.
pub(super) struct Outgoing {
    pieces: Receiver<Inflated>,
    spare: SyncSender<Vec<u8>>,
    current: Vec<u8>,
    read: usize,
    digest: Option<Digest>,
}

impl Outgoing {
    pub(super) fn new(pieces: Receiver<Inflated>, spare: SyncSender<Vec<u8>>) -> Outgoing {
        Outgoing { pieces, spare, current: Vec::new(), read: 0, digest: None }
    }

    /// Returns the digest of the whole stream once it was read to its end.
    pub(super) fn digest(self) -> Option<Digest> {
        self.digest
    }
}

impl BufRead for Outgoing {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.read == self.current.len() && self.digest.is_none() {
            // The decompressor may be gone, or have buffers enough: either way this one is dropped.
            drop(self.spare.try_send(std::mem::take(&mut self.current)));
            self.read = 0;
            match self.pieces.recv() {
                Ok(Inflated::Bytes(bytes)) => self.current = bytes,
                Ok(Inflated::End(digest)) => self.digest = Some(digest),
                Ok(Inflated::Failed(error)) => return Err(error),
                Err(_) => return Err(io::Error::other(StreamFault::Interrupted)),
            }
        }
        Ok(&self.current[self.read..])
    }

    fn consume(&mut self, amount: usize) {
        self.read += amount;
    }
}

impl Read for Outgoing {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let available = self.fill_buf()?;
        let amount = available.len().min(buffer.len());
        buffer[..amount].copy_from_slice(&available[..amount]);
        self.consume(amount);
        Ok(amount)
    }
}
