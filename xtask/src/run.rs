//! Running commands: shown before they run, with an error that names them.

use std::{
    path::Path,
    process::{Command, Stdio},
};

/// What went wrong, as a sentence.
pub type Outcome<T = ()> = Result<T, String>;

/// Runs a command to its end, its output going where ours goes.
///
/// # Errors
/// It cannot be started or does not end with 0.
pub fn run(command: &mut Command) -> Outcome {
    eprintln!("$ {}", shown(command));
    let status = command.stdin(Stdio::null()).status().map_err(|error| format!("{}: {error}", shown(command)))?;
    if status.success() { Ok(()) } else { Err(format!("`{}` ended with {status}", shown(command))) }
}

/// Runs a command and returns what it printed.
///
/// # Errors
/// It cannot be started or does not end with 0; the message carries its last words.
pub fn output(command: &mut Command) -> Outcome<String> {
    let output = command.stdin(Stdio::null()).output().map_err(|error| format!("{}: {error}", shown(command)))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() {
        Ok(text(&output.stdout))
    } else {
        Err(format!("`{}` ended with {}: {}", shown(command), output.status, text(&output.stderr)))
    }
}

/// Starts `cargo` in the workspace.
pub fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(workspace());
    command
}

pub fn workspace() -> &'static Path {
    pillion_e2e::workspace()
}

fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
}
