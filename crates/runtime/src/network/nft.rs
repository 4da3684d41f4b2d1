//! nf_tables messages: tables, chains, sets and the expressions that rules are made of.
//!
//! The constants are those of `linux/netfilter/nf_tables.h`; numbers travel big-endian. The tables are of family
//! `ip`: bridges carry no IPv6 at all (see [`super::ensure_bridge`]).

use std::net::Ipv4Addr;

use super::netlink::{Attrs, CREATE, Message};

const NFPROTO_IPV4: u8 = 2;
const SUBSYSTEM: u16 = 10;
const BATCH_BEGIN: u16 = 0x10;
const BATCH_END: u16 = 0x11;
const NEWTABLE: u16 = 0;
const GETTABLE: u16 = 1;
const DELTABLE: u16 = 2;
const NEWCHAIN: u16 = 3;
const NEWRULE: u16 = 6;
const DELRULE: u16 = 8;
const NEWSET: u16 = 9;
const NEWSETELEM: u16 = 12;
const DELSETELEM: u16 = 14;

const APPEND: u16 = 0x800;
const ELEMENT: u16 = 1;
const VALUE: u16 = 1;
const VERDICT: u16 = 2;
/// The four-byte registers start at 8; a value of 12 bytes takes three of them.
const REGISTER: u32 = 8;

pub(super) const ESTABLISHED_OR_RELATED: u32 = 2 | 4;

/// Where a base chain hooks in.
#[derive(Debug, Clone, Copy)]
pub(super) enum Hook {
    Prerouting,
    Input,
    Forward,
    Output,
    Postrouting,
}

/// Wraps `messages` so that they take effect together or not at all.
pub(super) fn batch(messages: impl IntoIterator<Item = Message>) -> Vec<Message> {
    let mark = |kind| Message::new(kind, 0, &[0, 0, 0, SUBSYSTEM as u8]);
    std::iter::once(mark(BATCH_BEGIN)).chain(messages).chain([mark(BATCH_END)]).collect()
}

pub(super) fn table(name: &str) -> Message {
    message(NEWTABLE, CREATE).text(1, name)
}

pub(super) fn remove_table(name: &str) -> Message {
    message(DELTABLE, 0).text(1, name)
}

pub(super) fn list_tables() -> Message {
    message(GETTABLE, 0)
}

/// A name as attributes hold it.
pub(super) fn name_value(name: &str) -> Vec<u8> {
    [name.as_bytes(), &[0]].concat()
}

/// Empties every chain of the table; sets keep their elements.
pub(super) fn remove_rules(table: &str) -> Message {
    message(DELRULE, 0).text(1, table)
}

pub(super) fn chain(table: &str, name: &str) -> Message {
    message(NEWCHAIN, CREATE).text(1, table).text(3, name)
}

pub(super) fn base_chain(table: &str, name: &str, hook: Hook, priority: i32) -> Message {
    let (number, kind) = match hook {
        Hook::Prerouting => (0, "filter"),
        Hook::Input => (1, "filter"),
        Hook::Forward => (2, "filter"),
        Hook::Output => (3, "filter"),
        Hook::Postrouting => (4, "nat"),
    };
    let hook = Attrs::new().be32(1, number).attr(2, &priority.to_be_bytes());
    chain(table, name).nest(4, hook).text(7, kind)
}

/// A set whose members are an IPv4 address and a link-layer address together.
pub(super) fn address_set(table: &str, name: &str) -> Message {
    // nft prints members by this type: ipv4_addr (7) . ether_addr (9).
    let (kind, length, id) = ((7u32 << 6) | 9, 12u32, 1u32);
    message(NEWSET, CREATE)
        .text(1, table)
        .text(2, name)
        .attr(4, &kind.to_be_bytes())
        .attr(5, &length.to_be_bytes())
        .attr(10, &id.to_be_bytes())
}

pub(super) fn add_member(table: &str, set: &str, address: Ipv4Addr, mac: [u8; 6]) -> Message {
    member(NEWSETELEM, CREATE, table, set, address, mac)
}

pub(super) fn remove_member(table: &str, set: &str, address: Ipv4Addr, mac: [u8; 6]) -> Message {
    member(DELSETELEM, 0, table, set, address, mac)
}

/// A rule appended to a chain, as its expressions in order.
#[derive(Debug, Default)]
pub(super) struct Rule {
    expressions: Attrs,
}

impl Rule {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn arriving_by(self, name: &str) -> Self {
        self.meta(6).compare(Is::Equal, &link_name(name))
    }

    pub fn leaving_by(self, name: &str) -> Self {
        self.meta(7).compare(Is::Equal, &link_name(name))
    }

    pub fn not_leaving_by(self, name: &str) -> Self {
        self.meta(7).compare(Is::NotEqual, &link_name(name))
    }

    pub fn not_protocol(self, number: u8) -> Self {
        self.meta(16).compare(Is::NotEqual, &[number])
    }

