//! The control plane against the scripted engine: a real store, the real loop, instances that do as they are told.

mod lifecycle;
mod refusing;
mod rolling;
mod swapping;
mod world;
