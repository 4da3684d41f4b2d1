//! The native API over a real Unix socket, before the real control plane and a scripted engine.

mod applying;
mod arm;
mod document;
mod endpoint;
mod refusals;
mod schema;
mod streaming;
mod world;
