//! The sentences: what happened (`Display`) and what to do next (`hint`).

use std::fmt;

use crate::Fault;

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

impl std::error::Error for Fault {}

impl Fault {
    /// Returns what to do next, in the words of the app file; none where nothing general can be said.
    pub fn hint(&self) -> Option<String> {
        None
    }
}
