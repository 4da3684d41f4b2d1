//! Functions of address ranges.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde_json::{Map, Value};

use super::{Arguments, Function, value};
use crate::error::Result;

pub(super) const FUNCTIONS: &[Function] =
    &[value("parseCidr", 1, 1, parse), value("cidrSubnet", 3, 3, subnet), value("cidrHost", 2, 2, host)];

/// A range of addresses, as a number and how many of its bits are the network's.
#[derive(Clone, Copy)]
struct Range {
    network: u128,
    prefix: u32,
    bits: u32,
}

impl Range {
    fn read(args: &Arguments<'_>) -> Result<Self> {
        let text = args.text(0)?;
        let wrong =
            || args.refuse(format!("is given '{}', which is not an address range such as 10.0.0.0/24", args.show_text(text)));
        let (address, prefix) = text.split_once('/').ok_or_else(wrong)?;
        let (number, bits) = match address.parse().map_err(|_| wrong())? {
            IpAddr::V4(address) => (u128::from(u32::from(address)), 32),
            IpAddr::V6(address) => (u128::from(address), 128),
        };
        let prefix = prefix.parse::<u32>().ok().filter(|prefix| *prefix <= bits).ok_or_else(wrong)?;
        Ok(Self { network: number & !low_bits(bits - prefix), prefix, bits })
    }

    fn last(self) -> u128 {
        self.network | low_bits(self.bits - self.prefix)
    }

    fn show(self, number: u128) -> String {
        match self.bits {
            32 => Ipv4Addr::from(number as u32).to_string(),
            _ => Ipv6Addr::from(number).to_string(),
        }
    }
}

fn low_bits(count: u32) -> u128 {
    1u128.checked_shl(count).map_or(u128::MAX, |bit| bit - 1)
}

fn parse(args: &Arguments<'_>) -> Result<Value> {
    let range = Range::read(args)?;
    let (first, last) = (range.network, range.last());
    let mut parts = Map::new();
    let mut put = |name: &str, number: u128| parts.insert(name.to_owned(), Value::String(range.show(number)));
    put("network", first);
    put("netmask", low_bits(range.bits) & !low_bits(range.bits - range.prefix));
    if range.bits == 32 {
        // Of two addresses or one, every one is usable (RFC 3021).
        let inner = u128::from(range.prefix < 31);
        put("broadcast", last);
        put("firstUsable", first + inner);
        put("lastUsable", last - inner);
    } else {
        put("firstUsable", first);
        put("lastUsable", last);
    }
    parts.insert("cidr".to_owned(), Value::from(range.prefix));
    Ok(Value::Object(parts))
}

fn subnet(args: &Arguments<'_>) -> Result<Value> {
    let range = Range::read(args)?;
    let prefix = u32::try_from(args.integer(1)?).ok().filter(|prefix| (range.prefix..=range.bits).contains(prefix));
    let prefix = prefix.ok_or_else(|| {
        args.refuse(format!("needs a new prefix between {} and {}, of the range's size or smaller", range.prefix, range.bits))
    })?;
    let index = u128::try_from(args.integer(2)?).ok().filter(|index| *index <= low_bits(prefix - range.prefix));
    let index = index.ok_or_else(|| args.refuse("has an index beyond the subnets that the range has"))?;
    let network = range.network | index.checked_shl(range.bits - prefix).unwrap_or(0);
    Ok(Value::String(format!("{}/{prefix}", range.show(network))))
}

/// The index 0 is the first usable address.
fn host(args: &Arguments<'_>) -> Result<Value> {
    let range = Range::read(args)?;
    let is_reserving = range.bits == 32 && range.prefix < 31;
    let first = range.network + u128::from(is_reserving || range.bits == 128 && range.prefix < 127);
    let last = range.last() - u128::from(is_reserving);
    let number =
        u128::try_from(args.integer(1)?).ok().and_then(|index| first.checked_add(index)).filter(|number| *number <= last);
    number.map(|number| Value::String(range.show(number))).ok_or_else(|| args.refuse("has an index beyond the range's addresses"))
}
