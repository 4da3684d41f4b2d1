//! What makes apps so: apply, decide, reconcile, roll out, scale, diagnose. [`Control`] is the one door.
//!
//! ```text
//! Control ──writes──▶ store ──change──▶ Reconciler ──asks──▶ decide (pure) ──steps──▶ engine
//!    ▲                                       │                                          │
//!    └────────── progress, routes ◀──────────┴──────────────── facts (watch) ◀──────────┘
//! ```

mod acting;
mod apply;
mod applying;
mod change;
mod decide;
mod diagnosis;
mod drainer;
mod error;
mod following;
mod front;
mod inside;
mod memory;
mod ports;
mod reconcile;
mod record;
mod recording;
mod refusing;
mod rollout;
mod route;
mod routing;
mod service;
mod settings;
mod shared;
mod steps;
mod view;
mod viewing;

pub use apply::*;
pub use drainer::*;
pub use error::*;
pub use front::{Front, Share, Side, SiteFront};
pub use inside::LogSelection;
pub use pillion_model::{Problem, REDACTED};
pub use pillion_store::{Etag, Event};
pub use reconcile::Reconciler;
pub use rollout::*;
pub use route::*;
pub use service::*;
pub use settings::Settings;
pub use view::*;
