//! Identities over a real store and real files.

mod certificates;
mod logins;
mod tokens;
mod world;
