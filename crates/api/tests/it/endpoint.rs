//! The TLS endpoint on a real port: how the server proves itself, how clients log in, what is refused before any resource.

mod authority;
mod tls;
mod world;
