//! What the composition root decides for the control plane.

use std::{ops::RangeInclusive, time::Duration};

/// What the composition root decides.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where apps get their own loopback port from.
    pub app_ports: RangeInclusive<u16>,
    /// The gateway's shared port, for the URLs in `status`.
    pub gateway_port: u16,
    /// How long requests under way may hold up the stop of an instance.
    pub drain_within: Duration,
    pub max_instances: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self { app_ports: 20000..=20999, gateway_port: 8080, drain_within: Duration::from_secs(30), max_instances: 30 }
    }
}
