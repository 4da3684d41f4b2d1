//! A supervisor without the rest of the product: what this crate's tests start.

use std::process::ExitCode;

fn main() -> ExitCode {
    if let Some(code) = pillion_runtime::helper::door() {
        return code;
    }
    pillion_supervisor::run(std::env::args_os().skip(1))
}
