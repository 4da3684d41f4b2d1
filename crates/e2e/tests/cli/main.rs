//! The command line on the built program: every verb as a person or a script uses it, and what it says when it cannot.

mod exec;
mod images;
mod logs;
mod refusals;
mod screen;
mod settings;
mod shop;
mod sidecars;
mod status;
mod system;
mod up;
mod verbs;
