//! Netlink, as little of it as the network needs: messages with attributes, acknowledged requests, dumps.

use std::{io, mem::MaybeUninit, os::fd::OwnedFd};

use rustix::net::{
    AddressFamily, Protocol, RecvFlags, SendFlags, SocketFlags, SocketType, netlink::SocketAddrNetlink, recv, send, socket_with,
};

pub(super) const REQUEST: u16 = 0x1;
pub(super) const ACK: u16 = 0x4;
pub(super) const DUMP: u16 = 0x300;
pub(super) const REPLACE: u16 = 0x100;
pub(super) const EXCL: u16 = 0x200;
pub(super) const CREATE: u16 = 0x400;

const ERROR: u16 = 2;
const DONE: u16 = 3;
const NESTED: u16 = 0x8000;
const HEADER: usize = 16;

/// One netlink message being written: header, family header, attributes.
#[derive(Debug)]
pub(super) struct Message {
    bytes: Vec<u8>,
}

impl Message {
    pub fn new(kind: u16, flags: u16, family_header: &[u8]) -> Self {
        let mut bytes = vec![0; HEADER];
        bytes[4..6].copy_from_slice(&kind.to_ne_bytes());
        bytes[6..8].copy_from_slice(&(flags | REQUEST).to_ne_bytes());
        bytes.extend_from_slice(family_header);
        Self { bytes }
    }

    pub fn attr(mut self, kind: u16, value: &[u8]) -> Self {
        put_attr(&mut self.bytes, kind, value);
        self
    }

    /// A string attribute, with the NUL byte that the kernel expects.
    pub fn text(self, kind: u16, value: &str) -> Self {
        let mut bytes = value.as_bytes().to_vec();
        bytes.push(0);
        self.attr(kind, &bytes)
    }

    pub fn nest(mut self, kind: u16, inner: Attrs) -> Self {
        put_attr(&mut self.bytes, kind | NESTED, &inner.bytes);
        self
    }

    fn finish(mut self, sequence: u32) -> Vec<u8> {
        let length = self.bytes.len() as u32;
        self.bytes[0..4].copy_from_slice(&length.to_ne_bytes());
        self.bytes[8..12].copy_from_slice(&sequence.to_ne_bytes());
        self.bytes
    }
}

/// Attributes inside an attribute.
#[derive(Debug, Default)]
pub(super) struct Attrs {
    bytes: Vec<u8>,
}

impl Attrs {
    pub fn new() -> Self {
        Self::default()
    }

    /// Starts with a family header, as `VETH_INFO_PEER` does.
    pub fn after(header: &[u8]) -> Self {
        Self { bytes: header.to_vec() }
    }

    pub fn attr(mut self, kind: u16, value: &[u8]) -> Self {
        put_attr(&mut self.bytes, kind, value);
        self
    }

    pub fn text(self, kind: u16, value: &str) -> Self {
        let mut bytes = value.as_bytes().to_vec();
        bytes.push(0);
        self.attr(kind, &bytes)
    }

    pub fn be32(self, kind: u16, value: u32) -> Self {
        self.attr(kind, &value.to_be_bytes())
    }

    pub fn nest(mut self, kind: u16, inner: Attrs) -> Self {
        put_attr(&mut self.bytes, kind | NESTED, &inner.bytes);
        self
    }
}

/// A message the kernel sent: its type and what follows the netlink header.
#[derive(Debug)]
pub(super) struct Reply {
    pub kind: u16,
    pub body: Vec<u8>,
}

/// A netlink socket in the network namespace of the thread that opened it.
#[derive(Debug)]
pub(super) struct Socket {
    fd: OwnedFd,
    sequence: u32,
}

impl Socket {
    pub fn route() -> io::Result<Self> {
        Self::open(None)
    }

    pub fn netfilter() -> io::Result<Self> {
        Self::open(Some(rustix::net::netlink::NETFILTER))
    }

    pub fn diagnosis() -> io::Result<Self> {
        Self::open(Some(rustix::net::netlink::SOCK_DIAG))
    }

