//! The services of App Service on the real store and control plane.

mod bench;
mod deployment;
mod resources;
mod settling;
mod swap;
