//! Packing real programs of this host, running them in the unpacked tree, and pushing to a real registry.

mod layouts;
mod programs;
mod registry;
mod stored;
mod trees;