    pub fn source_in(self, net: Ipv4Addr, prefix: u8) -> Self {
        self.network_field(12, REGISTER).masked(prefix).compare(Is::Equal, &net.octets())
    }

    pub fn destination_in(self, net: Ipv4Addr, prefix: u8) -> Self {
        self.network_field(16, REGISTER).masked(prefix).compare(Is::Equal, &net.octets())
    }

    /// Matches where the source's IP address and link-layer address together are no member of `set`.
    pub fn source_not_in_set(self, set: &str) -> Self {
        let inverted = 1;
        self.network_field(12, REGISTER)
            .payload(0, 6, 6, REGISTER + 1)
            .expression("lookup", Attrs::new().text(1, set).be32(2, REGISTER).be32(5, inverted))
    }

    /// Matches where the destination is an address of this host.
    pub fn destination_is_local(self) -> Self {
        let (destination, address_type, local) = (2, 3, 2u32);
        self.expression("fib", Attrs::new().be32(1, REGISTER).be32(2, address_type).be32(3, destination))
            .compare(Is::Equal, &local.to_ne_bytes())
    }

    /// Matches where the connection's state is one of `states`.
    pub fn state(self, states: u32) -> Self {
        let mask = states.to_ne_bytes();
        self.expression("ct", Attrs::new().be32(1, REGISTER).be32(2, 0)).bitwise(&mask).compare(Is::NotEqual, &[0; 4])
    }

    pub fn drop(self, table: &str, chain: &str) -> Message {
        self.verdict(Attrs::new().be32(1, 0)).into_message(table, chain)
    }

    pub fn accept(self, table: &str, chain: &str) -> Message {
        self.verdict(Attrs::new().be32(1, 1)).into_message(table, chain)
    }

    pub fn jump(self, to: &str, table: &str, chain: &str) -> Message {
        self.verdict(Attrs::new().attr(1, &(-3i32).to_be_bytes()).text(2, to)).into_message(table, chain)
    }

    pub fn masquerade(self, table: &str, chain: &str) -> Message {
        self.expression("masq", Attrs::new()).into_message(table, chain)
    }

    fn into_message(self, table: &str, chain: &str) -> Message {
        message(NEWRULE, CREATE | APPEND).text(1, table).text(2, chain).nest(4, self.expressions)
    }

    fn expression(self, name: &str, data: Attrs) -> Self {
        let expression = Attrs::new().text(1, name).nest(2, data);
        Self { expressions: self.expressions.nest(ELEMENT, expression) }
    }

    fn meta(self, key: u32) -> Self {
        self.expression("meta", Attrs::new().be32(1, REGISTER).be32(2, key))
    }

    fn compare(self, is: Is, value: &[u8]) -> Self {
        let value = Attrs::new().attr(VALUE, value);
        self.expression("cmp", Attrs::new().be32(1, REGISTER).be32(2, is as u32).nest(3, value))
    }

    fn network_field(self, offset: u32, register: u32) -> Self {
        self.payload(1, offset, 4, register)
    }

    fn payload(self, base: u32, offset: u32, length: u32, register: u32) -> Self {
        self.expression("payload", Attrs::new().be32(1, register).be32(2, base).be32(3, offset).be32(4, length))
    }

    fn masked(self, prefix: u8) -> Self {
        let mask = u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0);
        self.bitwise(&mask.to_be_bytes())
    }

    fn bitwise(self, mask: &[u8; 4]) -> Self {
        let data = Attrs::new()
            .be32(1, REGISTER)
            .be32(2, REGISTER)
            .be32(3, 4)
            .nest(4, Attrs::new().attr(VALUE, mask))
            .nest(5, Attrs::new().attr(VALUE, &[0; 4]));
        self.expression("bitwise", data)
    }

    fn verdict(self, verdict: Attrs) -> Self {
        self.expression("immediate", Attrs::new().be32(1, 0).nest(2, Attrs::new().nest(VERDICT, verdict)))
    }
}

#[derive(Debug, Clone, Copy)]
enum Is {
    Equal = 0,
    NotEqual = 1,
}

fn member(kind: u16, flags: u16, table: &str, set: &str, address: Ipv4Addr, mac: [u8; 6]) -> Message {
    // Each field of a concatenation starts at a multiple of four bytes.
    let mut key = [0; 12];
    key[..4].copy_from_slice(&address.octets());
    key[4..10].copy_from_slice(&mac);
    let element = Attrs::new().nest(1, Attrs::new().attr(VALUE, &key));
    message(kind, flags).text(1, table).text(2, set).nest(3, Attrs::new().nest(ELEMENT, element))
}

fn message(kind: u16, flags: u16) -> Message {
    Message::new((SUBSYSTEM << 8) | kind, flags, &[NFPROTO_IPV4, 0, 0, 0])
}

/// A link's name as the kernel compares it: all 16 bytes.
fn link_name(name: &str) -> [u8; 16] {
    let mut bytes = [0; 16];
    let length = name.len().min(15);
    bytes[..length].copy_from_slice(&name.as_bytes()[..length]);
    bytes
}
