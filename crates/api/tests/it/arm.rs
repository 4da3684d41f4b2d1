//! The resource manager's routes over the real front, with real tokens, before real services and a scripted engine.

mod fuzz;
mod matrix;
mod routes;
mod world;
