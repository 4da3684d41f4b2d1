//! What can go wrong with a container, said once: a stable code, the facts, one sentence and the way out.
//!
//! Every layer that finds a cause (image, runtime, supervisor, engine) reports it as a [`Fault`]; every surface
//! that shows one (CLI, API, portal, log) prints the same sentence. A fault never names an app: who asked is
//! the caller's knowledge.

mod diagnosis;
mod exit;
mod fault;
#[cfg(test)]
mod golden;
mod hint;
mod listener;
mod ranking;
mod sentence;

pub use diagnosis::{Called, LogTail};
pub use exit::{Exit, OomScope};
pub use fault::{Diagnosis, Fault, ProbeKind};
pub use hint::Words;
pub use listener::Listener;
