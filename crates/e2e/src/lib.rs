//! The harness of the end-to-end tests, used by the demo and the benchmarks too: one copy of Pillion, one real
//! registry, and the images that are made for it.
//!
//! Everything here starts what it needs as children, waits for events and not for time, and removes what it made
//! when it is dropped.

mod az;
mod chaos;
mod copy;
mod http;
mod images;
mod leftovers;
mod load;
mod parts;
mod registry;
mod steady_load;
mod terminal;
mod tls_files;
mod tls_proxy;
mod wait;

pub use az::{Az, NOT_FOUND, endpoint};
pub use chaos::{Dice, Process, Role, age, kill, kill_next_helper, of_role, processes};
pub use copy::{Copy, Ran, Running};
pub use http::{Answer, get, request};
pub use images::{Images, Packed};
pub use leftovers::Leftovers;
pub use load::Load;
pub use parts::{Part, built, part, workspace};
pub use registry::{Registry, Users, free_port};
pub use steady_load::{Account, SteadyLoad};
pub use terminal::Terminal;
pub use tls_files::TlsFiles;
pub use tls_proxy::TlsProxy;
pub use wait::{eventually, until};
