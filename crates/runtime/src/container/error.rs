//! Why a container did not start.

use pillion_fault::Fault;

/// The failure of a create, a start or an exec.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The container cannot run as it is described, or the host cannot run it.
    #[error(transparent)]
    Fault(Box<Fault>),
    #[error("the helper could not be started")]
    Helper(#[source] std::io::Error),
    #[error("talking to the helper failed")]
    Talk(#[source] std::io::Error),
    /// It ended without an answer.
    #[error("the helper ended while {doing}")]
    Lost { doing: &'static str },
    #[error("the container's process could not be watched")]
    Watch(#[source] std::io::Error),
}

impl From<Fault> for StartError {
    fn from(fault: Fault) -> Self {
        StartError::Fault(Box::new(fault))
    }
}

impl From<StartError> for Fault {
    fn from(error: StartError) -> Self {
        match error {
            StartError::Fault(fault) => *fault,
            StartError::Helper(source) => internal("starting the helper process", &source),
            StartError::Talk(source) => internal("talking to the helper process", &source),
            StartError::Lost { doing } => {
                Fault::Internal { doing: doing.to_owned(), reason: "the helper process ended without an answer".to_owned() }
            }
            StartError::Watch(source) => internal("watching the container's process", &source),
        }
    }
}

fn internal(doing: &str, source: &std::io::Error) -> Fault {
    Fault::Internal { doing: doing.to_owned(), reason: source.to_string() }
}

/// Returns the fault of a step that the host refused.
pub(crate) fn failed(doing: impl Into<String>, reason: impl std::fmt::Display) -> Fault {
    Fault::StartFailed { doing: doing.into(), reason: reason.to_string() }
}
