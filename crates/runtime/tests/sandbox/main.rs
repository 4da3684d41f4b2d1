//! The sandbox on a real kernel, as root: namespaces, network, control groups, warden. No container runs here.

mod cgroups;
mod isolation;
mod lifecycle;
mod listeners;
mod outside;
mod warden;
mod world;
