//! A template that was read and checked, before it meets its parameters.

use crate::{
    budget::Budget,
    error::{Error, Result},
    parameters::Parameters,
    plan::Plan,
    reader::Document,
    surroundings::Surroundings,
};

/// A template whose form is right: every expression can be parsed and calls functions that exist.
#[derive(Debug, Clone)]
pub struct Template {}

impl Template {
    /// Checks a template's form.
    ///
    /// # Errors
    /// `InvalidTemplate` with path, line and column.
    pub fn parse(_document: &Document) -> Result<Self> {
        Err(Error::template("not yet"))
    }

    /// Gives the template its parameters and unfolds copies, conditions, child resources and the order.
    ///
    /// # Errors
    /// A parameter is missing or against its constraints, an expression fails, resources depend on each other in a circle, a limit is
    /// passed.
    pub fn expand(&self, _parameters: &Parameters, _surroundings: &Surroundings, _budget: &mut Budget) -> Result<Plan> {
        Err(Error::template("not yet"))
    }
}
