//! What ARM bodies are accepted, what is shown of them, and what app a site becomes.

mod compiled;
mod containers;
mod ids;
mod mutated;
mod native;
mod settings;
mod shown;
mod sites;
mod world;
