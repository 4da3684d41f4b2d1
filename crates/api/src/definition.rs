//! Decodes an app file that came as JSON, with everything that is wrong with it.

use pillion_model::{App, AppFile, Problem};

use crate::{Failure, wire::ProblemView};

/// Decodes and checks a definition.
///
/// # Errors
/// 400 with every problem found.
pub fn decode(definition: &serde_json::Value) -> Result<App, Failure> {
    // JSON is YAML: the decoder of app files names fields and suggests the word that was meant.
    AppFile::parse(&definition.to_string()).map_err(|problems| {
        let count = problems.len();
        let message = format!("the definition has {count} problem{}", if count == 1 { "" } else { "s" });
        Failure::invalid(message, problems.iter().map(view).collect())
    })
}

// The place is left out: it speaks of a text that the client never saw.
pub(crate) fn view(problem: &Problem) -> ProblemView {
    ProblemView { path: problem.path.clone(), message: problem.message.clone(), hint: problem.hint.clone() }
}
