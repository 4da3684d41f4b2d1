//! Follows a revision to its end and shows how far each container is: bars on a terminal, plain lines elsewhere.

mod board;

use pillion_api::wire::{RolloutEvent, StatusAnswer};
use pillion_fault::Words;

use self::board::Board;
use super::Context;
use crate::{client::Ask, complaint::Complaint};

/// Follows a revision; returns the app's URLs once it is ready.
///
/// # Errors
/// It failed, was superseded or stopped; the complaint names container, cause and fix.
pub async fn follow(context: &Context, app: &str, revision: u64) -> Result<Vec<String>, Complaint> {
    let mut events =
        context.client.lines::<RolloutEvent>(Ask::get(format!("/v1/apps/{app}/rollout?revision={revision}"))).await?;
    let mut board = Board::new();
    while let Some(event) = events.next().await? {
        match event {
            RolloutEvent::Container { container, instance, progress } => {
                board.container(container.as_str(), instance.as_ref().map(|id| id.as_str()), &progress);
            }
            RolloutEvent::Instances { ready, wanted } => board.instances(ready, wanted),
            RolloutEvent::Ready { .. } => {
                board.finish();
                let status: StatusAnswer = context.client.ask(Ask::get(format!("/v1/apps/{app}/status"))).await?;
                return Ok(status.status.urls);
            }
            RolloutEvent::Failed { diagnosis, serving, .. } => {
                board.failed(diagnosis.container.as_deref());
                board.finish();
                let complaint = Complaint::diagnosis(app, *diagnosis, Words::AppFile);
                return Err(match serving {
                    Some(old) => complaint.all_the_same(format!("revision {old} goes on serving")),
                    None => complaint,
                });
            }
            RolloutEvent::Superseded { by } => {
                board.finish();
                return Err(Complaint::conflict(format!(
                    "revision {revision} of {app} was replaced by revision {by} before it was ready"
                ))
                .hint(format!("`pillion status {app}` shows how that one fares")));
            }
            RolloutEvent::Stopped => {
                board.finish();
                return Err(Complaint::new(format!("{app} was stopped before revision {revision} was ready"))
                    .hint(format!("`pillion start {app}` starts it")));
            }
            RolloutEvent::Deleted => {
                board.finish();
                return Err(Complaint::not_found(format!("{app} was deleted before revision {revision} was ready")));
            }
        }
    }
    Err(Complaint::new(format!("the server ended before revision {revision} of {app} was ready"))
        .hint(format!("the app may still come up: `pillion status {app}` shows it once a server runs")))
}
