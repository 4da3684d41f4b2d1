//! Data on stdout: tables that line up, JSON, YAML.

use std::io::{self, Write};

use serde::Serialize;

use crate::{cli::Format, complaint::Complaint};

/// Writes to stdout; a reader that went away (`| head`) ends the command quietly.
pub fn print(text: &str) -> Result<(), Complaint> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => std::process::exit(0),
        done => done.map_err(|error| Complaint::new("could not write to standard output").because(Some(&error))),
    }
}

/// Prints a value as the format says, with `table` making the text for people.
pub fn print_as<T: Serialize>(value: &T, format: Format, table: impl FnOnce(&T) -> String) -> Result<(), Complaint> {
    match format {
        Format::Table => print(&table(value)),
        Format::Json => print(&format!("{}\n", json(value)?)),
        Format::Yaml => print(&yaml(value)?),
    }
}

fn json<T: Serialize>(value: &T) -> Result<String, Complaint> {
    serde_json::to_string_pretty(value).map_err(|error| Complaint::from_error(&error))
}

/// Writes a value as YAML.
pub fn yaml<T: Serialize>(value: &T) -> Result<String, Complaint> {
    // By way of JSON, so that both say the same (flattened and tagged types differ between serialisers).
    let value = serde_json::to_value(value).map_err(|error| Complaint::from_error(&error))?;
    let text = serde_saphyr::to_string(&value).map_err(|error| Complaint::from_error(&error))?;
    Ok(if text.ends_with('\n') { text } else { text + "\n" })
}

/// A table: left-aligned columns, two spaces apart, the last one as long as it likes.
#[derive(Debug, Default)]
pub struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    pub fn new(heads: &[&str]) -> Self {
        Self { rows: vec![heads.iter().map(|head| (*head).to_owned()).collect()] }
    }

    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().collect());
    }

    /// Returns the text, each line after `indent`.
    pub fn text(&self, indent: &str) -> String {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let width = |column: usize| {
            self.rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        let mut text = String::new();
        for row in &self.rows {
            let mut line = indent.to_owned();
            for (cell, width) in row.iter().zip(&widths) {
                line.push_str(cell);
                line.extend(std::iter::repeat_n(' ', width + 2 - cell.chars().count()));
            }
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }
}

/// Writes a number of bytes for people.
pub fn bytes(count: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut value = count as f64;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    if unit == 0 { format!("{count} B") } else { format!("{value:.1} {}", UNITS[unit]) }
}

/// Writes a span for people, by its two largest units.
pub fn span(millis: u64) -> String {
    let seconds = millis / 1000;
    match seconds {
        0 => format!("{millis}ms"),
        1..=59 => format!("{seconds}s"),
        60..=3599 => format!("{}m{}s", seconds / 60, seconds % 60),
        3600..=86_399 => format!("{}h{}m", seconds / 3600, seconds % 3600 / 60),
        _ => format!("{}d{}h", seconds / 86_400, seconds % 86_400 / 3600),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_lines_have_no_trailing_space() {
        let mut table = Table::new(&["NAME", "STATE"]);
        table.row(["shop".into(), "running".into()]);
        table.row(["a-long-name".into(), String::new()]);
        assert_eq!(table.text(""), "NAME         STATE\nshop         running\na-long-name\n");
    }

    #[test]
    fn sizes_and_spans_are_short() {
        assert_eq!(bytes(1023), "1023 B");
        assert_eq!(bytes(134_217_728), "128.0 MiB");
        assert_eq!(span(999), "999ms");
        assert_eq!(span(3_725_000), "1h2m");
    }
}
