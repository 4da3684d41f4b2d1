//! Finds a firewall of someone else's which drops what instances send to the outside.
//!
//! An accepting rule of ours cannot overrule another table's drop, so all Pillion can do is to name the firewall
//! and the command that opens it. Docker, ufw and firewalld are told apart by the chains they make.

use std::{
    fs, io,
    os::fd::{AsRawFd, OwnedFd},
};

use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};

use super::{
    link,
    netlink::{Message, Socket, attributes},
};

const GETCHAIN: u16 = (10 << 8) | 4;
const GETRULE: u16 = (10 << 8) | 7;
const NFPROTO_UNSPEC: u8 = 0;
const NFPROTO_INET: u8 = 1;
const NFPROTO_IPV4: u8 = 2;
const HOOK_FORWARD: u32 = 2;
const DROP: u32 = 0;

/// A firewall that drops forwarded packets by default and has no rule that mentions the bridge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForeignFirewall {
    /// Who seems to have made it, e.g. `Docker`.
    pub owner: String,
    /// Where the drop is, e.g. `chain FORWARD of table filter (nftables)`.
    pub place: String,
    /// The command that lets instances out.
    pub fix: String,
}

/// Looks for a firewall that keeps the instances on `bridge` from the outside.
pub fn foreign_firewall(bridge: &str) -> io::Result<Option<ForeignFirewall>> {
    let chains = chains()?;
    let owner = owner(&chains);
    for chain in &chains {
        let drops = chain.hook == Some(HOOK_FORWARD) && (chain.policy == Some(DROP) || chain.table == "firewalld");
        if chain.table == bridge || !drops || rules_mention(chain, bridge)? {
            continue;
        }
        let place = format!("chain {} of table {} (nftables)", chain.name, chain.table);
        return Ok(Some(finding(owner_of(chain, owner), place, chain, bridge)));
    }
    if legacy_forward_drops(bridge)? {
        let place = "chain FORWARD of table filter (iptables-legacy)".to_owned();
        let chain = Chain { name: "FORWARD".into(), table: "filter".into(), family: NFPROTO_IPV4, ..Chain::default() };
        let owner = if link::exists("docker0")? { Owner::Docker } else { Owner::Unknown };
        let mut found = finding(owner, place, &chain, bridge);
        found.fix = found.fix.replace("iptables ", "iptables-legacy ");
        return Ok(Some(found));
    }
    Ok(None)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Owner {
    Docker,
    Ufw,
    Firewalld,
    Unknown,
}

#[derive(Debug, Default)]
struct Chain {
    family: u8,
    table: String,
    name: String,
    hook: Option<u32>,
    policy: Option<u32>,
}

fn finding(owner: Owner, place: String, chain: &Chain, bridge: &str) -> ForeignFirewall {
    let (name, fix) = match owner {
        Owner::Docker => {
            ("Docker", format!("iptables -I DOCKER-USER -i {bridge} -j ACCEPT && iptables -I DOCKER-USER -o {bridge} -j ACCEPT"))
        }
        Owner::Ufw => ("ufw", format!("ufw route allow in on {bridge} && ufw route allow out on {bridge}")),
        Owner::Firewalld => {
            ("firewalld", format!("firewall-cmd --permanent --zone=trusted --add-interface={bridge} && firewall-cmd --reload"))
        }
        Owner::Unknown if chain.name == "FORWARD" => {
            ("a firewall", format!("iptables -I FORWARD -i {bridge} -j ACCEPT && iptables -I FORWARD -o {bridge} -j ACCEPT"))
        }
        Owner::Unknown => {
            let family = if chain.family == NFPROTO_INET { "inet" } else { "ip" };
            let at = format!("nft insert rule {family} {} {}", chain.table, chain.name);
            ("a firewall", format!("{at} iifname {bridge} accept && {at} oifname {bridge} accept"))
        }
    };
    ForeignFirewall { owner: name.into(), place, fix }
}

/// Docker and ufw share the table `filter`; firewalld has one of its own.
fn owner_of(chain: &Chain, of_filter: Owner) -> Owner {
    match chain.table.as_str() {
        "firewalld" => Owner::Firewalld,
        "filter" if chain.name == "FORWARD" => of_filter,
        _ => Owner::Unknown,
    }
}

fn owner(chains: &[Chain]) -> Owner {
    let has = |prefix: &str| chains.iter().any(|chain| chain.table == "filter" && chain.name.starts_with(prefix));
    // With both, ufw's route rules are looked at only after Docker's chain: opening Docker's lets packets through.
    match (has("DOCKER-USER"), has("ufw-")) {
        (true, _) => Owner::Docker,
        (false, true) => Owner::Ufw,
        (false, false) => Owner::Unknown,
    }
}

fn chains() -> io::Result<Vec<Chain>> {
    let replies = match Socket::netfilter()?.dump(Message::new(GETCHAIN, 0, &[NFPROTO_UNSPEC, 0, 0, 0])) {
        // A kernel without nf_tables has no such firewall either.
        Err(error) if matches!(error.raw_os_error(), Some(libc::EINVAL | libc::EOPNOTSUPP | libc::EPROTONOSUPPORT)) => {
            return Ok(Vec::new());
        }
        other => other?,
    };
    Ok(replies
        .iter()
        .filter(|reply| matches!(reply.body.first(), Some(&(NFPROTO_INET | NFPROTO_IPV4))))
        .map(|reply| parse_chain(&reply.body))
        .collect())
}

fn parse_chain(body: &[u8]) -> Chain {
    let mut chain = Chain { family: body[0], ..Chain::default() };
    for (kind, value) in attributes(body.get(4..).unwrap_or_default()) {
        match kind {
            1 => chain.table = text(value),
            3 => chain.name = text(value),
            4 => chain.hook = attributes(value).find(|(kind, _)| *kind == 1).and_then(|(_, number)| be32(number)),
            5 => chain.policy = be32(value),
            _ => {}
        }
    }
    chain
}

/// Whether a rule in the chain's table names the bridge: then somebody has opened it already.
fn rules_mention(chain: &Chain, bridge: &str) -> io::Result<bool> {
    let request = Message::new(GETRULE, 0, &[chain.family, 0, 0, 0]).text(1, &chain.table);
    Ok(Socket::netfilter()?.dump(request)?.iter().any(|reply| contains(&reply.body, bridge.as_bytes())))
}

/// Reads the FORWARD policy of iptables' own kernel tables, which nf_tables does not show.
fn legacy_forward_drops(bridge: &str) -> io::Result<bool> {
    let tables = fs::read_to_string("/proc/thread-self/net/ip_tables_names").unwrap_or_default();
    if !tables.lines().any(|table| table == "filter") {
        return Ok(false);
    }
    const INFO: usize = 84;
    const NAME: usize = 32;
    let (get_info, get_entries) = (64, 65);
    let socket = socket_with(AddressFamily::INET, SocketType::RAW, SocketFlags::CLOEXEC, Some(rustix::net::ipproto::RAW))?;
    let mut info = [0u8; INFO];
    info[..6].copy_from_slice(b"filter");
    get_option(&socket, get_info, &mut info)?;
    let field = |at: usize| u32::from_ne_bytes([info[at], info[at + 1], info[at + 2], info[at + 3]]) as usize;
    // struct ipt_getinfo: name, valid_hooks, hook_entry[5], underflow[5], num_entries, size.
    let (policy_at, size) = (field(NAME + 4 + 20 + 2 * 4), field(NAME + 4 + 40 + 4));
    let mut entries = vec![0u8; NAME + 8 + size];
    entries[..6].copy_from_slice(b"filter");
    entries[NAME..NAME + 4].copy_from_slice(&(size as u32).to_ne_bytes());
    get_option(&socket, get_entries, &mut entries)?;
    // struct ipt_get_entries is padded to the alignment of the entries' counters.
    let entries = &entries[NAME + 8..];
    let (target_offset_at, verdict_at, drop) = (policy_at + 88, 32, -1i32);
    let Some(offset) = entries.get(target_offset_at..target_offset_at + 2) else { return Ok(false) };
    let at = policy_at + usize::from(u16::from_ne_bytes([offset[0], offset[1]])) + verdict_at;
    let Some(verdict) = entries.get(at..).and_then(|rest| rest.first_chunk::<4>()) else { return Ok(false) };
    Ok(i32::from_ne_bytes(*verdict) == drop && !contains(entries, bridge.as_bytes()))
}

fn get_option(socket: &OwnedFd, option: i32, buffer: &mut [u8]) -> io::Result<()> {
    let mut length = buffer.len() as libc::socklen_t;
    // SAFETY: the pointer and the length describe `buffer`, which outlives the call; the kernel writes no more than that.
    let result =
        unsafe { libc::getsockopt(socket.as_raw_fd(), libc::IPPROTO_IP, option, buffer.as_mut_ptr().cast(), &raw mut length) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}

fn text(value: &[u8]) -> String {
    String::from_utf8_lossy(value.strip_suffix(&[0]).unwrap_or(value)).into_owned()
}

fn be32(value: &[u8]) -> Option<u32> {
    value.first_chunk::<4>().map(|bytes| u32::from_be_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use std::{process::Command, thread};

    use rustix::thread::{UnshareFlags, unshare_unsafe};

    use super::*;
    use crate::network::nft::{self, Hook, Rule};

    /// Runs `work` in a network namespace of its own.
    fn apart<T: Send>(work: impl FnOnce() -> T + Send) -> T {
        thread::scope(|scope| {
            let thread = scope.spawn(|| {
                // SAFETY: file descriptors are not unshared.
                unsafe { unshare_unsafe(UnshareFlags::NEWNET) }.expect("a network namespace");
                work()
            });
            thread.join().expect("the work succeeds")
        })
    }

    fn apply(messages: Vec<Message>) {
        Socket::netfilter().expect("a socket").batch(nft::batch(messages)).expect("applied");
    }

    fn dropping_forward(table: &str, chain: &str) -> Vec<Message> {
        vec![nft::table(table), nft::base_chain(table, chain, Hook::Forward, 0).attr(5, &DROP.to_be_bytes())]
    }

    #[test]
    fn dockers_drop_is_named_with_the_commands_that_open_it_until_they_were_run() {
        apart(|| {
            let mut rules = dropping_forward("filter", "FORWARD");
            rules.push(nft::chain("filter", "DOCKER-USER"));
            apply(rules);

            let found = foreign_firewall("pt0").expect("looked").expect("found");
            assert_eq!((found.owner.as_str(), found.place.as_str()), ("Docker", "chain FORWARD of table filter (nftables)"));
            assert!(found.fix.starts_with("iptables -I DOCKER-USER -i pt0 -j ACCEPT"), "{}", found.fix);

            apply(vec![Rule::new().arriving_by("pt0").accept("filter", "DOCKER-USER")]);
            assert_eq!(foreign_firewall("pt0").expect("looked"), None);
            assert!(foreign_firewall("pt1").expect("looked").is_some(), "another bridge is still closed");
        });
    }

    #[test]
    fn ufw_and_a_firewall_nobody_knows_are_told_apart_and_an_accepting_one_is_none() {
        apart(|| {
            apply(vec![nft::table("mine"), nft::base_chain("mine", "forward", Hook::Forward, 0)]);
            assert_eq!(foreign_firewall("pt0").expect("looked"), None);

            apply(dropping_forward("own", "fwd"));
            let found = foreign_firewall("pt0").expect("looked").expect("found");
            assert_eq!(found.place, "chain fwd of table own (nftables)");
            assert!(found.fix.starts_with("nft insert rule ip own fwd iifname pt0 accept"), "{}", found.fix);
        });
        apart(|| {
            let mut rules = dropping_forward("filter", "FORWARD");
            rules.push(nft::chain("filter", "ufw-user-forward"));
            apply(rules);
            assert_eq!(foreign_firewall("pt0").expect("looked").map(|found| found.owner), Some("ufw".into()));
        });
    }

    #[test]
    fn a_drop_in_the_old_kernel_tables_is_seen_though_nf_tables_does_not_show_it() {
        apart(|| {
            let iptables = |arguments: &str| {
                let status = Command::new("iptables-legacy").args(arguments.split(' ')).status().expect("iptables is installed");
                assert!(status.success(), "{arguments}");
            };
            iptables("-P FORWARD ACCEPT");
            assert_eq!(foreign_firewall("pt0").expect("looked"), None);
            iptables("-P FORWARD DROP");
            let found = foreign_firewall("pt0").expect("looked").expect("found");
            assert_eq!(found.place, "chain FORWARD of table filter (iptables-legacy)");
            assert!(found.fix.starts_with("iptables-legacy -I FORWARD -i pt0"), "{}", found.fix);
            iptables("-I FORWARD -i pt0 -j ACCEPT");
            assert_eq!(foreign_firewall("pt0").expect("looked"), None);
        });
    }
}
