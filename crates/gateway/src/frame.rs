//! Length-prefixed JSON frames over a Unix stream socket, with file descriptors travelling beside them.

use std::{
    io::{self, IoSlice, IoSliceMut},
    mem::MaybeUninit,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    sync::Arc,
};

use bytes::{Buf, BytesMut};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use serde::{Serialize, de::DeserializeOwned};
use tokio::{io::Interest, net::UnixStream};

/// The kernel's bound on descriptors in one message (SCM_MAX_FD, unix(7)).
const DESCRIPTORS: usize = 253;
/// The most bytes of one frame.
const MOST: usize = 16 << 20;

/// Why a frame could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    #[error("the connection failed")]
    Io(#[from] io::Error),
    #[error("the other side closed the connection")]
    Closed,
    #[error("a frame of {0} bytes is more than the {MOST} allowed")]
    TooLong(usize),
    #[error("a frame is not what was expected")]
    Json(#[from] serde_json::Error),
    #[error("{wanted} file descriptors were announced and {got} came")]
    Descriptors { wanted: usize, got: usize },
}

/// Receives bytes and the descriptors beside them; 0 bytes: the other side closed.
pub async fn receive(stream: &UnixStream, bytes: &mut [u8], descriptors: &mut Vec<OwnedFd>) -> io::Result<usize> {
    stream
        .async_io(Interest::READABLE, || {
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS))];
            let mut ancillary = RecvAncillaryBuffer::new(&mut space);
            let got = recvmsg(stream, &mut [IoSliceMut::new(bytes)], &mut ancillary, RecvFlags::CMSG_CLOEXEC)?;
            for message in ancillary.drain() {
                if let RecvAncillaryMessage::ScmRights(rights) = message {
                    descriptors.extend(rights);
                }
            }
            Ok(got.bytes)
        })
        .await
}

/// Sends some of the bytes, with all of these descriptors (at most [`DESCRIPTORS`]) beside the first one.
async fn send(stream: &UnixStream, bytes: &[u8], descriptors: &[BorrowedFd<'_>]) -> io::Result<usize> {
    stream
        .async_io(Interest::WRITABLE, || {
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS))];
            let mut ancillary = SendAncillaryBuffer::new(&mut space);
            if !descriptors.is_empty() && !ancillary.push(SendAncillaryMessage::ScmRights(descriptors)) {
                return Err(io::Error::other("too many file descriptors for one message"));
            }
            Ok(sendmsg(stream, &[IoSlice::new(bytes)], &mut ancillary, SendFlags::NOSIGNAL)?)
        })
        .await
}

/// The writing end.
pub struct FrameWriter {
    stream: Arc<UnixStream>,
}

impl FrameWriter {
    pub fn new(stream: Arc<UnixStream>) -> Self {
        Self { stream }
    }

    /// Ends the connection in both directions, for its reader too.
    pub fn close(&mut self) {
        // Fails if the other side ended it already.
        let _ = rustix::net::shutdown(&self.stream, rustix::net::Shutdown::Both);
    }

    /// Writes one frame, with descriptors beside it. Not cancel-safe: half a frame ends the connection's use.
    pub async fn write<T: Serialize>(&mut self, frame: &T, descriptors: &[impl AsFd]) -> Result<(), FrameError> {
        let mut bytes = vec![0; 4];
        serde_json::to_writer(&mut bytes, frame)?;
        let length = bytes.len() - 4;
        if length > MOST {
            return Err(FrameError::TooLong(length));
        }
        bytes[..4].copy_from_slice(&(length as u32).to_le_bytes());
        let mut rest = &bytes[..];
        let borrowed: Vec<BorrowedFd<'_>> = descriptors.iter().map(AsFd::as_fd).collect();
        // Every batch of descriptors needs a byte of its own to travel beside.
        for batch in borrowed.chunks(DESCRIPTORS) {
            let sent = send(&self.stream, &rest[..1], batch).await?;
            rest = &rest[sent..];
        }
        while !rest.is_empty() {
            let sent = send(&self.stream, rest, &[]).await?;
            rest = &rest[sent..];
        }
        Ok(())
    }
}

/// The reading end.
pub struct FrameReader {
    stream: Arc<UnixStream>,
    bytes: BytesMut,
    descriptors: Vec<OwnedFd>,
    chunk: Box<[u8]>,
}

impl FrameReader {
    pub fn new(stream: Arc<UnixStream>) -> Self {
        Self { stream, bytes: BytesMut::new(), descriptors: Vec::new(), chunk: vec![0; 64 * 1024].into() }
    }

    /// Reads the next frame. Cancel-safe: what was read stays in the reader.
    pub async fn read<T: DeserializeOwned>(&mut self) -> Result<T, FrameError> {
        loop {
            if let Some(head) = self.bytes.first_chunk::<4>() {
                let length = u32::from_le_bytes(*head) as usize;
                if length > MOST {
                    return Err(FrameError::TooLong(length));
                }
                if self.bytes.len() >= 4 + length {
                    self.bytes.advance(4);
                    let frame = self.bytes.split_to(length);
                    return Ok(serde_json::from_slice(&frame)?);
                }
            }
            let got = receive(&self.stream, &mut self.chunk, &mut self.descriptors).await?;
            if got == 0 {
                return Err(FrameError::Closed);
            }
            self.bytes.extend_from_slice(&self.chunk[..got]);
        }
    }

    /// Takes the descriptors that came beside the frame just read.
    pub fn take_descriptors(&mut self, wanted: usize) -> Result<Vec<OwnedFd>, FrameError> {
        if self.descriptors.len() < wanted {
            return Err(FrameError::Descriptors { wanted, got: self.descriptors.len() });
        }
        let rest = self.descriptors.split_off(wanted);
        Ok(std::mem::replace(&mut self.descriptors, rest))
    }
}