    fn open(protocol: Option<Protocol>) -> io::Result<Self> {
        let fd = socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, protocol)?;
        rustix::net::bind(&fd, &SocketAddrNetlink::new(0, 0))?;
        // A kernel that does not answer is a bug somewhere, and must not hang an instance's start.
        rustix::net::sockopt::set_socket_timeout(
            &fd,
            rustix::net::sockopt::Timeout::Recv,
            Some(std::time::Duration::from_secs(10)),
        )?;
        Ok(Self { fd, sequence: 0 })
    }

    /// Sends one request and waits until the kernel has done it.
    pub fn request(&mut self, mut message: Message) -> io::Result<()> {
        let flags = u16::from_ne_bytes([message.bytes[6], message.bytes[7]]) | ACK;
        message.bytes[6..8].copy_from_slice(&flags.to_ne_bytes());
        self.sequence += 1;
        let sequence = self.sequence;
        self.send(&message.finish(sequence))?;
        loop {
            for (got, reply) in self.receive()? {
                if got == sequence && reply.kind == ERROR {
                    return errno(&reply.body);
                }
            }
        }
    }

    /// Sends `messages` in one datagram; the last but one of a batch (before its end mark) asks for the only answer.
    ///
    /// The kernel applies an nf_tables batch as a whole or not at all, and answers with an error for each message
    /// it refuses; without a refusal, the acknowledged message answers alone.
    pub fn batch(&mut self, mut messages: Vec<Message>) -> io::Result<()> {
        let acknowledged = messages.len().saturating_sub(2);
        let flags = u16::from_ne_bytes([messages[acknowledged].bytes[6], messages[acknowledged].bytes[7]]) | ACK;
        messages[acknowledged].bytes[6..8].copy_from_slice(&flags.to_ne_bytes());
        let (first, mut bytes) = (self.sequence + 1, Vec::new());
        for message in messages {
            self.sequence += 1;
            bytes.extend(message.finish(self.sequence));
        }
        self.send(&bytes)?;
        let wanted = first + acknowledged as u32;
        loop {
            for (got, reply) in self.receive()? {
                if got < first || reply.kind != ERROR {
                    continue;
                }
                match errno(&reply.body) {
                    Ok(()) if got == wanted => return Ok(()),
                    Ok(()) => {}
                    Err(error) => return Err(error),
                }
            }
        }
    }

    /// Returns every message of a dump.
    pub fn dump(&mut self, mut message: Message) -> io::Result<Vec<Reply>> {
        let flags = u16::from_ne_bytes([message.bytes[6], message.bytes[7]]) | DUMP;
        message.bytes[6..8].copy_from_slice(&flags.to_ne_bytes());
        self.sequence += 1;
        let sequence = self.sequence;
        self.send(&message.finish(sequence))?;
        let mut replies = Vec::new();
        loop {
            for (got, reply) in self.receive()? {
                if got != sequence {
                    continue;
                }
                match reply.kind {
                    DONE => return Ok(replies),
                    ERROR => {
                        errno(&reply.body)?;
                        return Ok(replies);
                    }
                    _ => replies.push(reply),
                }
            }
        }
    }

    fn send(&self, bytes: &[u8]) -> io::Result<()> {
        send(&self.fd, bytes, SendFlags::empty())?;
        Ok(())
    }

    /// Receives one datagram and splits it into messages with their sequence numbers.
    fn receive(&self) -> io::Result<Vec<(u32, Reply)>> {
        let mut buffer = [const { MaybeUninit::uninit() }; 32 * 1024];
        let ((bytes, _), _) = recv(&self.fd, &mut buffer, RecvFlags::empty())?;
        let (mut messages, mut rest) = (Vec::new(), &bytes[..]);
        while rest.len() >= HEADER {
            let length = u32::from_ne_bytes([rest[0], rest[1], rest[2], rest[3]]) as usize;
            if length < HEADER || length > rest.len() {
                break;
            }
            let kind = u16::from_ne_bytes([rest[4], rest[5]]);
            let sequence = u32::from_ne_bytes([rest[8], rest[9], rest[10], rest[11]]);
            messages.push((sequence, Reply { kind, body: rest[HEADER..length].to_vec() }));
            rest = &rest[aligned(length).min(rest.len())..];
        }
        Ok(messages)
    }
}

/// Iterates over the attributes in `bytes`: type without flag bits, value.
pub(super) fn attributes(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        if bytes.len() < 4 {
            return None;
        }
        let length = u16::from_ne_bytes([bytes[0], bytes[1]]) as usize;
        if length < 4 || length > bytes.len() {
            return None;
        }
        let kind = u16::from_ne_bytes([bytes[2], bytes[3]]) & 0x3fff;
        let value = &bytes[4..length];
        bytes = &bytes[aligned(length).min(bytes.len())..];
        Some((kind, value))
    })
}

fn errno(body: &[u8]) -> io::Result<()> {
    match body.first_chunk::<4>().map(|bytes| i32::from_ne_bytes(*bytes)) {
        Some(0) => Ok(()),
        Some(code) => Err(io::Error::from_raw_os_error(-code)),
        None => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

fn put_attr(bytes: &mut Vec<u8>, kind: u16, value: &[u8]) {
    bytes.extend_from_slice(&((value.len() + 4) as u16).to_ne_bytes());
    bytes.extend_from_slice(&kind.to_ne_bytes());
    bytes.extend_from_slice(value);
    bytes.resize(aligned(bytes.len()), 0);
}

fn aligned(length: usize) -> usize {
    (length + 3) & !3
}
