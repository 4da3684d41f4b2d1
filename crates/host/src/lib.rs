//! The engine on this machine: images become layers, definitions become supervisors, facts come back.
//!
//! An instance is a directory under `<run>/i/<id>` (its spec, its sockets, its namespaces) and one supervisor
//! process. Nothing about running instances is kept in memory only: [`HostEngine::open`] finds every supervisor
//! that is still alive and adopts it, and clears away what a dead one left.

mod addresses;
mod adopt;
mod connection;
mod engine;
mod exec;
mod faults;
mod ids;
mod instance_dir;
mod leftovers;
mod logs;
mod observed;
mod prepare;
mod settings;
mod supervisor_process;
mod translate;
mod volumes;

pub use engine::HostEngine;
pub use settings::{HostSettings, LogLimits, Subnet, Tuning};
