//! `pillion apply`: sends an app file and waits until the app is ready, or says why it is not.

use pillion_api::wire::{ApplyOutcome, ApplyRequest};

use super::{Context, app_file::SourceFile, credentials, rollout};
use crate::{
    cli::{ApplyArgs, Format},
    client::Ask,
    complaint::Complaint,
    output,
    paint::Paint,
};

pub async fn run(context: &Context, args: ApplyArgs) -> Result<(), Complaint> {
    let file = SourceFile::from(&args.file.file)?;
    let outcome = send(context, &file, args.dry_run).await?;
    if args.dry_run {
        return output::print_as(&outcome, context.format(Format::Table), steps);
    }
    let name = file.app.name.as_str();
    if outcome.steps.is_empty() {
        eprintln!("{name} is already as the file says");
    }
    if args.no_wait {
        eprintln!("{name}: revision {} accepted", outcome.revision);
        return output_machine(context, &outcome);
    }
    let urls = rollout::follow(context, name, outcome.revision).await?;
    eprintln!("{} {name} is ready (revision {})", Paint::for_stderr().good("✓"), outcome.revision);
    match context.output_given() {
        Some(_) => output_machine(context, &outcome),
        None => urls.iter().try_for_each(|url| output::print(&format!("{url}\n"))),
    }
}

/// Sends a file's definition with the credentials of the registries it names.
pub async fn send(context: &Context, file: &SourceFile, dry_run: bool) -> Result<ApplyOutcome, Complaint> {
    let definition = serde_json::to_value(&file.app).map_err(|error| Complaint::from_error(&error))?;
    let request = ApplyRequest { definition, credentials: credentials::for_app(&file.app).await? };
    let query = if dry_run { "?dryRun=true" } else { "" };
    let ask = Ask::put(format!("/v1/apps/{}{query}", file.app.name)).json(&request);
    context.client.ask(ask).await.map_err(|error| file.point(error))
}

fn steps(outcome: &ApplyOutcome) -> String {
    if outcome.steps.is_empty() {
        return "nothing to do\n".into();
    }
    outcome.steps.iter().map(|step| format!("{step}\n")).collect()
}

fn output_machine(context: &Context, outcome: &ApplyOutcome) -> Result<(), Complaint> {
    match context.output_given() {
        Some(Format::Table) | None => Ok(()),
        Some(format @ (Format::Json | Format::Yaml)) => output::print_as(outcome, format, |_| String::new()),
    }
}
