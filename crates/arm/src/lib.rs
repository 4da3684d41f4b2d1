//! App Service's resources as pure values: their ids, their errors, what a PUT accepts, what a GET shows, and the app that a
//! site compiles to. No I/O, no clock, no store: what must be looked up comes in through [`Surroundings`].
//!
//! ```text
//! body ──accept──▶ Resource (stored) ──render──▶ body
//!                       │
//!            site + its config + containers + plan ──compile──▶ model::App
//! ```

mod accept;
mod compile;
mod error;
mod id;
mod kind;
mod odata;
mod render;
mod resource;
mod surroundings;

pub use accept::{Accepted, How, PlanRoom, accept, access_rules, cors, deletable, plan_room, site_name};
pub use compile::{Compiled, RegistryCredential, SiteParts, SiteProblem, compile, setting_text};
pub use error::ArmError;
pub use id::{IdError, ResourceId};
pub use kind::{ConfigName, ResourceKind};
pub use odata::{Condition, Operator, check_tag, conditions};
pub use render::{Facts, InstanceFacts, Secrets, SiteState, render, render_instance, scm_name};
pub use resource::{Resource, initial};
pub use surroundings::Surroundings;
