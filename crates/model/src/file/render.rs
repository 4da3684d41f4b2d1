//! An app back to text, spelled out so that reading the text gives an equal app; and secrets hidden for display.

use crate::{App, Problem, ProblemCode, Setting};

/// What stands where a secret is not shown. Applied again, it means: keep the secret that is there.
pub const REDACTED: &str = "***";

/// An app that could not be written down.
#[derive(Debug, thiserror::Error)]
#[error("could not write the app as text: {0}")]
pub struct RenderError(String);

/// Returns the app as YAML.
///
/// # Errors
/// [`RenderError`] where the serializer refuses a value.
pub fn to_yaml(app: &App) -> Result<String, RenderError> {
    serde_saphyr::to_string(app).map_err(|error| RenderError(error.to_string()))
}

/// Returns the app as JSON, one key a line.
///
/// # Errors
/// [`RenderError`] where the serializer refuses a value.
pub fn to_json(app: &App) -> Result<String, RenderError> {
    serde_json::to_string_pretty(app).map_err(|error| RenderError(error.to_string()))
}

/// Returns the app with [`REDACTED`] in place of every secret.
pub fn redacted(app: &App) -> App {
    let mut shown = app.clone();
    for setting in shown.settings.values_mut() {
        match setting {
            Setting::Plain(_) => {}
            Setting::Secret { secret } => REDACTED.clone_into(secret),
        }
    }
    shown
}

/// Puts the secrets of `old` where `new` says [`REDACTED`], so that an app which was shown can be applied again.
///
/// # Errors
/// One problem per redacted secret that `old` does not have.
pub fn keep_secrets(new: &mut App, old: Option<&App>) -> Result<(), Vec<Problem>> {
    let mut problems = Vec::new();
    for (name, setting) in &mut new.settings {
        let Setting::Secret { secret } = setting else { continue };
        if secret != REDACTED {
            continue;
        }
        match old.and_then(|old| old.settings.get(name)) {
            Some(Setting::Secret { secret: kept }) => secret.clone_from(kept),
            Some(Setting::Plain(_)) | None => problems.push(
                Problem::new(
                    ProblemCode::SecretMissing,
                    format!("settings.{name}"),
                    format!("`{REDACTED}` keeps a secret as it is, but the app has no secret `{name}`"),
                )
                .hint("give its value"),
            ),
        }
    }
    if problems.is_empty() { Ok(()) } else { Err(problems) }
}
