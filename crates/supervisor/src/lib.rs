//! The process that owns one instance: start order, probes, restarts, logs, stop. Knows no app.

pub mod protocol;
pub mod spec;
pub mod status;
