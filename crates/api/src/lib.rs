//! The HTTP API: the native one on a Unix socket, and the TLS endpoint with the authority, the resource manager and the
//! sites' own pages. The native wire types are shared with every client.

pub mod arm;
mod authority;
mod container_logs;
mod definition;
mod extract;
mod failure;
mod front;
mod openapi;
mod route;
pub mod scm;
mod server;
mod service;
mod tls;
pub mod wire;

pub use failure::Failure;
pub use front::Front;
pub use openapi::openapi;
pub use server::serve;
pub use service::{Images, Services, System};
pub use tls::{CertificateError, Endpoint, ServerCertificate, serve_tls};
