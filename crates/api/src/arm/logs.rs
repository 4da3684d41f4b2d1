//! `containerlogs` of a site: what its containers have printed, as the SDK asks for it.

use axum::body::Body;
use futures::StreamExt;
use pillion_arm::{ArmError, ResourceId};
use pillion_identity::{Access, Caller};
use pillion_model::AppName;
use tokio_util::io::ReaderStream;

use super::{Answer, Arm};
use crate::container_logs::{self, LogsError, time};

/// `POST …/containerlogs`: the newest lines of all containers, by time; 204 where none has printed.
pub(super) async fn text(arm: &Arm, caller: &Caller, site: &ResourceId) -> Result<Answer, ArmError> {
    let app = app(arm, caller, site).await?;
    let _turn = container_logs::turn().await.map_err(refused)?;
    let lines = container_logs::read(arm.azure.control(), &app, None).await.map_err(refused)?;
    let lines = lines.map(|line| format!("{} {} {} | {}\n", time(line.at_ms), line.instance, line.container, line.text));
    let text: String = lines.collect().await;
    Ok(if text.is_empty() { Answer::empty(204) } else { Answer::file("text/plain; charset=utf-8", text.into()) })
}

/// `POST …/containerlogs/zip/download`.
pub(super) async fn archive(arm: &Arm, caller: &Caller, site: &ResourceId) -> Result<Answer, ArmError> {
    let app = app(arm, caller, site).await?;
    let (file, _) = container_logs::archive(arm.azure.control(), &app).await.map_err(refused)?;
    let body = Body::from_stream(ReaderStream::new(tokio::fs::File::from_std(file)));
    Ok(Answer::file("application/zip", body))
}

/// Lines may hold secrets, so they are for those who may use the site's own pages: an action, as in Azure, and no reading.
async fn app(arm: &Arm, caller: &Caller, site: &ResourceId) -> Result<AppName, ArmError> {
    arm.azure.status_of(caller, site).await?;
    if !caller.may(Access::Write, site.key()) {
        return Err(ArmError::new(403, "AuthorizationFailed", "The client may not read the logs of this site's containers."));
    }
    arm.azure.app_of(site).await
}

fn refused(error: LogsError) -> ArmError {
    match error {
        LogsError::Busy => ArmError::new(429, "TooManyRequests", format!("{error}.")),
        LogsError::Control(error) => pillion_azure::refusal(&error),
        LogsError::Pack(ref source) => {
            tracing::error!(error = source as &dyn std::error::Error, "the logs could not be packed");
            ArmError::new(500, "InternalServerError", "The logs could not be packed.")
        }
    }
}
