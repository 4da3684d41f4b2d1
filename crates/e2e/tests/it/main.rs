//! End-to-end tests: the built program, driven as a person would, with real components.

mod main_job;
mod private_registry;
mod rollout;
mod volumes;
