//! `list`, `show` and `status`: apps as they are asked to be and as they are.

mod status_text;

use pillion_api::wire::{AppDocument, AppState, AppSummary, StatusAnswer};

use super::{Context, app_name};
use crate::{
    cli::Format,
    client::Ask,
    complaint::Complaint,
    output::{self, Table},
    paint::Paint,
};

pub async fn list(context: &Context) -> Result<(), Complaint> {
    let apps: Vec<AppSummary> = context.client.ask(Ask::get("/v1/apps")).await?;
    output::print_as(&apps, context.format(Format::Table), |apps| {
        let mut table = Table::new(&["NAME", "STATE", "READY", "REVISION", "SIDECARS", "IMAGE", "URL"]);
        for app in apps {
            table.row([
                app.name.to_string(),
                state(app.state).to_owned(),
                format!("{}/{}", app.ready, app.wanted),
                app.revision.map_or_else(|| "-".into(), |n| n.to_string()),
                app.sidecars.to_string(),
                app.image.clone(),
                format!("http://127.0.0.1:{}/", app.port),
            ]);
        }
        table.text("")
    })
}

pub async fn show(context: &Context, app: &str) -> Result<(), Complaint> {
    let app = app_name(app)?;
    let document: AppDocument = context.client.ask(Ask::get(format!("/v1/apps/{app}"))).await?;
    // The definition alone, so that what is printed is an app file.
    match context.format(Format::Yaml) {
        Format::Json => output::print_as(&document.definition, Format::Json, |_| String::new()),
        Format::Table | Format::Yaml => {
            let text = pillion_model::to_yaml(&document.definition).map_err(|error| Complaint::from_error(&error))?;
            output::print(&if text.ends_with('\n') { text } else { text + "\n" })
        }
    }
}

pub async fn status(context: &Context, app: &str) -> Result<(), Complaint> {
    let app = app_name(app)?;
    let status: StatusAnswer = context.client.ask(Ask::get(format!("/v1/apps/{app}/status"))).await?;
    output::print_as(&status, context.format(Format::Table), |status| {
        status_text::text(status, Paint::for_stdout(), crate::clock::now_ms())
    })
}

/// The word for a state.
fn state(state: AppState) -> &'static str {
    match state {
        AppState::Starting => "starting",
        AppState::Running => "running",
        AppState::Updating => "updating",
        AppState::Degraded => "degraded",
        AppState::Failed => "failed",
        AppState::Stopping => "stopping",
        AppState::Stopped => "stopped",
        AppState::Deleting => "deleting",
    }
}
