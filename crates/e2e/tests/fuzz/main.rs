//! Requests that nobody would write, made from the API's own document: the server refuses them without harm.
//!
//! `PILLION_FUZZ_SECONDS` says for how long (`cargo xtask fuzz` sets it); the seed of a run is printed, and seeds that
//! once found something are kept in `SEEDS` and tried first.

mod document;
mod native;
mod wire;
mod wrong;
