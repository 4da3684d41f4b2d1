//! Verbs that change an app without a file: `restart`, `stop`, `start`, `scale`, `delete`.

use std::io::{BufRead, IsTerminal, Write};

use pillion_api::wire::{AppState, Done, ScaleRequest, StatusAnswer, TargetRequest};

use super::{Context, app_name};
use crate::{
    cli::{DeleteArgs, ScaleArgs, TargetArgs},
    client::Ask,
    complaint::Complaint,
};

/// How long a change may take to settle: a first start may take 230 s.
const WAIT_SECONDS: u64 = 240;

/// What is done to an app or a container.
#[derive(Debug, Clone, Copy)]
pub enum Act {
    Restart,
    Stop,
    Start,
}

impl Act {
    fn verb(self) -> &'static str {
        match self {
            Act::Restart => "restart",
            Act::Stop => "stop",
            Act::Start => "start",
        }
    }

    fn done(self) -> &'static str {
        match self {
            Act::Restart => "restarted",
            Act::Stop => "stopped",
            Act::Start => "started",
        }
    }
}

pub async fn act(context: &Context, act: Act, args: TargetArgs) -> Result<(), Complaint> {
    let app = app_name(&args.app)?;
    let request = TargetRequest { container: args.container };
    let ask = Ask::post(format!("/v1/apps/{app}/{}?waitSeconds={WAIT_SECONDS}", act.verb())).json(&request);
    let answer = context.client.ask(ask).await?;
    // Of one container that was stopped or started the server has told all; others may still wait for it.
    match (act, &request.container) {
        (Act::Stop | Act::Start, Some(_)) => {}
        (Act::Restart | Act::Stop | Act::Start, _) => settled(answer)?,
    }
    match request.container {
        Some(container) => eprintln!("container {container} of {app} {}", act.done()),
        None => eprintln!("{app} {}", act.done()),
    }
    Ok(())
}

pub async fn scale(context: &Context, args: ScaleArgs) -> Result<(), Complaint> {
    let app = app_name(&args.app)?;
    let ask = Ask::post(format!("/v1/apps/{app}/scale?waitSeconds={WAIT_SECONDS}")).json(&ScaleRequest { count: args.count });
    let status: StatusAnswer = context.client.ask(ask).await?;
    let (ready, wanted) = (status.status.ready, status.status.wanted);
    settled(status)?;
    eprintln!("{app} has {ready} of {wanted} instances ready");
    Ok(())
}

/// An app that failed afterwards makes the command fail, saying why.
fn settled(answer: StatusAnswer) -> Result<(), Complaint> {
    let words = answer.status.words();
    match (answer.status.state, answer.status.diagnosis) {
        (AppState::Failed, Some(diagnosis)) => Err(Complaint::diagnosis(answer.status.name.as_str(), diagnosis, words)),
        (AppState::Failed, None) => Err(Complaint::new(format!("{} failed", answer.status.name))),
        (
            AppState::Starting
            | AppState::Running
            | AppState::Updating
            | AppState::Degraded
            | AppState::Stopping
            | AppState::Stopped
            | AppState::Deleting,
            _,
        ) => Ok(()),
    }
}

pub async fn delete(context: &Context, args: DeleteArgs) -> Result<(), Complaint> {
    let app = app_name(&args.app)?;
    if !args.yes && std::io::stdin().is_terminal() && !confirmed(app.as_str())? {
        return Err(Complaint::new(format!("{app} was not deleted")));
    }
    context.client.ask::<Done>(Ask::delete(format!("/v1/apps/{app}"))).await?;
    eprintln!("{app} deleted");
    Ok(())
}

fn confirmed(app: &str) -> Result<bool, Complaint> {
    let failed = |error: std::io::Error| Complaint::new("could not ask").because(Some(&error));
    eprint!("Delete {app} with its persistent volumes and logs? [y/N] ");
    std::io::stderr().flush().map_err(failed)?;
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer).map_err(failed)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}
