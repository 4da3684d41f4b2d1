//! Containers on the real kernel, looked at from the inside.

mod life;
mod world;
