//! Blocks of addresses.

use std::{fmt, net::IpAddr, str::FromStr};

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

/// A block of addresses such as `10.0.0.0/8` or `fd00::/8`; a bare address is a block of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Cidr(IpNet);

/// Why a text is no [`Cidr`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an address or a network such as 10.0.0.0/8")]
pub struct CidrError(String);

impl Cidr {
    /// Returns whether the block holds this address; an IPv4 address mapped into IPv6 counts as IPv4.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.contains(&address.to_canonical())
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Cidr {
    type Err = CidrError;

    fn from_str(text: &str) -> Result<Self, CidrError> {
        let alone = || text.parse::<IpAddr>().map(IpNet::from);
        text.parse().or_else(|_| alone()).map(Self).map_err(|_| CidrError(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(block: &str, address: &str) -> bool {
        block.parse::<Cidr>().expect("a block").contains(address.parse().expect("an address"))
    }

    #[test]
    fn a_block_holds_its_addresses_and_no_others() {
        assert!(holds("10.8.0.0/13", "10.15.255.255"));
        assert!(!holds("10.8.0.0/13", "10.16.0.0"));
        // Bits beyond the prefix say nothing.
        assert!(holds("10.1.2.3/16", "10.1.255.7"));
        assert!(holds("10.1.0.0/16", "::ffff:10.1.2.3"));
        assert!(holds("0.0.0.0/0", "203.0.113.9"));
        assert!(!holds("0.0.0.0/0", "::1"));
        assert!(holds("::/0", "2001:db8::1"));
        assert!(!holds("::/0", "::ffff:10.1.2.3"));
        assert!(holds("192.0.2.7", "192.0.2.7") && !holds("192.0.2.7", "192.0.2.8"));
    }

    #[test]
    fn a_block_is_shown_with_its_prefix() {
        assert_eq!("::1".parse::<Cidr>().map(|block| block.to_string()), Ok("::1/128".to_owned()));
        for wrong in ["10.0.0.0/33", "10.0.0.0/", "/8", "here", "", " 10.0.0.1"] {
            assert_eq!(wrong.parse::<Cidr>(), Err(CidrError(wrong.to_owned())));
        }
    }
}
