//! The arguments of the gateway's process: read by its door, written by [`crate::spawn`].

use std::{ffi::OsString, path::PathBuf, time::Duration};

use clap::Parser;
use pillion_model::Cidr;

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
    pub trusted_proxies: Vec<Cidr>,
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

#[cfg(test)]
mod tests {
    use super::*;

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
