//! The image crate against the real thing: Debian's `docker-registry`, real tar bytes, real overlay mounts.

mod breaking_proxy;
mod pull;
mod registry;
mod tarball;
mod token_server;
