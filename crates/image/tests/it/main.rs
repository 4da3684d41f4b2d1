//! The image crate against the real thing: Debian's `docker-registry`, real tar bytes, real overlay mounts.

mod breaking_proxy;
mod hostile;
mod layers;
mod layout;
mod pull;
mod registry;
mod store;
mod tarball;
mod token_server;
mod unpacking;
