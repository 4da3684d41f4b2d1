//! A process in one of a site's containers.

use axum::http::StatusCode;
use pillion_azure::Azure;
use pillion_engine::{ExecRequest, ExecSession, TtySize};
use pillion_model::{AppName, ContainerName, InstanceId};

use super::{Scm, answer::Refusal, site::Call};

/// What is run where no shell was asked for: bash where the image has it.
const ANY_SHELL: &str = "command -v bash >/dev/null 2>&1 && exec bash; exec sh";

/// Which container of which instance.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) app: AppName,
    pub(super) instance: Option<InstanceId>,
    /// Main where absent.
    pub(super) container: Option<ContainerName>,
}

impl Place {
    /// Reads `container` and `instance` (or the cookie) of a request.
    pub(super) async fn of(scm: &Scm, call: &Call) -> Result<Place, Refusal> {
        if call.query("target").is_some_and(|target| target.eq_ignore_ascii_case("kudu")) {
            let message = "there is no SCM container here; leave `--target` out to reach the main container, or name one";
            return Err(Refusal::new(StatusCode::NOT_IMPLEMENTED, "ScmContainerNotAvailable", message));
        }
        let container = call.query("container").filter(|name| !name.is_empty()).map(str::parse::<ContainerName>).transpose();
        let container = container.map_err(|error| Refusal::bad_request("NameInvalid", error.to_string()))?;
        let instance = call.instance(call.status(scm).await?.as_ref())?;
        Ok(Place { app: call.app.clone(), instance, container })
    }

    pub(super) async fn run(&self, azure: &Azure, request: ExecRequest) -> Result<ExecSession, Refusal> {
        let session = azure.control().exec(&self.app, self.instance.as_ref(), self.container.as_ref(), request).await;
        session.map_err(Refusal::from)
    }
}

/// Returns the command of a shell.
pub(super) fn shell(asked: Option<&str>) -> Vec<String> {
    match asked.filter(|shell| !shell.is_empty()) {
        Some(shell) => vec![shell.to_owned()],
        None => ["/bin/sh", "-c", ANY_SHELL].map(str::to_owned).to_vec(),
    }
}

/// Makes a request for a process at a terminal.
pub(super) fn at_terminal(argv: Vec<String>, term: Option<&str>, size: TtySize) -> ExecRequest {
    // Whatever a client says goes into the environment of a process: plain names only.
    let plain = |term: &&str| term.len() < 64 && term.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._+".contains(&byte));
    let term = term.filter(plain).unwrap_or("xterm-256color");
    ExecRequest { argv, env: vec![format!("TERM={term}")], tty: Some(size) }
}

/// Keeps a size that a terminal can have.
pub(super) fn size(columns: u64, rows: u64) -> TtySize {
    let bounded = |count: u64, otherwise: u16| match u16::try_from(count) {
        Ok(0) => otherwise,
        Ok(count) => count.min(1000),
        Err(_) => 1000,
    };
    TtySize { columns: bounded(columns, 80), rows: bounded(rows, 24) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_terminals_stay_sensible_whatever_comes() {
        let bounded = |columns, rows| {
            let size = size(columns, rows);
            (size.columns, size.rows)
        };
        assert_eq!(bounded(0, 0), (80, 24));
        assert_eq!(bounded(u64::MAX, 50), (1000, 50));
        let request = |term| at_terminal(Vec::new(), Some(term), size(80, 24)).env;
        assert_eq!(request("vt100"), ["TERM=vt100"]);
        assert_eq!(request("x\nLD_PRELOAD=y"), ["TERM=xterm-256color"]);
    }
}
