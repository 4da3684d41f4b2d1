//! The arguments of the gateway's process: read by its door, written by [`crate::spawn`].

use std::{ffi::OsString, net::IpAddr, path::PathBuf, str::FromStr, time::Duration};

use clap::Parser;

use crate::Limits;

/// What one gateway process is told at its start.
#[derive(Debug, Clone, Parser)]
#[command(name = "pillion gateway", about = "The HTTP front end (started by `pillion serve`)")]
pub struct Args {
    /// Unix socket to be steered over; its directory must exist
    #[arg(long)]
    pub control: PathBuf,
    /// User id to run as
    #[arg(long)]
    pub uid: u32,
    /// Group id to run as
    #[arg(long)]
    pub gid: u32,
    /// File for access log lines (JSON, one a request); `-` is stderr; none: no access log
    #[arg(long)]
    pub access_log: Option<PathBuf>,
    /// Address or network whose X-Forwarded-* headers are believed (repeatable)
    #[arg(long = "trusted-proxy")]
    pub trusted_proxies: Vec<Network>,
    #[arg(long)]
    pub request_head_ms: Option<u64>,
    #[arg(long)]
    pub response_head_ms: Option<u64>,
    #[arg(long)]
    pub stream_idle_ms: Option<u64>,
    #[arg(long)]
    pub upgrade_idle_ms: Option<u64>,
    #[arg(long)]
    pub upstream_idle_ms: Option<u64>,
    #[arg(long)]
    pub max_connections: Option<usize>,
    #[arg(long)]
    pub max_requests_per_app: Option<usize>,
    #[arg(long)]
    pub max_held_per_app: Option<usize>,
    #[arg(long)]
    pub max_head_bytes: Option<usize>,
}

impl Args {
    /// Makes arguments with every optional one left out.
    pub fn new(control: PathBuf, uid: u32, gid: u32) -> Self {
        Self {
            control,
            uid,
            gid,
            access_log: None,
            trusted_proxies: Vec::new(),
            request_head_ms: None,
            response_head_ms: None,
            stream_idle_ms: None,
            upgrade_idle_ms: None,
            upstream_idle_ms: None,
            max_connections: None,
            max_requests_per_app: None,
            max_held_per_app: None,
            max_head_bytes: None,
        }
    }

    /// Returns the words of a command line that parses back to these arguments.
    pub fn to_words(&self) -> Vec<OsString> {
        let mut words: Vec<OsString> = Vec::new();
        let mut word = |flag: &str, value: OsString| words.extend([OsString::from(flag), value]);
        word("--control", self.control.clone().into());
        word("--uid", self.uid.to_string().into());
        word("--gid", self.gid.to_string().into());
        if let Some(path) = &self.access_log {
            word("--access-log", path.clone().into());
        }
        for network in &self.trusted_proxies {
            word("--trusted-proxy", network.to_string().into());
        }
        let numbers = [
            ("--request-head-ms", self.request_head_ms),
            ("--response-head-ms", self.response_head_ms),
            ("--stream-idle-ms", self.stream_idle_ms),
            ("--upgrade-idle-ms", self.upgrade_idle_ms),
            ("--upstream-idle-ms", self.upstream_idle_ms),
            ("--max-connections", self.max_connections.map(|n| n as u64)),
            ("--max-requests-per-app", self.max_requests_per_app.map(|n| n as u64)),
            ("--max-held-per-app", self.max_held_per_app.map(|n| n as u64)),
            ("--max-head-bytes", self.max_head_bytes.map(|n| n as u64)),
        ];
        for (flag, number) in numbers {
            if let Some(number) = number {
                word(flag, number.to_string().into());
            }
        }
        words
    }

    /// Returns the default limits with what the arguments change.
    pub fn limits(&self) -> Limits {
        let base = Limits::default();
        let time = |given: Option<u64>, base: Duration| given.map_or(base, Duration::from_millis);
        Limits {
            request_head: time(self.request_head_ms, base.request_head),
            response_head: time(self.response_head_ms, base.response_head),
            stream_idle: time(self.stream_idle_ms, base.stream_idle),
            upgrade_idle: time(self.upgrade_idle_ms, base.upgrade_idle),
            upstream_idle: time(self.upstream_idle_ms, base.upstream_idle),
            connections: self.max_connections.unwrap_or(base.connections),
            requests_per_app: self.max_requests_per_app.unwrap_or(base.requests_per_app),
            held_per_app: self.max_held_per_app.unwrap_or(base.held_per_app),
            // hyper refuses less than 8 KiB, by a panic.
            head_bytes: self.max_head_bytes.unwrap_or(base.head_bytes).max(8192),
            ..base
        }
    }
}

/// An address block such as `10.0.0.0/8`; a bare address is a block of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    prefix: u8,
}

impl Network {
    /// Returns whether the block holds this address; an IPv4 address mapped into IPv6 counts as IPv4.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(block), IpAddr::V4(one)) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(self.prefix)).unwrap_or(0);
                block.to_bits() & mask == one.to_bits() & mask
            }
            (IpAddr::V6(block), IpAddr::V6(one)) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(self.prefix)).unwrap_or(0);
                block.to_bits() & mask == one.to_bits() & mask
            }
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
        }
    }
}

impl std::fmt::Display for Network {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

/// Why a text is no [`Network`].
#[derive(Debug, thiserror::Error)]
#[error("`{text}` is not an address or a network such as 10.0.0.0/8")]
pub struct NetworkError {
    text: String,
}

impl FromStr for Network {
    type Err = NetworkError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || NetworkError { text: text.to_owned() };
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix.parse::<u8>().map_err(|_| wrong())?)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| wrong())?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let prefix = prefix.unwrap_or(most);
        if prefix > most { Err(wrong()) } else { Ok(Self { address, prefix }) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_holds_its_addresses_and_no_others() {
        let network: Network = "10.1.0.0/16".parse().expect("a network");
        assert!(network.contains("10.1.255.7".parse().expect("an address")));
        assert!(network.contains("::ffff:10.1.2.3".parse().expect("an address")));
        assert!(!network.contains("10.2.0.1".parse().expect("an address")));
        let all: Network = "0.0.0.0/0".parse().expect("a network");
        assert!(all.contains("203.0.113.9".parse().expect("an address")));
        assert!(!all.contains("::1".parse().expect("an address")));
        assert!("10.0.0.0/33".parse::<Network>().is_err());
    }

    #[test]
    fn words_parse_back_to_the_same_arguments() {
        let mut args = Args::new("/run/x/control.sock".into(), 65534, 65533);
        args.access_log = Some("-".into());
        args.trusted_proxies = vec!["127.0.0.1".parse().expect("an address")];
        args.response_head_ms = Some(1500);
        args.max_connections = Some(9);
        let back = Args::parse_from(std::iter::once(OsString::from("gateway")).chain(args.to_words()));
        assert_eq!(format!("{args:?}"), format!("{back:?}"));
    }
}
