//! The process that owns one instance: start order, probes, restarts, logs, stop. Knows no app.

pub mod diagnosis;
pub mod protocol;
pub mod spec;
pub mod state;
pub mod status;
#[doc(hidden)]
pub mod testing;
