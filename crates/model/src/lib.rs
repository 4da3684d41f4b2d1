//! Pillion's vocabulary: the app and its containers, checked at construction. No I/O, no async.

mod app;
mod change;
mod cidr;
mod file;
mod front;
mod name;
mod phase;
mod problem;
mod validate;

pub use app::*;
pub use change::{AppChanges, ContainerChange, InstanceReason, changes};
pub use cidr::{Cidr, CidrError};
pub use file::{AppFile, REDACTED, RenderError, keep_secrets, redacted, to_json, to_yaml};
pub use front::*;
pub use name::*;
pub use phase::*;
pub use problem::{Place, Problem, ProblemCode};
pub use validate::{signal_number, validate};
