//! A further process in a container, as a stream of bytes both ways.

use pillion_engine::{ExecInput, ExecOutput, ExecRequest, ExecSession};
use pillion_fault::{Diagnosis, Fault};
use pillion_runtime::spec::ExecSpec;
use pillion_supervisor::{Client, ClientError, ExecInput as ToSupervisor, ExecOutput as FromSupervisor};
use tokio::sync::mpsc;

use crate::{connection::diagnose, instance_dir::InstanceDir};

/// Bytes under way each way; beyond it the side that reads too slowly holds the other up.
const QUEUE: usize = 16;

pub(crate) async fn open(dir: &InstanceDir, container: &str, request: ExecRequest) -> Result<ExecSession, Diagnosis> {
    let client = Client::connect(&dir.run).await.map_err(|error| diagnose(&error))?;
    let spec = ExecSpec { argv: request.argv, env: request.env, cwd: None, user: None, terminal: request.tty.is_some() };
    let size = request.tty.map(|size| (size.columns, size.rows));
    let mut session = client.exec(container, spec, size).await.map_err(|error| match error {
        ClientError::Refused { reason, fault } => Diagnosis {
            container: Some(container.to_owned()),
            fault: match fault.map(|fault| *fault) {
                Some(missing @ Fault::CommandMissing { .. }) => missing,
                Some(_) | None => Fault::StartFailed { doing: "running the command".to_owned(), reason },
            },
            log_tail: Vec::new(),
        },
        other => diagnose(&other),
    })?;
    let (input, mut inputs) = mpsc::channel(QUEUE);
    let (outputs, output) = mpsc::channel(QUEUE);
    let to = session.input;
    let forward_input = tokio::spawn(async move {
        while let Some(given) = inputs.recv().await {
            let given = match given {
                ExecInput::Data(bytes) => ToSupervisor::Data(bytes.to_vec()),
                ExecInput::Close => ToSupervisor::Close,
                ExecInput::Resize(size) => ToSupervisor::Resize { columns: size.columns, rows: size.rows },
            };
            if to.send(given).await.is_err() {
                return;
            }
        }
    });
    tokio::spawn(async move {
        loop {
            let said = tokio::select! {
                // Nobody listens any more: dropping the session's output ends the process.
                () = outputs.closed() => break,
                said = session.output.recv() => said,
            };
            let Some(said) = said else { break };
            let said = match said {
                FromSupervisor::Stdout(bytes) => ExecOutput::Stdout(bytes.into()),
                FromSupervisor::Stderr(bytes) => ExecOutput::Stderr(bytes.into()),
                FromSupervisor::Exit(exit) => ExecOutput::Exit(exit),
            };
            if outputs.send(said).await.is_err() {
                break;
            }
        }
        forward_input.abort();
    });
    Ok(ExecSession { input, output })
}
