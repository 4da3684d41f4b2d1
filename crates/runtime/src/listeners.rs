//! Who listens on which TCP port in the current network namespace.
//!
//! The kernel is asked by netlink. Where it does not answer there, `/proc/…/net/tcp` is read, which lists listening
//! sockets first.

use std::{
    collections::HashMap,
    fs,
    io::{self, Read},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use pillion_fault::Listener;

use crate::{cgroup::Cgroup, network::diag};

/// `TCP_LISTEN`.
const LISTEN: &str = "0A";

/// A listening socket without its owner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListeningSocket {
    pub address: SocketAddr,
    inode: u64,
}

/// Whether anything listens on `port`, on whatever address.
pub fn is_listening(port: u16) -> io::Result<bool> {
    Ok(listening()?.iter().any(|socket| socket.address.port() == port))
}

/// Returns the listening sockets; a socket on `[::]` that takes IPv4 too shows as `[::]`.
pub fn listening() -> io::Result<Vec<ListeningSocket>> {
    if let Ok(sockets) = diag::listening() {
        return Ok(sockets.into_iter().map(|(address, inode)| ListeningSocket { address, inode }).collect());
    }
    listening_by_proc()
}

fn listening_by_proc() -> io::Result<Vec<ListeningSocket>> {
    let mut sockets = listening_in("/proc/thread-self/net/tcp")?;
    match listening_in("/proc/thread-self/net/tcp6") {
        // A kernel without IPv6.
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        other => sockets.extend(other?),
    }
    Ok(sockets)
}

/// Returns the listening sockets with the container and process that hold each.
///
/// `containers`: name and control group. What listens outside of them all has no container.
pub fn listeners(containers: &[(String, Cgroup)]) -> io::Result<Vec<Listener>> {
    let sockets = listening()?;
    let mut holders: HashMap<u64, (&str, String)> = HashMap::new();
    for (name, cgroup) in containers {
        // Enough is known once every socket has its holder.
        if holders.len() == sockets.len() {
            break;
        }
        for pid in cgroup.pids() {
            for inode in held_by(pid) {
                if sockets.iter().any(|socket| socket.inode == inode) {
                    holders.entry(inode).or_insert_with(|| (name, command_name(pid)));
                }
            }
        }
    }
    let mut found: Vec<Listener> = sockets
        .into_iter()
        .map(|socket| {
            let holder = holders.get(&socket.inode);
            Listener {
                address: socket.address,
                container: holder.map(|(name, _)| (*name).to_owned()),
                process: holder.map(|(_, process)| process.clone()),
            }
        })
        .collect();
    found.sort();
    found.dedup();
    Ok(found)
}

fn listening_in(path: &str) -> io::Result<Vec<ListeningSocket>> {
    let mut file = fs::File::open(path)?;
    let (mut text, mut sockets) = (Vec::new(), Vec::new());
    let mut buffer = [0; 4096];
    loop {
        let read = file.read(&mut buffer)?;
        text.extend_from_slice(&buffer[..read]);
        let complete = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        for line in String::from_utf8_lossy(&text[..complete]).lines() {
            if line.trim_start().starts_with("sl") {
                continue;
            }
            match parse(line) {
                Some(Line::Listening(socket)) => sockets.push(socket),
                Some(Line::Other) => return Ok(sockets),
                None => {}
            }
        }
        text.drain(..complete);
        if read == 0 {
            return Ok(sockets);
        }
    }
}

enum Line {
    Listening(ListeningSocket),
    Other,
}

/// Reads one line: `sl local remote state queues timer retransmits uid timeout inode …`.
fn parse(line: &str) -> Option<Line> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    if *fields.get(3)? != LISTEN {
        return Some(Line::Other);
    }
    let (address, port) = fields.get(1)?.split_once(':')?;
    let address = SocketAddr::new(parse_address(address)?, u16::from_str_radix(port, 16).ok()?);
    Some(Line::Listening(ListeningSocket { address, inode: fields.get(9)?.parse().ok()? }))
}

/// The kernel prints each 32-bit word of an address as a number in the machine's byte order.
fn parse_address(text: &str) -> Option<IpAddr> {
    let mut bytes = Vec::with_capacity(16);
    for word in text.as_bytes().chunks(8) {
        let word = u32::from_str_radix(std::str::from_utf8(word).ok()?, 16).ok()?;
        bytes.extend_from_slice(&word.to_ne_bytes());
    }
    match bytes.len() {
        4 => Some(Ipv4Addr::from(<[u8; 4]>::try_from(bytes).ok()?).into()),
        16 => Some(Ipv6Addr::from(<[u8; 16]>::try_from(bytes).ok()?).into()),
        _ => None,
    }
}

/// Returns the inodes of the sockets that a process holds; none if it ended meanwhile.
fn held_by(pid: i32) -> Vec<u64> {
    let Ok(fds) = fs::read_dir(format!("/proc/{pid}/fd")) else { return Vec::new() };
    fds.flatten()
        .filter_map(|fd| {
            let target = fs::read_link(fd.path()).ok()?;
            target.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
        })
        .collect()
}

fn command_name(pid: i32) -> String {
    fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default().trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn a_listener_is_seen_from_bind_to_close_on_both_families() {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let listener = TcpListener::bind(address).expect("a listener");
            let local = listener.local_addr().expect("an address");
            assert!(listening().expect("listed").iter().any(|socket| socket.address == local), "{local}");
            assert!(is_listening(local.port()).expect("listed"));
            drop(listener);
            assert!(!listening().expect("listed").iter().any(|socket| socket.address == local), "{local}");
        }
    }

    #[test]
    fn netlink_and_procfs_tell_the_same() {
        for address in ["127.0.0.1:0", "[::1]:0", "0.0.0.0:0", "[::]:0"] {
            let listener = TcpListener::bind(address).expect("a listener");
            let local = listener.local_addr().expect("an address");
            let own = |sockets: Vec<ListeningSocket>| sockets.into_iter().find(|socket| socket.address == local);
            let by_netlink = diag::listening().expect("an answer").into_iter();
            let by_netlink = own(by_netlink.map(|(address, inode)| ListeningSocket { address, inode }).collect());
            assert!(by_netlink.is_some(), "{local}");
            assert_eq!(by_netlink, own(listening_by_proc().expect("listed")), "{local}");
        }
    }

    #[test]
    fn a_line_of_the_kernels_table_is_read() {
        let line = "   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 31337 1 0";
        match parse(line) {
            Some(Line::Listening(socket)) => {
                assert_eq!(socket.address, "127.0.0.1:8080".parse().expect("an address"));
                assert_eq!(socket.inode, 31337);
            }
            Some(Line::Other) | None => panic!("not read"),
        }
    }
}
