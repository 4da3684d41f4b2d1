//! The frames between supervisor, helper and a container's first process: u32 little-endian length, JSON, and
//! descriptors (SCM_RIGHTS) beside the length.

use std::{
    io::{self, IoSlice, IoSliceMut, Read, Write},
    mem::MaybeUninit,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::net::UnixStream,
    },
};

use pillion_fault::Fault;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tokio::io::{AsyncReadExt, AsyncWriteExt, Interest};

use super::TerminalSize;
use crate::spec::{ContainerSpec, ExecSpec, SandboxSpec};

/// A frame longer than this is not ours.
const MAX_FRAME: u32 = 32 << 20;
/// Descriptors beside one frame, at most.
const MAX_FDS: usize = 4;
/// What the supervisor sends to let a created container go.
pub(super) const GO: u8 = b'g';

/// The job of the role `create`; beside it: stdin, stdout, stderr, unless it gets a terminal.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct CreateRequest {
    pub sandbox: SandboxSpec,
    pub container: ContainerSpec,
    pub terminal: Option<TerminalSize>,
}

/// The job of the role `exec`; beside it: the pidfd of the container's first process, then as in [`CreateRequest`].
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct ExecRequest {
    pub sandbox: SandboxSpec,
    pub container: ContainerSpec,
    pub exec: ExecSpec,
    pub terminal: Option<TerminalSize>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Reply {
    /// The process exists, as the host numbers it.
    Made {
        pid: i32,
    },
    /// Beside it: the master of its terminal.
    Terminal,
    Failed {
        fault: Fault,
    },
}

/// Sends one frame; blocking.
pub(super) fn send<T: Serialize>(socket: &UnixStream, message: &T, fds: &[BorrowedFd<'_>]) -> io::Result<()> {
    let body = serde_json::to_vec(message)?;
    let head = (body.len() as u32).to_le_bytes();
    let sent = send_with_fds(socket.as_fd(), &head, fds)?;
    (&mut &*socket).write_all(&head[sent..])?;
    (&mut &*socket).write_all(&body)
}

/// Receives one frame; blocking.
pub(super) fn receive<T: DeserializeOwned>(socket: &UnixStream) -> io::Result<(T, Vec<OwnedFd>)> {
    let mut head = [0; 4];
    let mut fds = Vec::new();
    let got = receive_with_fds(socket.as_fd(), &mut head, &mut fds)?;
    if got == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    (&mut &*socket).read_exact(&mut head[got..])?;
    let mut body = vec![0; frame_length(head)?];
    (&mut &*socket).read_exact(&mut body)?;
    Ok((serde_json::from_slice(&body)?, fds))
}

/// Sends one frame.
pub(super) async fn send_async<T: Serialize>(
    socket: &mut tokio::net::UnixStream,
    message: &T,
    fds: &[BorrowedFd<'_>],
) -> io::Result<()> {
    let body = serde_json::to_vec(message)?;
    let head = (body.len() as u32).to_le_bytes();
    let sent = socket.async_io(Interest::WRITABLE, || send_with_fds(socket.as_fd(), &head, fds)).await?;
    socket.write_all(&head[sent..]).await?;
    socket.write_all(&body).await
}

/// Receives one frame; none at the end of file.
pub(super) async fn receive_async<T: DeserializeOwned>(
    socket: &mut tokio::net::UnixStream,
) -> io::Result<Option<(T, Vec<OwnedFd>)>> {
    let mut head = [0; 4];
    let mut fds = Vec::new();
    let got = socket.async_io(Interest::READABLE, || receive_with_fds(socket.as_fd(), &mut head, &mut fds)).await;
    let got = match got {
        // A helper that was killed with our request unread resets the connection.
        Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(None),
        got => got?,
    };
    if got == 0 {
        return Ok(None);
    }
    socket.read_exact(&mut head[got..]).await?;
    let mut body = vec![0; frame_length(head)?];
    socket.read_exact(&mut body).await?;
    Ok(Some((serde_json::from_slice(&body)?, fds)))
}

fn frame_length(head: [u8; 4]) -> io::Result<usize> {
    let length = u32::from_le_bytes(head);
    if length > MAX_FRAME {
        return Err(io::Error::new(io::ErrorKind::InvalidData, format!("a frame of {length} bytes")));
    }
    Ok(length as usize)
}

fn send_with_fds(socket: BorrowedFd<'_>, bytes: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<usize> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    if !fds.is_empty() && !ancillary.push(SendAncillaryMessage::ScmRights(fds)) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "too many descriptors for one frame"));
    }
    Ok(sendmsg(socket, &[IoSlice::new(bytes)], &mut ancillary, SendFlags::NOSIGNAL)?)
}

fn receive_with_fds(socket: BorrowedFd<'_>, bytes: &mut [u8], fds: &mut Vec<OwnedFd>) -> io::Result<usize> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let got = recvmsg(socket, &mut [IoSliceMut::new(bytes)], &mut ancillary, RecvFlags::CMSG_CLOEXEC)?;
    for message in ancillary.drain() {
        if let RecvAncillaryMessage::ScmRights(received) = message {
            fds.extend(received);
        }
    }
    Ok(got.bytes)
}
