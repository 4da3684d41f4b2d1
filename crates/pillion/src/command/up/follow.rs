//! Follows everything an app writes until it is stopped or its server ends.

use pillion_api::wire::LogLine;
use pillion_model::App;

use crate::{
    client::{Ask, ClientError},
    command::{Context, logs::printer::Printer},
    complaint::Complaint,
};

/// Prints every line written since `since_ms`, and goes on until the stream ends.
pub async fn logs(context: &Context, app: &App, since_ms: u64) -> Result<(), Complaint> {
    let mut printer = Printer::new(true, false);
    printer.expect(app.containers.keys().map(|name| name.to_string()));
    let ask = Ask::get(format!("/v1/apps/{}/logs?follow=true&sinceMs={since_ms}", app.name));
    let mut lines = context.client.lines::<LogLine>(ask).await?;
    loop {
        match lines.next().await {
            Ok(Some(line)) => printer.print(&line)?,
            Ok(None) => return Ok(()),
            Err(ClientError::Broken { .. } | ClientError::CutShort { .. }) => {
                return Err(Complaint::new("the server ended"));
            }
            Err(other) => return Err(other.into()),
        }
    }
}
