//! Small constructors for the diagnoses this engine makes itself.

use std::fmt::Display;

use pillion_fault::{Diagnosis, Fault};

/// A failure of the machine or of Pillion, not of a container.
pub(crate) fn internal(doing: impl Into<String>, reason: impl Display) -> Diagnosis {
    Diagnosis {
        container: None,
        fault: Fault::Internal { doing: doing.into(), reason: reason.to_string() },
        log_tail: Vec::new(),
    }
}
