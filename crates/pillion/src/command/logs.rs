//! `logs` and `events`: what the containers wrote, and what happened to them.

pub mod printer;

use pillion_api::wire::{Event, LogLine};

use self::printer::Printer;
use super::{Context, app_name};
use crate::{
    cli::{EventsArgs, Format, LogsArgs},
    client::{Ask, encoded},
    clock,
    complaint::Complaint,
    output,
};

pub async fn logs(context: &Context, args: LogsArgs) -> Result<(), Complaint> {
    let app = app_name(&args.app)?;
    let mut query = format!("follow={}", args.follow);
    let mut add = |name: &str, value: &str| query.push_str(&format!("&{name}={}", encoded(value)));
    if let Some(container) = &args.container {
        add("container", container);
    }
    if let Some(instance) = &args.instance {
        add("instance", instance);
    }
    if let Some(ago) = args.since {
        add("sinceMs", &clock::now_ms().saturating_sub(ago.0.as_millis() as u64).to_string());
    }
    if let Some(tail) = args.tail {
        add("tail", &tail.to_string());
    }
    let mut lines = context.client.lines::<LogLine>(Ask::get(format!("/v1/apps/{app}/logs?{query}"))).await?;
    let format = context.format(Format::Table);
    let mut printer = Printer::new(args.container.is_none(), args.timestamps);
    while let Some(line) = lines.next().await? {
        match format {
            Format::Table => printer.print(&line)?,
            Format::Json => one_json(&line)?,
            Format::Yaml => output::print(&format!("---\n{}", output::yaml(&line)?))?,
        }
    }
    Ok(())
}

pub async fn events(context: &Context, args: EventsArgs) -> Result<(), Complaint> {
    let app = app_name(&args.app)?;
    let ask = Ask::get(format!("/v1/apps/{app}/events?follow={}", args.follow));
    let mut events = context.client.lines::<Event>(ask).await?;
    let format = context.format(Format::Table);
    while let Some(event) = events.next().await? {
        match format {
            Format::Table => {
                let at = printer::time(event.at_ms);
                let what = event.container.as_deref().unwrap_or("-");
                output::print(&format!("{at}  {what:<16}  {:<12}  {}\n", event.kind, event.text))?;
            }
            Format::Json => one_json(&event)?,
            Format::Yaml => output::print(&format!("---\n{}", output::yaml(&event)?))?,
        }
    }
    Ok(())
}

fn one_json<T: serde::Serialize>(value: &T) -> Result<(), Complaint> {
    let line = serde_json::to_string(value).map_err(|error| Complaint::from_error(&error))?;
    output::print(&format!("{line}\n"))
}
