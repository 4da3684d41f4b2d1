//! The engine on this machine, with real images from a real registry, real supervisors and real containers.

mod contract;
mod leaving;
mod world;
