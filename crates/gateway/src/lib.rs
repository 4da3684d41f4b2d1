//! The HTTP front end: routes by host name and by port to the main container of an app's instances.
//!
//! [`run`] is the gateway's process: unprivileged, steered over a control socket ([`protocol`]). [`client`] is the
//! other end of that socket, for `serve`; [`spawn`] starts the process.
//!
//! A request's way: [`listen`] accepts a connection and knows nothing but bytes and a peer; `forward` finds the app
//! (`routes`), an instance (`instance`, held by `hold` while there is none), a connection to it (`upstream`, over
//! sockets that `gate` keeps in stock) and passes bodies through (`body`, `tunnel`). TLS and HTTP/2 will be other
//! callers of [`listen::serve_connection`]'s border: any byte stream with a peer.

mod access;
mod access_log;
mod args;
mod body;
pub mod client;
mod compact;
mod control;
mod cors;
mod exchange;
mod forward;
mod frame;
mod gate;
mod headers;
mod hold;
mod https_only;
mod instance;
mod limits;
pub mod listen;
mod page;
mod pressure;
mod privileges;
pub mod protocol;
mod role;
mod routes;
mod site;
mod spawn;
mod state;
mod stats;
mod tunnel;
mod upstream;
mod workers;

pub use access_log::probe as probe_access_log;
pub use args::Args;
pub use limits::Limits;
pub use role::run;
pub use spawn::{SpawnError, Spawned, spawn};
