//! An executable that is nothing but the helper door; tests give it to `Launcher::new`.

use std::process::ExitCode;

fn main() -> ExitCode {
    pillion_runtime::helper::door().unwrap_or(ExitCode::from(64))
}
