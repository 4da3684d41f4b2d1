//! The gateway's behaviour, on the real process with real sockets.

#![allow(clippy::unwrap_used)]

mod access;
mod attacks;
mod control;
mod cors;
mod failing;
mod forwarding;
mod holding;
mod https_only;
mod rig;
mod routing;
mod upstream;
