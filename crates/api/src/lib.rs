//! The HTTP API: the native one, on a Unix socket. Its wire types are shared with every client.

mod definition;
mod extract;
mod failure;
mod openapi;
mod route;
mod server;
mod service;
pub mod wire;

pub use failure::Failure;
pub use openapi::openapi;
pub use server::serve;
pub use service::{Images, Services, System};
