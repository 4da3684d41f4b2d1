//! App Service's services over the control plane: resources kept as documents, sites settled into revisions, long
//! operations that outlive the process. HTTP, templates, swaps and the sites' own pages all call [`Azure`].
//!
//! ```text
//! PUT ──accept──▶ one batch: document, mark, audit ──▶ index
//!                                   │
//!                Settler: a second of quiet ──▶ compile ──▶ Control::apply (or a revision refused by name)
//! ```

mod action;
mod activity;
mod around;
pub mod cloud;
pub mod deployment;
mod entry;
mod follow;
mod front;
mod index;
mod inventory;
mod meter;
mod metrics;
mod names;
mod native;
mod operation;
pub mod providers;
mod publishing;
mod read;
mod remove;
mod service;
mod settings;
mod settle;
mod site;
mod status;
mod swap;
mod write;

pub use action::Action;
pub use entry::Entry;
pub use meter::{Traffic, TrafficCount};
pub use operation::{Operation, OperationId, OperationState, Task};
pub use pillion_arm::{ArmError, ConfigName, Resource, ResourceId, ResourceKind};
pub use pillion_identity::{Access, Caller};
pub use pillion_store::Etag;
pub use remove::{Deleted, Removal};
pub use service::{ActionAnswer, Azure, Written, correlated, fresh_uuid, refusal};
pub use settings::{LOCATION, Settings};
pub use settle::{Hold, Settler};
pub use swap::SwapAction;
