//! Prints log lines, each after the name of its container in that container's colour.

use std::collections::BTreeMap;

use jiff::Timestamp;
use pillion_api::wire::LogLine;

use crate::{complaint::Complaint, output, paint::Paint};

/// The longest name that is padded for; a longer one only pushes its own lines.
const NAME_WIDTH: usize = 16;

/// Remembers which containers and instances it has seen.
#[derive(Debug)]
pub struct Printer {
    names: bool,
    times: bool,
    paint: Paint,
    colours: BTreeMap<String, usize>,
    width: usize,
    first_instance: Option<String>,
    many_instances: bool,
}

impl Printer {
    /// `names`: each line says its container; `times`: and its time.
    pub fn new(names: bool, times: bool) -> Self {
        Self {
            names,
            times,
            paint: Paint::for_stdout(),
            colours: BTreeMap::new(),
            width: 0,
            first_instance: None,
            many_instances: false,
        }
    }

    /// Makes names known before their first line, so that lines stand in one column from the start.
    pub fn expect(&mut self, names: impl IntoIterator<Item = String>) {
        for name in names {
            self.width = self.width.max(name.len().min(NAME_WIDTH));
            self.colour(&name);
        }
    }

    pub fn print(&mut self, line: &LogLine) -> Result<(), Complaint> {
        let text = self.text(line);
        output::print(&text)
    }

    fn text(&mut self, line: &LogLine) -> String {
        let mut text = String::new();
        if self.times {
            text.push_str(&format!("{} ", self.paint.dim(time(line.at_ms))));
        }
        if self.names {
            let name = self.name(line);
            self.width = self.width.max(name.len().min(NAME_WIDTH));
            let padded = format!("{name:<width$} |", width = self.width);
            let colour = self.colour(&line.container);
            text.push_str(&format!("{} ", self.paint.nth(colour, padded)));
        }
        text.push_str(&line.text);
        text.push('\n');
        text
    }

    /// The container; with more than one instance, also the part of the id that tells them apart.
    fn name(&mut self, line: &LogLine) -> String {
        let instance = line.instance.as_str();
        match &self.first_instance {
            None => self.first_instance = Some(instance.to_owned()),
            Some(first) if first != instance => self.many_instances = true,
            Some(_) => {}
        }
        match instance.rsplit('-').next().filter(|_| self.many_instances) {
            Some(suffix) => format!("{}/{suffix}", line.container),
            None => line.container.clone(),
        }
    }

    fn colour(&mut self, container: &str) -> usize {
        let next = self.colours.len();
        *self.colours.entry(container.to_owned()).or_insert(next)
    }
}

/// Writes a time in the local zone, to the millisecond.
pub fn time(at_ms: u64) -> String {
    let Ok(time) = Timestamp::from_millisecond(i64::try_from(at_ms).unwrap_or(i64::MAX)) else { return "?".into() };
    time.to_zoned(jiff::tz::TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S%.3f").to_string()
}

#[cfg(test)]
mod tests {
    use pillion_api::wire::Stream;

    use super::*;

    fn line(instance: &str, container: &str, text: &str) -> LogLine {
        LogLine {
            instance: instance.parse().unwrap(),
            container: container.into(),
            at_ms: 0,
            stream: Stream::Stdout,
            text: text.into(),
        }
    }

    #[test]
    fn each_line_says_its_container_and_a_second_instance_makes_it_say_that_too() {
        let mut printer = Printer::new(true, false);
        printer.paint = Paint::Plain;
        printer.expect(["web".into(), "cache".into()]);
        assert_eq!(printer.text(&line("shop-1-aaaaaa", "web", "hello")), "web   | hello\n");
        assert_eq!(printer.text(&line("shop-1-bbbbbb", "web", "hello")), "web/bbbbbb | hello\n");
    }
}
