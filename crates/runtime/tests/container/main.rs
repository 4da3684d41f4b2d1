//! Containers on the real kernel, looked at from the inside.

mod confinement;
mod exec;
mod faults;
mod life;
mod limits;
mod mounts;
mod program;
mod world;
