//! The wire between `serve` and the gateway: the control socket (SOCK_STREAM) in the gateway's own directory.
//!
//! Frame: u32 little-endian length, then one JSON object; listening sockets travel beside a `Listen` frame as SCM_RIGHTS.
//! `serve` connects, sends the whole [`RouteTable`] after every change and the gateway answers each with its
//! generation once it is in force. When `serve` goes away the last table stays; a new `serve` just connects.

use pillion_model::{AccessRules, Cors};
use serde::{Deserialize, Serialize};

/// 2: access rules and CORS of sites. A gateway of before would take a table with them and leave them out.
pub const VERSION: u32 = 2;

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "kind", rename_all_fields = "camelCase")]
pub enum ToGateway {
    Hello {
        version: u32,
    },
    /// Take these listening sockets (one file descriptor per entry, in order); replaces the set: listeners not named are closed.
    Listen {
        listeners: Vec<ListenerSpec>,
    },
    Table {
        table: RouteTable,
    },
    /// Finish what runs, within the deadline, and exit.
    Drain {
        deadline_ms: u64,
    },
    Stats,
    /// Hand back duplicates of the listening sockets: a new `serve` has none of its own.
    Listeners,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "kind", rename_all_fields = "camelCase")]
pub enum FromGateway {
    /// `generation` is that of the table in force; 0: none yet, and connections wait in their backlog.
    Hello {
        version: u32,
        pid: u32,
        #[serde(default)]
        generation: u64,
        /// Why there is no access log where one was asked for.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        unlogged: Option<String>,
    },
    Listening,
    /// One file descriptor per entry, in order, beside the frame.
    Listeners {
        listeners: Vec<ListenerSpec>,
    },
    /// The table of this generation is in force.
    InForce {
        generation: u64,
    },
    /// An instance that left the table, or drains in it, has no request under way any more. Kept for the next
    /// `serve` while none is connected.
    Drained {
        instance: String,
    },
    Stats {
        apps: Vec<AppStats>,
    },
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ListenerSpec {
    pub address: std::net::SocketAddr,
    /// Every request here is for this app, whatever its Host says; none: route by Host.
    pub app: Option<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RouteTable {
    /// Only a higher generation replaces a table.
    pub generation: u64,
    pub apps: Vec<AppRoute>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AppRoute {
    pub app: String,
    /// Lower-case host names without port.
    pub hosts: Vec<String>,
    pub state: AppState,
    pub instances: Vec<InstanceRoute>,
    /// How its requests are received and spread, for what App Service calls a site.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub site: Option<SiteRoute>,
}

/// How a site's requests are received and spread.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SiteRoute {
    /// A client stays with the instance that answered it first.
    pub affinity: bool,
    /// A trusted proxy's client that came without TLS is sent to where it has TLS.
    #[serde(default)]
    pub https_only: bool,
    #[serde(default)]
    pub access: AccessRules,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cors: Option<Cors>,
    #[serde(default)]
    pub shares: Vec<ShareRoute>,
}

/// A part of a site's requests that goes to one of its slots.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ShareRoute {
    pub slot: String,
    /// An app of the same table.
    pub app: String,
    /// Hundredths of a percent.
    pub share: u32,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "state", rename_all_fields = "camelCase")]
pub enum AppState {
    /// Requests go to `instances`; with none, they are held until one comes (503 after `hold_ms`).
    Serving { hold_ms: u64 },
    /// 503 at once, saying why.
    Down { reason: String, hint: Option<String> },
    /// Stopped on purpose: 503 that says so.
    Stopped,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct InstanceRoute {
    pub instance: String,
    /// The supervisor's socket that hands out connections (see the supervisor's protocol).
    pub gate: std::path::PathBuf,
    pub port: u16,
    /// No new requests; those under way go on (then `Drained` is reported).
    pub draining: bool,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AppStats {
    pub app: String,
    pub requests: u64,
    pub status_2xx: u64,
    pub status_3xx: u64,
    pub status_4xx: u64,
    pub status_5xx: u64,
    pub active: u64,
    /// Sum of response times in microseconds.
    pub response_usec: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_site_of_an_older_server_demands_no_tls() {
        let site: SiteRoute = serde_json::from_str(r#"{"affinity":true}"#).expect("a site");
        assert_eq!(site, SiteRoute { affinity: true, ..SiteRoute::default() });
        let demanding: SiteRoute = serde_json::from_str(r#"{"affinity":true,"httpsOnly":true}"#).expect("a site");
        assert!(demanding.https_only);
    }
}
