//! Which TCP ports are listened on in this process's network namespace, and by which container.

use std::{
    collections::{BTreeMap, HashMap},
    fs,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use pillion_fault::Listener;

/// The last look: while the sockets are the same, so are their holders, and `/proc/*/fd` need not be searched.
#[derive(Debug, Default)]
pub(crate) struct Listening {
    sockets: Vec<(SocketAddr, u64)>,
    listeners: Vec<Listener>,
}

impl Listening {
    /// Looks; `processes` gives each container's processes and is asked only when the sockets changed.
    pub(crate) fn look(&mut self, processes: impl FnOnce() -> Vec<(String, Vec<i32>)>) -> Vec<Listener> {
        let mut sockets = Vec::new();
        for table in ["/proc/self/net/tcp", "/proc/self/net/tcp6"] {
            // Absent where the kernel has no IPv6.
            sockets.extend(fs::read_to_string(table).unwrap_or_default().lines().skip(1).filter_map(parse));
        }
        // The kernel lists by hash bucket; equal looks must compare equal.
        sockets.sort_unstable();
        let complete = self.listeners.iter().all(|l| l.container.is_some());
        if sockets == self.sockets && complete {
            return self.listeners.clone();
        }
        let holders = if sockets.is_empty() { HashMap::new() } else { holders(&processes()) };
        self.listeners = sockets
            .iter()
            .map(|(address, inode)| {
                let holder = holders.get(inode);
                Listener {
                    address: *address,
                    container: holder.map(|(container, _)| container.clone()),
                    process: holder.and_then(|(_, pid)| comm(*pid)),
                }
            })
            .collect();
        self.sockets = sockets;
        self.listeners.clone()
    }
}

/// proc_net_tcp: `sl local_address rem_address st tx:rx tr:when retrnsmt uid timeout inode …`; state 0A listens.
fn parse(line: &str) -> Option<(SocketAddr, u64)> {
    let mut fields = line.split_ascii_whitespace();
    let local = fields.nth(1)?;
    if fields.nth(1)? != "0A" {
        return None;
    }
    let inode = fields.nth(5)?.parse().ok()?;
    let (address, port) = local.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    // Words of four bytes in the host's order.
    let words: Vec<[u8; 4]> = (0..address.len() / 8)
        .filter_map(|n| u32::from_str_radix(address.get(n * 8..n * 8 + 8)?, 16).ok())
        .map(u32::to_ne_bytes)
        .collect();
    let ip = match words.as_slice() {
        [only] => IpAddr::V4(Ipv4Addr::from(*only)),
        [a, b, c, d] => {
            let mut bytes = [0; 16];
            for (at, word) in [a, b, c, d].into_iter().enumerate() {
                bytes[at * 4..at * 4 + 4].copy_from_slice(word);
            }
            IpAddr::V6(Ipv6Addr::from(bytes))
        }
        _ => return None,
    };
    Some((SocketAddr::new(ip, port), inode))
}

/// Socket inode → container and process.
fn holders(processes: &[(String, Vec<i32>)]) -> HashMap<u64, (String, i32)> {
    let mut found = HashMap::new();
    let all: BTreeMap<i32, &String> =
        processes.iter().flat_map(|(container, pids)| pids.iter().map(move |pid| (*pid, container))).collect();
    for (pid, container) in all {
        let Ok(entries) = fs::read_dir(format!("/proc/{pid}/fd")) else { continue };
        for entry in entries.flatten() {
            let Ok(target) = fs::read_link(entry.path()) else { continue };
            let inode = target.to_str().and_then(|t| t.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok());
            if let Some(inode) = inode {
                found.entry(inode).or_insert_with(|| (container.clone(), pid));
            }
        }
    }
    found
}

fn comm(pid: i32) -> Option<String> {
    Some(fs::read_to_string(format!("/proc/{pid}/comm")).ok()?.trim_end().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listening_socket_of_this_process_is_found_with_its_holder() {
        let socket = std::net::TcpListener::bind("127.0.0.1:0").expect("bound");
        let address = socket.local_addr().expect("an address");
        let pid = std::process::id() as i32;
        let found = Listening::default().look(|| vec![("web".into(), vec![pid])]);
        let own = found.iter().find(|l| l.address == address).expect("listed");
        assert_eq!(own.container.as_deref(), Some("web"));
        assert!(own.process.is_some());
    }

    #[test]
    fn an_ipv6_address_is_read_in_network_order() {
        let line = "  0: 00000000000000000000000001000000:1F90 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4242 1 0";
        let found = parse(line).expect("parsed");
        assert_eq!(found, ("[::1]:8080".parse().expect("an address"), 4242));
    }
}
