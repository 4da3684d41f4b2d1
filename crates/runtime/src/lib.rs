//! Linux: the sandbox an instance lives in and the containers inside it. Knows no app.
//!
//! Every risky step (namespaces, libcontainer) happens in a re-exec'd, single-threaded helper process:
//! `main` of the binary must call [`helper::door`] before it starts any thread.

pub mod cgroup;
pub mod container;
mod exec;
pub mod helper;
pub mod host_checks;
pub mod listeners;
pub mod memory;
mod mounts;
pub mod network;
mod oci;
pub mod path;
mod rootfs;
pub mod sandbox;
mod seccomp;
pub mod sockets;
pub mod spec;
pub mod warden;
