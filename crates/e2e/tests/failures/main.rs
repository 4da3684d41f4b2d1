//! Every failure that `docs/reference/failures.md` describes, provoked on the built program: what is said names
//! container, cause and fix, it is what the page shows, and the fix, applied as printed, heals.

mod book;
mod coverage;
mod dependencies;
mod endings;
mod file;
mod host;
mod images;
mod limits;
mod ports;
mod probes;
mod programs;
mod pushed;
mod registries;
mod stage;
mod storage;
mod surfaces;
