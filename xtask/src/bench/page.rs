//! `docs/benchmarks.md`: the measured part is written anew by each run, the rest is kept.

use std::{fmt::Write as _, fs};

use super::figures::Row;
use crate::run::{Outcome, workspace};

const BEGIN: &str = "<!-- written by `cargo xtask bench` -->";
const END: &str = "<!-- end -->";

/// Returns the measured part.
pub fn table(machine: &[String], rows: &[Row]) -> String {
    let mut text = String::new();
    for line in machine {
        let _ = writeln!(text, "- {line}");
    }
    text.push_str("\n| what | Pillion: median (min–max) | peer | ratio | target | met |\n|---|---|---|---|---|---|\n");
    for Row { what, ours, peer, ratio, target, met } in rows {
        let ratio = ratio.map_or("–".to_owned(), |ratio| format!("{ratio:.3}"));
        let _ = writeln!(text, "| {what} | {ours} | {peer} | {ratio} | {target} | {} |", if *met { "yes" } else { "**no**" });
    }
    text
}

/// Puts the measured part into the page.
///
/// # Errors
/// The page cannot be read or written, or its marks are gone.
pub fn write(measured: &str) -> Outcome {
    let path = workspace().join("docs/benchmarks.md");
    let page = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    let marked = page.split_once(BEGIN).and_then(|(before, rest)| Some((before, rest.split_once(END)?.1)));
    let (before, after) = marked.ok_or_else(|| format!("{} has lost the marks `{BEGIN}` and `{END}`", path.display()))?;
    fs::write(&path, format!("{before}{BEGIN}\n\n{measured}\n{END}{after}"))
        .map_err(|error| format!("{}: {error}", path.display()))
}
