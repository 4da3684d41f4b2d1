//! Which addresses are public: a linked template may come from these, and from those that the settings allow.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{Ipv4Net, Ipv6Net};

/// Says what an address is, if it is not one that anybody on the internet could be reached at.
pub fn not_public(address: IpAddr) -> Option<&'static str> {
    match address {
        IpAddr::V4(address) => not_public_v4(address),
        IpAddr::V6(address) => not_public_v6(address),
    }
}

/// Special-purpose registries of IANA, and the metadata address of Azure that looks like a public one.
const V4: &[(Ipv4Net, &str)] = &[
    (v4([0, 0, 0, 0], 8), "an address of this host"),
    (v4([10, 0, 0, 0], 8), "a private address"),
    (v4([100, 64, 0, 0], 10), "a private address"),
    (v4([127, 0, 0, 0], 8), "a loopback address"),
    (v4([168, 63, 129, 16], 32), "a metadata address"),
    (v4([169, 254, 0, 0], 16), "a link-local address"),
    (v4([172, 16, 0, 0], 12), "a private address"),
    (v4([192, 0, 0, 0], 24), "a reserved address"),
    (v4([192, 0, 2, 0], 24), "a reserved address"),
    (v4([192, 88, 99, 0], 24), "a reserved address"),
    (v4([192, 168, 0, 0], 16), "a private address"),
    (v4([198, 18, 0, 0], 15), "a reserved address"),
    (v4([198, 51, 100, 0], 24), "a reserved address"),
    (v4([203, 0, 113, 0], 24), "a reserved address"),
    (v4([224, 0, 0, 0], 4), "a multicast address"),
    (v4([240, 0, 0, 0], 4), "a reserved address"),
];

const V6: &[(Ipv6Net, &str)] = &[
    (v6(Ipv6Addr::LOCALHOST, 128), "a loopback address"),
    (v6(Ipv6Addr::UNSPECIFIED, 128), "an address of this host"),
    (v6(Ipv6Addr::new(0x64, 0xff9b, 1, 0, 0, 0, 0, 0), 48), "a private address"),
    (v6(Ipv6Addr::new(0x100, 0, 0, 0, 0, 0, 0, 0), 64), "a reserved address"),
    (v6(Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23), "a reserved address"),
    (v6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32), "a reserved address"),
    (v6(Ipv6Addr::new(0xfc00, 0, 0, 0, 0, 0, 0, 0), 7), "a private address"),
    (v6(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0), 10), "a link-local address"),
    (v6(Ipv6Addr::new(0xfec0, 0, 0, 0, 0, 0, 0, 0), 10), "a private address"),
    (v6(Ipv6Addr::new(0xff00, 0, 0, 0, 0, 0, 0, 0), 8), "a multicast address"),
];

const fn v4([a, b, c, d]: [u8; 4], prefix: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), prefix)
}

const fn v6(base: Ipv6Addr, prefix: u8) -> Ipv6Net {
    Ipv6Net::new_assert(base, prefix)
}

fn not_public_v4(address: Ipv4Addr) -> Option<&'static str> {
    V4.iter().find(|(block, _)| block.contains(&address)).map(|(_, what)| *what)
}

fn not_public_v6(address: Ipv6Addr) -> Option<&'static str> {
    if let Some((_, what)) = V6.iter().find(|(block, _)| block.contains(&address)) {
        return Some(what);
    }
    embedded(address).and_then(not_public_v4)
}

/// The IPv4 address that packets to this one end up at: mapped and compatible (RFC 4291), NAT64 (RFC 6052), 6to4 (RFC 3056).
fn embedded(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let octets = address.octets();
    let low = Ipv4Addr::new(octets[12], octets[13], octets[14], octets[15]);
    let s = address.segments();
    let mapped = s[..5] == [0; 5] && matches!(s[5], 0 | 0xffff);
    let translated = s[..6] == [0x64, 0xff9b, 0, 0, 0, 0];
    if mapped || translated {
        return Some(low);
    }
    (s[0] == 0x2002).then(|| Ipv4Addr::new(octets[2], octets[3], octets[4], octets[5]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_inside_are_known_in_every_disguise() {
        for inside in [
            "127.0.0.1",
            "127.255.0.9",
            "0.0.0.0",
            "10.1.2.3",
            "172.31.255.255",
            "192.168.0.1",
            "169.254.169.254",
            "100.100.100.200",
            "168.63.129.16",
            "224.0.0.1",
            "255.255.255.255",
            "::1",
            "::",
            "fe80::1",
            "fd12::1",
            "ff02::1",
            "::ffff:127.0.0.1",
            "::127.0.0.1",
            "::ffff:169.254.169.254",
            "64:ff9b::a9fe:a9fe",
            "2002:7f00:1::",
            "2001:0:1::1",
            "fec0::1",
        ] {
            assert!(not_public(inside.parse().expect("an address")).is_some(), "{inside}");
        }
        for outside in
            ["1.1.1.1", "172.32.0.1", "100.128.0.1", "168.63.129.17", "2606:4700::1111", "64:ff9b::101:101", "2002:101:101::1"]
        {
            assert_eq!(not_public(outside.parse().expect("an address")), None, "{outside}");
        }
    }
}
