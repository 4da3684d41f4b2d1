//! The app file from outside: what it accepts, what it says when it does not, and that it survives being written down.

mod accepted;
mod changed;
mod problems;
mod round_trip;
