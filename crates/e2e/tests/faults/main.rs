//! Faults: every process of Pillion is killed without warning, again and again, and what was promised still holds.
//!
//! Which process and which moment is chance; each test prints its seed, and `PILLION_SEED` repeats it.

mod containers;
mod cycles;
mod ending;
mod fleet;
mod gateway;
mod guards;
mod midway;
mod server;
