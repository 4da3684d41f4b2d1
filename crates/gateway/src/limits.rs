//! Every bound the gateway sets on clients, apps and itself, in one place with its default.

use std::time::Duration;

/// The bounds. All durations count from the last sign of life they speak of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// From the start of waiting for a request to the end of its headers, so also the idle time of a kept connection;
    /// and how long a client may take no byte of its answer (found out within twice that).
    pub request_head: Duration,
    /// From the last byte of the request to the response's headers: App Service's front end gives 230 s.
    pub response_head: Duration,
    /// Silence within a response body.
    pub stream_idle: Duration,
    /// Silence in both directions of an upgraded connection.
    pub upgrade_idle: Duration,
    /// An unused connection to an instance.
    pub upstream_idle: Duration,
    /// A TCP connect inside an instance's network namespace.
    pub connect: Duration,
    /// Unused connections kept per instance and worker.
    pub idle_per_instance: usize,
    /// Client connections over all listeners; further ones get a 503.
    pub connections: usize,
    /// Requests under way per app; further ones get a 503. 0: no bound.
    pub requests_per_app: usize,
    /// Requests of one app waiting for its first instance; further ones get a 503.
    pub held_per_app: usize,
    /// The bytes of one request head.
    pub head_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            request_head: Duration::from_secs(60),
            response_head: Duration::from_secs(230),
            stream_idle: Duration::from_secs(240),
            upgrade_idle: Duration::from_secs(240),
            upstream_idle: Duration::from_secs(60),
            connect: Duration::from_secs(5),
            idle_per_instance: 128,
            connections: 16_384,
            requests_per_app: 0,
            held_per_app: 1_024,
            head_bytes: 64 * 1024,
        }
    }
}
