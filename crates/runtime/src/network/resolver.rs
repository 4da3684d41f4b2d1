//! The host's name servers, as instances can use them.

use std::{fs, net::IpAddr, path::Path};

/// What `/etc/resolv.conf` of an instance is made from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Resolver {
    pub nameservers: Vec<String>,
    pub search: Vec<String>,
}

/// Returns the name servers that the host uses, never one on loopback, which an instance could not reach.
///
/// A host whose `resolv.conf` names only a local stub (systemd-resolved) keeps the real ones in
/// `/run/systemd/resolve/resolv.conf`. The list may be empty.
pub fn host_resolver() -> Resolver {
    first_usable(&[Path::new("/etc/resolv.conf"), Path::new("/run/systemd/resolve/resolv.conf")])
}

fn first_usable(paths: &[&Path]) -> Resolver {
    let mut found = Resolver::default();
    for path in paths {
        let parsed = parse(&fs::read_to_string(path).unwrap_or_default());
        if found.search.is_empty() {
            found.search = parsed.search;
        }
        if !parsed.nameservers.is_empty() {
            found.nameservers = parsed.nameservers;
            break;
        }
    }
    found
}

fn parse(text: &str) -> Resolver {
    let mut resolver = Resolver::default();
    for line in text.lines() {
        let mut words = line.split_whitespace();
        match words.next() {
            Some("nameserver") => resolver.nameservers.extend(words.next().filter(|word| reachable(word)).map(str::to_owned)),
            // The last of several lines counts; "domain" is the old spelling of a search list of one (resolv.conf(5)).
            Some("search" | "domain") => {
                resolver.search = words.filter(|word| *word != ".").map(str::to_owned).collect();
            }
            Some(_) | None => {}
        }
    }
    resolver
}

/// IPv6 servers are left out with the loopback ones: an instance has IPv4 only beyond its own loopback.
fn reachable(server: &str) -> bool {
    match server.parse::<IpAddr>() {
        Ok(IpAddr::V4(address)) => !address.is_loopback() && !address.is_unspecified() && !address.is_link_local(),
        Ok(IpAddr::V6(_)) | Err(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stub_on_loopback_gives_way_to_the_real_servers_and_the_search_list_stays() {
        let dir = std::env::temp_dir().join(format!("pillion-resolver-{}", std::process::id()));
        fs::create_dir_all(&dir).expect("a directory");
        let (stub, real) = (dir.join("stub"), dir.join("real"));
        fs::write(&stub, "# local\nnameserver 127.0.0.53\noptions edns0\nsearch corp.example lan\n").expect("a file");
        fs::write(&real, "nameserver ::1\nnameserver 192.0.2.53\nnameserver 2001:db8::1\nsearch other\n").expect("a file");

        let found = first_usable(&[&stub, &real]);

        fs::remove_dir_all(&dir).expect("removal");
        assert_eq!(found.nameservers, ["192.0.2.53"]);
        assert_eq!(found.search, ["corp.example", "lan"]);
    }

    #[test]
    fn a_host_without_servers_gives_none_rather_than_a_guess() {
        assert_eq!(first_usable(&[Path::new("/nonexistent")]), Resolver::default());
    }
}
