//! The supervisor as a process: real containers, the control socket, the gate, log files.

mod exec;
mod faults;
mod gate;
mod lifecycle;
mod logs;
mod update;
mod world;
