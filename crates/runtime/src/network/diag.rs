//! Listening TCP sockets, asked of the kernel by `sock_diag`.
//!
//! `/proc/net/tcp` names them too, but to fill its first page the kernel walks its table of all connections of all
//! namespaces: milliseconds on a machine with much memory. Here it is told to look at listeners only.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use super::netlink::{Message, Socket};

const SOCK_DIAG_BY_FAMILY: u16 = 20;
const TCP: u8 = 6;
/// The set of socket states that holds `TCP_LISTEN` alone.
const LISTENING: u32 = 1 << 10;
/// `inet_diag_sockid`: ports, addresses, interface, cookie.
const SOCKET_ID: usize = 48;

/// Returns address and inode of every listening socket of the calling thread's network namespace.
pub(crate) fn listening() -> io::Result<Vec<(SocketAddr, u64)>> {
    let mut socket = Socket::diagnosis()?;
    let mut found = Vec::new();
    for family in [libc::AF_INET, libc::AF_INET6] {
        let mut request = vec![family as u8, TCP, 0, 0];
        request.extend_from_slice(&LISTENING.to_ne_bytes());
        request.resize(request.len() + SOCKET_ID, 0);
        let replies = socket.dump(Message::new(SOCK_DIAG_BY_FAMILY, 0, &request))?;
        found.extend(replies.iter().filter_map(|reply| read(&reply.body)));
    }
    Ok(found)
}

/// Reads one `inet_diag_msg`.
fn read(body: &[u8]) -> Option<(SocketAddr, u64)> {
    let port = u16::from_be_bytes(*body.get(4..)?.first_chunk()?);
    let address: IpAddr = match i32::from(*body.first()?) {
        libc::AF_INET => Ipv4Addr::from(*body.get(8..)?.first_chunk::<4>()?).into(),
        libc::AF_INET6 => Ipv6Addr::from(*body.get(8..)?.first_chunk::<16>()?).into(),
        _ => return None,
    };
    let inode = u32::from_ne_bytes(*body.get(68..)?.first_chunk()?);
    Some((SocketAddr::new(address, port), inode.into()))
}
