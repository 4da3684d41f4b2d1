//! What the composition root decides for these services.

/// Facts that the services cannot know themselves.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Host and port of the ARM endpoint, such as `127.0.0.1:8443`.
    pub endpoint: String,
    /// The gateway's shared port.
    pub gateway_port: u16,
    pub subscription: String,
    pub tenant: String,
    pub max_instances: u32,
}

/// The only location there is.
pub const LOCATION: &str = "local";
