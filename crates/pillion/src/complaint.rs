//! What the command line says when something goes wrong: a sentence, its causes, then `hint:` with what to do.

use std::{error::Error, fmt, io::Write};

use pillion_api::wire::{ErrorBody, ProblemView};
use pillion_fault::{Called, Diagnosis, Words};

use crate::{client::ClientError, paint::Paint};

/// What the exit code says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Failed = 1,
    Usage = 2,
    NotFound = 3,
    Conflict = 4,
}

/// The end of a command that did not do what was asked.
#[derive(Debug)]
pub struct Complaint {
    outcome: Outcome,
    sentence: String,
    causes: Vec<String>,
    /// What is so all the same.
    standing: Option<String>,
    hint: Option<String>,
    /// The last lines a container printed.
    log_tail: Vec<String>,
}

impl Complaint {
    pub fn new(sentence: impl Into<String>) -> Self {
        Self {
            outcome: Outcome::Failed,
            sentence: sentence.into(),
            causes: Vec::new(),
            standing: None,
            hint: None,
            log_tail: Vec::new(),
        }
    }

    pub fn usage(sentence: impl Into<String>) -> Self {
        Self { outcome: Outcome::Usage, ..Self::new(sentence) }
    }

    pub fn not_found(sentence: impl Into<String>) -> Self {
        Self { outcome: Outcome::NotFound, ..Self::new(sentence) }
    }

    /// Takes an error's sentence, and those of its sources as causes.
    pub fn from_error(error: &dyn Error) -> Self {
        Self::new(error.to_string()).because(error.source())
    }

    /// Adds the sentences of an error and of its sources.
    pub fn because<'a>(mut self, error: Option<&'a (dyn Error + 'a)>) -> Self {
        let mut next = error;
        while let Some(error) = next {
            self.causes.push(error.to_string());
            next = error.source();
        }
        self
    }

    pub fn cause(mut self, cause: impl Into<String>) -> Self {
        self.causes.push(cause.into());
        self
    }

    /// Says what is so all the same: `revision 3 goes on serving`.
    pub fn all_the_same(mut self, standing: impl Into<String>) -> Self {
        self.standing = Some(standing.into());
        self
    }

    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    pub fn outcome(&self) -> Outcome {
        self.outcome
    }

    pub fn conflict(sentence: impl Into<String>) -> Self {
        Self { outcome: Outcome::Conflict, ..Self::new(sentence) }
    }

    /// An app that failed: which container, why, and the fix.
    pub fn diagnosis(app: &str, diagnosis: Diagnosis, words: Words) -> Self {
        Self {
            outcome: Outcome::Failed,
            sentence: format!("{app} is not ready: {}", diagnosis.line(Called::Container)),
            causes: Vec::new(),
            standing: None,
            hint: diagnosis.hint_for(app, words),
            log_tail: diagnosis.last_lines().collect(),
        }
    }

    /// Writes it to `out`.
    pub fn print(&self, out: &mut dyn Write, paint: Paint) -> std::io::Result<()> {
        let mut sentence = self.sentence.lines();
        writeln!(out, "{} {}", paint.error("error:"), sentence.next().unwrap_or_default())?;
        for line in sentence {
            writeln!(out, "  {line}")?;
        }
        for cause in &self.causes {
            writeln!(out, "  {} {cause}", paint.dim("because"))?;
        }
        if let Some(standing) = &self.standing {
            writeln!(out, "  {standing}")?;
        }
        if let Some(hint) = &self.hint {
            let mut lines = hint.lines();
            writeln!(out, "{} {}", paint.hint("hint:"), lines.next().unwrap_or_default())?;
            for line in lines {
                writeln!(out, "      {line}")?;
            }
        }
        if !self.log_tail.is_empty() {
            writeln!(out, "{}", paint.dim("its last lines:"))?;
            for line in &self.log_tail {
                writeln!(out, "  {line}")?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.sentence)
    }
}

impl From<ClientError> for Complaint {
    fn from(error: ClientError) -> Self {
        match error {
            ClientError::Refused { status, body } => Self::from_body(status.as_u16(), *body),
            ClientError::Absent { .. } => Self::from_error(&error)
                .hint("start one with `sudo pillion serve`, or run an app with `sudo pillion up`, which brings its own"),
            ClientError::NotPermitted { .. } => Self::from_error(&error).hint(
                "only root and members of the group `pillion` may (membership equals root): run this with sudo, \
                 or `sudo usermod -aG pillion $USER` and log in again",
            ),
            ClientError::Connect { .. }
            | ClientError::Broken { .. }
            | ClientError::Unreadable { .. }
            | ClientError::CutShort { .. } => Self::from_error(&error),
        }
    }
}

impl Complaint {
    fn from_body(status: u16, body: ErrorBody) -> Self {
        let outcome = match status {
            404 => Outcome::NotFound,
            409 | 412 => Outcome::Conflict,
            _ => Outcome::Failed,
        };
        let log_tail = body.diagnosis.map(|d| d.last_lines().collect()).unwrap_or_default();
        Self { outcome, log_tail, hint: body.hint, ..Self::new(body.message) }.problems(&body.problems)
    }

    /// Lists everything wrong with a request or a file.
    pub fn problems(mut self, problems: &[ProblemView]) -> Self {
        for problem in problems {
            if !problem.path.is_empty() && !problem.message.contains(&problem.path) {
                self.sentence.push_str(&format!("\n{}: {}", problem.path, problem.message));
            } else {
                self.sentence.push_str(&format!("\n{}", problem.message));
            }
            if let Some(hint) = &problem.hint {
                self.sentence.push_str(&format!("\n  hint: {hint}"));
            }
        }
        self
    }
}
