//! `pillion image`: the images on this machine.

use std::{io::IsTerminal, time::Duration};

use indicatif::{ProgressBar, ProgressStyle};
use pillion_api::wire::{Done, ImageSummary, Pruned, PullLine, PullRequest, RemoveImageRequest};

use super::{Context, credentials, pack};
use crate::{
    cli::{Format, ImageCommand, PullArgs},
    client::Ask,
    clock,
    complaint::Complaint,
    output::{self, Table},
};

pub async fn run(context: &Context, command: ImageCommand) -> Result<(), Complaint> {
    match command {
        ImageCommand::Pull(args) => pull(context, args).await,
        ImageCommand::List => list(context).await,
        ImageCommand::Pack(args) => pack::run(context, *args).await,
        ImageCommand::Remove { image } => {
            let request = RemoveImageRequest { image };
            context.client.ask::<Done>(Ask::post("/v1/images/remove").json(&request)).await?;
            eprintln!("{} forgotten; `pillion image prune` frees its space", request.image);
            Ok(())
        }
        ImageCommand::Prune => {
            let pruned: Pruned = context.client.ask(Ask::post("/v1/images/prune")).await?;
            print_pruned(context, &pruned)
        }
    }
}

/// Prints what a prune removed.
pub fn print_pruned(context: &Context, pruned: &Pruned) -> Result<(), Complaint> {
    output::print_as(pruned, context.format(Format::Table), |pruned| {
        let mut text: String = pruned.removed.iter().map(|thing| format!("removed {thing}\n")).collect();
        match (pruned.removed.is_empty(), pruned.freed_bytes) {
            (true, 0) => text.push_str("nothing to remove\n"),
            (_, freed) => text.push_str(&format!("{} freed\n", output::bytes(freed))),
        }
        text
    })
}

async fn list(context: &Context) -> Result<(), Complaint> {
    let images: Vec<ImageSummary> = context.client.ask(Ask::get("/v1/images")).await?;
    output::print_as(&images, context.format(Format::Table), |images| {
        let mut table = Table::new(&["IMAGE", "DIGEST", "SIZE", "PULLED", "IN USE"]);
        let now = clock::now_ms();
        for image in images {
            let digest = image.digest.strip_prefix("sha256:").unwrap_or(&image.digest);
            table.row([
                image.reference.clone(),
                digest.chars().take(12).collect(),
                output::bytes(image.size_bytes),
                image.pulled_at_ms.map_or_else(|| "-".into(), |at| format!("{} ago", output::span(now.saturating_sub(at)))),
                if image.in_use { "yes" } else { "no" }.into(),
            ]);
        }
        table.text("")
    })
}

async fn pull(context: &Context, args: PullArgs) -> Result<(), Complaint> {
    let credential = credentials::for_images([args.image.as_str()]).await?.into_values().next();
    let request = PullRequest { image: args.image.clone(), credential };
    let mut lines = context.client.lines::<PullLine>(Ask::post("/v1/images/pull").json(&request)).await?;
    let bar = progress_bar();
    while let Some(line) = lines.next().await? {
        match line {
            PullLine::Pulling { done, total } => {
                bar.set_length(total);
                bar.set_position(done);
            }
            PullLine::Pulled { digest } => {
                bar.finish_and_clear();
                return output::print(&format!("{digest}\n"));
            }
            PullLine::Failed { fault } => {
                bar.finish_and_clear();
                let complaint = Complaint::new(format!("{} could not be pulled: {}", args.image, fault.message));
                return Err(match fault.hint {
                    Some(hint) => complaint.hint(hint),
                    None => complaint,
                });
            }
        }
    }
    Err(Complaint::new("the server ended before the image was pulled"))
}

fn progress_bar() -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(0);
    bar.set_style(
        ProgressStyle::with_template("  {spinner} {bar:32} {bytes} of {total_bytes}  {bytes_per_sec}")
            .expect("a constant template"),
    );
    bar.enable_steady_tick(Duration::from_millis(120));
    bar
}
