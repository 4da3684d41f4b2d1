//! Colours: only on terminals, and never where `NO_COLOR` is set.

use std::{fmt::Display, io::IsTerminal};

/// Whether, and then how, text is coloured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Paint {
    Plain,
    Colours,
}

impl Paint {
    /// Decides for standard output.
    pub fn for_stdout() -> Self {
        Self::decide(std::io::stdout().is_terminal())
    }

    /// Decides for standard error.
    pub fn for_stderr() -> Self {
        Self::decide(std::io::stderr().is_terminal())
    }

    fn decide(terminal: bool) -> Self {
        let refused =
            std::env::var_os("NO_COLOR").is_some_and(|v| !v.is_empty()) || std::env::var_os("TERM").is_some_and(|v| v == "dumb");
        if terminal && !refused { Paint::Colours } else { Paint::Plain }
    }

    pub fn error(self, text: impl Display) -> String {
        self.with("1;31", text)
    }

    pub fn hint(self, text: impl Display) -> String {
        self.with("1;36", text)
    }

    pub fn good(self, text: impl Display) -> String {
        self.with("32", text)
    }

    pub fn warn(self, text: impl Display) -> String {
        self.with("33", text)
    }

    pub fn dim(self, text: impl Display) -> String {
        self.with("2", text)
    }

    pub fn bold(self, text: impl Display) -> String {
        self.with("1", text)
    }

    /// One of a few colours told apart at a glance, chosen by `index`.
    pub fn nth(self, index: usize, text: impl Display) -> String {
        const COLOURS: [&str; 10] = ["36", "33", "35", "32", "34", "96", "93", "95", "92", "94"];
        self.with(COLOURS[index % COLOURS.len()], text)
    }

    fn with(self, code: &str, text: impl Display) -> String {
        match self {
            Paint::Plain => text.to_string(),
            Paint::Colours => format!("\x1b[{code}m{text}\x1b[0m"),
        }
    }
}
