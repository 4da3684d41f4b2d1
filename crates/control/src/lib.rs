//! What makes apps so: apply, decide, reconcile, roll out, scale, diagnose. [`Control`] is the one door.

mod apply;
mod error;
mod rollout;
mod route;
mod service;
mod view;

pub use apply::*;
pub use error::*;
pub use pillion_store::{Etag, Event};
pub use rollout::*;
pub use route::*;
pub use service::*;
pub use view::*;
