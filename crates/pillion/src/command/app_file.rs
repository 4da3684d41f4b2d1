//! Reads an app file as the caller, and says what is wrong with it with line and column.

use std::{
    io::Read,
    path::{Path, PathBuf},
};

use pillion_api::wire::ErrorBody;
use pillion_model::{App, AppFile, Problem};

use crate::{client::ClientError, complaint::Complaint};

/// An app file that was read.
#[derive(Debug)]
pub struct SourceFile {
    pub app: App,
    file: AppFile,
    path: PathBuf,
}

impl SourceFile {
    /// Reads and checks a file; `-` is standard input.
    pub fn from(path: &Path) -> Result<Self, Complaint> {
        let text = text_of(path)?;
        let name = shown(path);
        let file = AppFile::decode(&text).map_err(|problems| wrong(&name, &problems))?;
        let app = file.clone().check().map_err(|problems| wrong(&name, &problems))?;
        Ok(Self { app, file, path: path.to_owned() })
    }

    /// Turns the server's refusal into one that points into this file.
    pub fn point(&self, error: ClientError) -> Complaint {
        match error {
            ClientError::Refused { status, body } if !body.problems.is_empty() => {
                let ErrorBody { message, problems, .. } = *body;
                let name = shown(&self.path);
                let mut complaint = Complaint::new(format!("{name}: {message}"));
                for problem in problems {
                    let place = self.file.place(&problem.path);
                    let at = place.map(|p| format!("{name}:{}:{}: ", p.line, p.column)).unwrap_or_default();
                    let field = if problem.path.is_empty() { String::new() } else { format!("{}: ", problem.path) };
                    complaint = complaint.cause(format!("{at}{field}{}", problem.message));
                    if let Some(hint) = problem.hint {
                        complaint = complaint.hint(hint);
                    }
                }
                let _ = status;
                complaint
            }
            other => other.into(),
        }
    }
}

fn text_of(path: &Path) -> Result<String, Complaint> {
    if path == Path::new("-") {
        let mut text = String::new();
        let read = std::io::stdin().lock().read_to_string(&mut text);
        return read
            .map(|_| text)
            .map_err(|error| Complaint::new("could not read the app file from standard input").because(Some(&error)));
    }
    std::fs::read_to_string(path).map_err(|error| {
        let missing = error.kind() == std::io::ErrorKind::NotFound;
        let sentence = format!("could not read the app file {}", path.display());
        let complaint = if missing { Complaint::not_found(sentence) } else { Complaint::new(sentence) };
        let complaint = complaint.because(Some(&error));
        if missing { complaint.hint("name it with `-f FILE`") } else { complaint }
    })
}

fn shown(path: &Path) -> String {
    if path == Path::new("-") { "standard input".into() } else { path.display().to_string() }
}

fn wrong(name: &str, problems: &[Problem]) -> Complaint {
    let count = problems.len();
    let mut complaint = Complaint::new(format!("{name} has {count} problem{}", if count == 1 { "" } else { "s" }));
    let single = problems.len() == 1;
    for problem in problems {
        let at = problem.place.map(|p| format!(":{}:{}", p.line, p.column)).unwrap_or_default();
        let field = if problem.path.is_empty() { String::new() } else { format!("{}: ", problem.path) };
        let hint = problem.hint.as_deref().filter(|_| !single).map(|hint| format!(" ({hint})")).unwrap_or_default();
        complaint = complaint.cause(format!("{name}{at}: {field}{}{hint}", problem.message));
    }
    match problems {
        [Problem { hint: Some(hint), .. }] => complaint.hint(hint.clone()),
        _ => complaint,
    }
}
