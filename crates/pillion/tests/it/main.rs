//! The command line as a person meets it: the built program, run.

mod azure;
mod grammar;
mod mistakes;
mod run;
