//! How a diagnosis is said: first line the container and the cause, second line the fix.

use std::fmt;

use crate::{Diagnosis, Fault, Words, sentence::Voice};

/// What a container is called in front of its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Called {
    #[default]
    Container,
    Main,
    Sidecar,
}

/// Whether the container's own last lines are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogTail {
    Shown,
    Left,
}

impl Diagnosis {
    /// Makes a diagnosis that concerns one container.
    pub fn of(container: impl Into<String>, fault: Fault) -> Self {
        Self { container: Some(container.into()), fault, log_tail: Vec::new() }
    }

    /// Returns the sentence with its subject, in one line.
    pub fn line(&self, called: Called) -> String {
        let sentence = printable(&self.fault.to_string());
        let Some(name) = &self.container else { return sentence };
        let noun = match called {
            Called::Container => "container",
            Called::Main => "main container",
            Called::Sidecar => "sidecar",
        };
        match self.fault.voice() {
            Voice::Whole => format!("{noun} {name:?}: {sentence}"),
            Voice::Predicate => format!("{noun} {name:?} {sentence}"),
        }
    }

    /// Returns the fix, with this container's name filled in.
    pub fn hint(&self) -> Option<String> {
        self.hint_in(Words::AppFile)
    }

    /// Returns the fix in these words, with this container's name filled in.
    pub fn hint_in(&self, words: Words) -> Option<String> {
        let hint = self.fault.hint_in(words)?;
        Some(match &self.container {
            Some(name) => hint.replace("-c CONTAINER", &format!("-c {name}")),
            None => hint,
        })
    }

    /// Returns the fix, with the names of this container and of the app filled in.
    pub fn hint_for(&self, app: &str, words: Words) -> Option<String> {
        Some(self.hint_in(words)?.replace(" APP", &format!(" {app}")))
    }

    /// Returns the container's last lines as they can be shown on any terminal.
    pub fn last_lines(&self) -> impl Iterator<Item = String> {
        self.log_tail.iter().map(|line| printable(line))
    }

    /// Returns the whole text: line one container and cause, line two `hint:` and the fix, then the container's last lines.
    pub fn render(&self, called: Called, tail: LogTail) -> String {
        let mut text = self.line(called);
        if let Some(hint) = self.hint() {
            text.push_str("\nhint: ");
            text.push_str(&hint.replace('\n', " "));
        }
        if tail == LogTail::Shown && !self.log_tail.is_empty() {
            text.push_str("\nits last lines:");
            for line in self.last_lines() {
                text.push_str("\n  | ");
                text.push_str(&line);
            }
        }
        text
    }
}

impl fmt::Display for Diagnosis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.line(Called::Container))
    }
}

impl std::error::Error for Diagnosis {}

impl From<Fault> for Diagnosis {
    fn from(fault: Fault) -> Self {
        Self { container: None, fault, log_tail: Vec::new() }
    }
}

/// Takes out what steers a terminal: a container's words must not move the cursor, ring or retitle the window.
fn printable(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        match c {
            '\u{1b}' => skip_sequence(&mut rest),
            '\n' | '\t' => kept.push(' '),
            c if c.is_control() => {}
            c => kept.push(c),
        }
    }
    kept
}

/// Skips the rest of an escape sequence (ECMA-48): `[` up to its final letter, a string up to its end, or one character.
fn skip_sequence(rest: &mut std::str::Chars<'_>) {
    match rest.next() {
        Some('[') => drop(rest.find(|c| ('@'..='~').contains(c))),
        Some(']' | 'P' | 'X' | '^' | '_') => drop(rest.find(|c| matches!(c, '\u{7}' | '\u{1b}' | '\u{9c}'))),
        Some(_) | None => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Exit;

    #[test]
    fn the_first_line_names_container_and_cause_and_the_second_the_fix() {
        let mut diagnosis = Diagnosis::of("cache2", Fault::PortTaken { port: 6379, holder: "cache".into() });
        diagnosis.log_tail = vec!["bind: Address already in use".into()];
        let text = diagnosis.render(Called::Sidecar, LogTail::Shown);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], r#"sidecar "cache2" wants port 6379, which "cache" already has"#);
        assert!(lines[1].starts_with("hint: give this container another port"), "{text}");
        assert_eq!(lines[2..], ["its last lines:", "  | bind: Address already in use"]);
        assert_eq!(diagnosis.render(Called::Sidecar, LogTail::Left).lines().count(), 2);
    }

    #[test]
    fn a_sentence_that_is_whole_follows_a_colon() {
        let fault = Fault::ImageTagNotFound { image: "redis:8.9".into(), tag: "8.9".into() };
        assert_eq!(Diagnosis::of("web", fault).to_string(), r#"container "web": image "redis:8.9" has no tag "8.9""#);
    }

    #[test]
    fn the_hint_fills_in_the_container() {
        let fault = Fault::Exited { exit: Exit::Code { code: 1 }, after_ms: 3 };
        let hint = Diagnosis::of("web", fault).hint().expect("an exit has a hint");
        assert!(hint.ends_with("`pillion logs APP -c web`"), "{hint}");
    }

    #[test]
    fn the_hint_fills_in_the_app() {
        let fault = Fault::Exited { exit: Exit::Code { code: 1 }, after_ms: 3 };
        let hint = Diagnosis::of("web", fault).hint_for("shop", Words::AppFile).expect("an exit has a hint");
        assert!(hint.ends_with("`pillion logs shop -c web`"), "{hint}");
    }

    #[test]
    fn what_a_container_said_cannot_steer_the_terminal() {
        let mut diagnosis = Diagnosis::of("web", Fault::Exited { exit: Exit::Code { code: 1 }, after_ms: 3 });
        diagnosis.log_tail =
            vec!["\u{1b}[2J\u{1b}[31mred\u{1b}[0m\u{7}".into(), "\u{1b}]0;title\u{7}after".into(), "a\tb\0c".into()];
        assert_eq!(diagnosis.last_lines().collect::<Vec<_>>(), ["red", "after", "a bc"]);
    }

    #[test]
    fn a_cause_of_several_lines_stays_in_the_first_line() {
        let fault = Fault::Internal { doing: "testing".into(), reason: "one\ntwo".into() };
        assert_eq!(Diagnosis::from(fault).render(Called::Main, LogTail::Shown).lines().count(), 1);
    }
}
