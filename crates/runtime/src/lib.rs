//! Linux: the sandbox an instance lives in and the containers inside it. Knows no app.
//!
//! Every risky step (namespaces, libcontainer) happens in a re-exec'd, single-threaded helper process:
//! `main` of the binary must call [`helper::door`] before it starts any thread.

pub mod helper;
pub mod spec;
