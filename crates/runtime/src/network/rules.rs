//! What instances may send and receive, as one nf_tables table per bridge.
//!
//! ```text
//! prerouting ─ from bridge ▶         to an address of the host ✗ (before a port that Docker publishes is redirected)
//! forward ─ from bridge ─▶ outward:  address not pinned ✗, back into the bridge ✗, link-local and bogus ✗, rest ✓
//!         └ to bridge ───▶ inward:   answers ✓, rest ✗
//! input   ─ from bridge ─▶           answers ✓, rest ✗   (the host itself, whatever its address)
//! output  ─ to bridge ───▶           ICMP (errors about what went out) ✓, rest ✗
//! postrouting                        from the subnet, leaving by another link: masquerade
//! ```
//!
//! A rule cannot overrule another table's drop, so what is accepted here may still fall to a foreign firewall:
//! see [`super::foreign_firewall`].

use std::{io, net::Ipv4Addr};

use super::{
    BridgeSpec,
    link::Mac,
    netlink::{Message, Socket, attributes},
    nft::{self, ESTABLISHED_OR_RELATED, Hook, Rule},
};

const PINNED: &str = "pinned";
const ICMP: u8 = 1;

/// Destinations which no instance has business with: this network, loopback, link-local (cloud metadata), multicast
/// and reserved (with the limited broadcast).
const BOGUS: [(Ipv4Addr, u8); 5] = [
    (Ipv4Addr::new(0, 0, 0, 0), 8),
    (Ipv4Addr::new(127, 0, 0, 0), 8),
    (Ipv4Addr::new(169, 254, 0, 0), 16),
    (Ipv4Addr::new(224, 0, 0, 0), 4),
    (Ipv4Addr::new(240, 0, 0, 0), 4),
];

/// Puts the rules of a bridge in force, replacing those of an earlier version; pinned addresses stay.
pub(super) fn apply(bridge: &BridgeSpec) -> io::Result<()> {
    let mut socket = Socket::netfilter()?;
    match socket.batch(nft::batch(rule_set(bridge, Published::Guarded))) {
        // A small kernel may lack the module that looks up what an address is. The input chain still guards the
        // host itself.
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            tracing::warn!(bridge = bridge.name, "the kernel lacks nft_fib: instances may reach ports that the host redirects");
            Socket::netfilter()?.batch(nft::batch(rule_set(bridge, Published::Open)))
        }
        other => other,
    }
}

/// Whether ports of the host that another program redirects to its own containers are kept from instances.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Published {
    Guarded,
    Open,
}

fn rule_set(bridge: &BridgeSpec, published: Published) -> Vec<Message> {
    let (table, name) = (bridge.name.as_str(), bridge.name.as_str());
    let (net, prefix) = bridge.subnet;
    // After connection tracking (-200), before destination NAT (-100); before the usual filter chains (0); source NAT
    // has its place at 100.
    let (early, filter, source_nat) = (-150, -10, 100);
    let mut messages = vec![
        nft::table(table),
        nft::address_set(table, PINNED),
        nft::chain(table, "outward"),
        nft::chain(table, "inward"),
        nft::base_chain(table, "prerouting", Hook::Prerouting, early),
        nft::base_chain(table, "forward", Hook::Forward, filter),
        nft::base_chain(table, "input", Hook::Input, filter),
        nft::base_chain(table, "output", Hook::Output, filter),
        nft::base_chain(table, "postrouting", Hook::Postrouting, source_nat),
        nft::remove_rules(table),
        Rule::new().arriving_by(name).jump("outward", table, "forward"),
        Rule::new().leaving_by(name).jump("inward", table, "forward"),
        Rule::new().source_not_in_set(PINNED).drop(table, "outward"),
        Rule::new().leaving_by(name).drop(table, "outward"),
    ];
    messages.extend(BOGUS.iter().map(|(net, prefix)| Rule::new().destination_in(*net, *prefix).drop(table, "outward")));
    messages.extend([
        Rule::new().state(ESTABLISHED_OR_RELATED).accept(table, "inward"),
        Rule::new().drop(table, "inward"),
        Rule::new().arriving_by(name).state(ESTABLISHED_OR_RELATED).accept(table, "input"),
        Rule::new().arriving_by(name).drop(table, "input"),
        Rule::new().leaving_by(name).not_protocol(ICMP).drop(table, "output"),
        Rule::new().source_in(net, prefix).not_leaving_by(name).masquerade(table, "postrouting"),
    ]);
    if published == Published::Guarded {
        messages.extend([
            Rule::new().arriving_by(name).state(ESTABLISHED_OR_RELATED).accept(table, "prerouting"),
            Rule::new().arriving_by(name).destination_is_local().drop(table, "prerouting"),
        ]);
    }
    messages
}

/// Lets packets from `address` pass if they also come from `mac`.
pub(super) fn pin(bridge: &str, address: Ipv4Addr, mac: Mac) -> io::Result<()> {
    Socket::netfilter()?.batch(nft::batch([nft::add_member(bridge, PINNED, address, mac)]))
}

/// Undoes [`pin`]; fine if it never happened.
pub(super) fn unpin(bridge: &str, address: Ipv4Addr, mac: Mac) -> io::Result<()> {
    absent_is_fine(Socket::netfilter()?.batch(nft::batch([nft::remove_member(bridge, PINNED, address, mac)])))
}

/// Whether there is a table for a bridge.
pub(super) fn exist(bridge: &str) -> io::Result<bool> {
    let wanted = nft::name_value(bridge);
    let tables = Socket::netfilter()?.dump(nft::list_tables())?;
    Ok(tables
        .iter()
        .any(|table| attributes(table.body.get(4..).unwrap_or_default()).any(|(kind, name)| kind == 1 && name == wanted)))
}

/// Removes the table of a bridge; fine if there is none.
pub(super) fn remove(bridge: &str) -> io::Result<()> {
    absent_is_fine(Socket::netfilter()?.batch(nft::batch([nft::remove_table(bridge)])))
}

fn absent_is_fine(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}
