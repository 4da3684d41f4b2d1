//! The app file: YAML or JSON text read into an [`App`], every problem named by field, line and column.

mod decode;
mod error;
mod node;
mod read;
mod render;
mod scalar;

use std::collections::HashMap;

use serde::Deserialize;

use crate::{App, Place, Problem, validate};

pub use render::{REDACTED, RenderError, keep_secrets, redacted, to_json, to_yaml};

/// A decoded app file that still knows where each field stands.
#[derive(Debug, Clone)]
pub struct AppFile {
    app: App,
    places: HashMap<String, Place>,
}

impl AppFile {
    /// Reads YAML or JSON text (JSON is YAML). Rules that span fields are left to [`AppFile::check`].
    ///
    /// # Errors
    /// Every unknown and doubled key, and the first value that cannot be read.
    pub fn decode(text: &str) -> Result<Self, Vec<Problem>> {
        let mut tree = read::tree(text).map_err(|problem| vec![problem])?;
        let found = std::cell::RefCell::new(Vec::new());
        let mut places = HashMap::new();
        tree.index("", &mut places, &mut found.borrow_mut());
        let decoded = App::deserialize(decode::NodeDeserializer::new(&tree, &found));
        let mut problems = found.into_inner();
        match decoded {
            Ok(app) if problems.is_empty() => Ok(Self { app, places }),
            Ok(_) => Err(in_order(problems)),
            Err(error) => {
                problems.push(error.into_problem(&tree));
                Err(in_order(problems))
            }
        }
    }

    /// Checks all rules and returns the app.
    ///
    /// # Errors
    /// Every rule that is broken, with the place in the file.
    pub fn check(self) -> Result<App, Vec<Problem>> {
        match validate(&self.app) {
            Ok(()) => Ok(self.app),
            Err(mut problems) => {
                for problem in &mut problems {
                    problem.place = self.place(&problem.path);
                }
                Err(in_order(problems))
            }
        }
    }

    /// Reads and checks in one.
    ///
    /// # Errors
    /// As [`AppFile::decode`] and [`AppFile::check`].
    pub fn parse(text: &str) -> Result<App, Vec<Problem>> {
        Self::decode(text)?.check()
    }

    /// Returns where a field stands, or the nearest field around it.
    pub fn place(&self, path: &str) -> Option<Place> {
        let mut path = path;
        loop {
            if let Some(place) = self.places.get(path) {
                return Some(*place);
            }
            path = &path[..path.rfind(['.', '['])?];
        }
    }

    /// Returns the app as decoded.
    pub fn app(&self) -> &App {
        &self.app
    }
}

fn in_order(mut problems: Vec<Problem>) -> Vec<Problem> {
    problems.sort_by_key(|problem| problem.place);
    problems
}
