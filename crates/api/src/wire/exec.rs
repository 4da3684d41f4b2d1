//! Exec on the wire: after `101 Switching Protocols` both sides speak frames.
//!
//! A frame is one type byte, a big-endian u32 length (at most 1 MiB) and that many bytes.
//!
//! | type | from | payload |
//! |---|---|---|
//! | 0 | client | bytes for standard input |
//! | 1 | client | nothing: standard input ends here |
//! | 2 | client | the terminal's new size: u16 columns, u16 rows, big-endian |
//! | 16 | server | bytes of standard output |
//! | 17 | server | bytes of standard error |
//! | 18 | server | how it ended, JSON; the last frame |
//! | 19 | server | an error body, JSON; the last frame |
//!
//! A client that closes the connection ends the process's input; the process itself is killed by the engine.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use pillion_fault::Exit;
use serde::{Deserialize, Serialize};
use tokio_util::codec::{Decoder, Encoder};

use super::ErrorBody;

/// The largest payload of a frame, in bytes.
pub const MAX_FRAME: usize = 1 << 20;

/// The body of `POST /v1/apps/{app}/exec`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ExecStart {
    pub command: Vec<String>,
    /// Main where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<String>,
    /// The oldest ready one where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    /// `NAME=value`, added to the container's environment.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<String>,
    /// A terminal of this size.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tty: Option<Size>,
}

/// A terminal's size in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Size {
    pub columns: u16,
    pub rows: u16,
}

/// One frame, either way.
#[derive(Debug, Clone, PartialEq)]
pub enum Frame {
    Stdin(Bytes),
    StdinEnd,
    Resize(Size),
    Stdout(Bytes),
    Stderr(Bytes),
    Exit(Exit),
    Error(Box<ErrorBody>),
}

/// Bytes that are not a frame, or a connection that broke.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    #[error("a frame of unknown type {0}")]
    UnknownType(u8),
    #[error("a frame of {0} bytes, more than {MAX_FRAME}")]
    TooLong(usize),
    #[error("a frame of type {0} whose content cannot be read")]
    Malformed(u8),
    #[error("the connection broke")]
    Connection(#[from] std::io::Error),
}

/// Frames to bytes and back.
#[derive(Debug, Default)]
pub struct FrameCodec;

const HEAD: usize = 5;

impl Decoder for FrameCodec {
    type Item = Frame;
    type Error = FrameError;

    fn decode(&mut self, bytes: &mut BytesMut) -> Result<Option<Frame>, FrameError> {
        if bytes.len() < HEAD {
            return Ok(None);
        }
        let kind = bytes[0];
        let length = u32::from_be_bytes([bytes[1], bytes[2], bytes[3], bytes[4]]) as usize;
        if length > MAX_FRAME {
            return Err(FrameError::TooLong(length));
        }
        if bytes.len() < HEAD + length {
            bytes.reserve(HEAD + length - bytes.len());
            return Ok(None);
        }
        bytes.advance(HEAD);
        let payload = bytes.split_to(length).freeze();
        Ok(Some(match kind {
            0 => Frame::Stdin(payload),
            1 => Frame::StdinEnd,
            2 => match payload[..] {
                [a, b, c, d] => Frame::Resize(Size { columns: u16::from_be_bytes([a, b]), rows: u16::from_be_bytes([c, d]) }),
                _ => return Err(FrameError::Malformed(kind)),
            },
            16 => Frame::Stdout(payload),
            17 => Frame::Stderr(payload),
            18 => Frame::Exit(serde_json::from_slice(&payload).map_err(|_| FrameError::Malformed(kind))?),
            19 => Frame::Error(serde_json::from_slice(&payload).map_err(|_| FrameError::Malformed(kind))?),
            unknown => return Err(FrameError::UnknownType(unknown)),
        }))
    }
}

impl Encoder<Frame> for FrameCodec {
    type Error = FrameError;

    fn encode(&mut self, frame: Frame, out: &mut BytesMut) -> Result<(), FrameError> {
        let (kind, payload) = match frame {
            Frame::Stdin(bytes) => (0, bytes),
            Frame::StdinEnd => (1, Bytes::new()),
            Frame::Resize(size) => {
                let mut payload = BytesMut::with_capacity(4);
                payload.put_u16(size.columns);
                payload.put_u16(size.rows);
                (2, payload.freeze())
            }
            Frame::Stdout(bytes) => (16, bytes),
            Frame::Stderr(bytes) => (17, bytes),
            Frame::Exit(exit) => (18, serde_json::to_vec(&exit).map_err(|_| FrameError::Malformed(18))?.into()),
            Frame::Error(error) => (19, serde_json::to_vec(&error).map_err(|_| FrameError::Malformed(19))?.into()),
        };
        if payload.len() > MAX_FRAME {
            return Err(FrameError::TooLong(payload.len()));
        }
        out.reserve(HEAD + payload.len());
        out.put_u8(kind);
        out.put_u32(payload.len() as u32);
        out.put_slice(&payload);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_survive_being_cut_anywhere() {
        let frames = [
            Frame::Stdin(Bytes::from_static(b"\x00\xff")),
            Frame::StdinEnd,
            Frame::Resize(Size { columns: 300, rows: 24 }),
            Frame::Stdout(Bytes::from_static(b"out")),
            Frame::Stderr(Bytes::new()),
            Frame::Exit(Exit::Signal { signal: 9, core: false }),
        ];
        let mut wire = BytesMut::new();
        for frame in frames.clone() {
            FrameCodec.encode(frame, &mut wire).unwrap();
        }
        for cut in 0..wire.len() {
            let mut got = Vec::new();
            let mut buffer = BytesMut::new();
            for part in [&wire[..cut], &wire[cut..]] {
                buffer.extend_from_slice(part);
                while let Some(frame) = FrameCodec.decode(&mut buffer).unwrap() {
                    got.push(frame);
                }
            }
            assert_eq!(got, frames, "cut at {cut}");
        }
    }

    #[test]
    fn a_length_that_lies_is_refused_before_anything_is_reserved() {
        let mut wire = BytesMut::from(&[0u8, 0xff, 0xff, 0xff, 0xff][..]);
        assert!(matches!(FrameCodec.decode(&mut wire), Err(FrameError::TooLong(_))));
    }
}
