//! What each verb does: one file a verb, or a few that are alike.

mod app_file;
mod apply;
mod audit;
mod az;
mod change;
mod credentials;
mod exec;
mod image;
mod inspect;
mod logs;
mod pack;
mod principal;
mod rollout;
mod sidecar;
mod system;
mod terminal;
mod up;

use crate::{
    cli::{Cli, Command, Format},
    client::Client,
    complaint::Complaint,
    layout::Layout,
};

/// What every verb works with.
#[derive(Debug, Clone)]
pub struct Context {
    pub layout: Layout,
    pub client: Client,
    output: Option<Format>,
}

impl Context {
    /// The format, where one was asked for.
    pub fn output_given(&self) -> Option<Format> {
        self.output
    }

    /// The format asked for, or the verb's own.
    pub fn format(&self, otherwise: Format) -> Format {
        self.output.unwrap_or(otherwise)
    }
}

/// Runs every verb but `serve`; returns the exit code of what went well.
pub async fn run(cli: Cli) -> Result<u8, Complaint> {
    let layout = Layout::new(cli.global.root.as_deref());
    let context = Context { client: Client::new(layout.api_socket()), layout, output: cli.global.output };
    match cli.command {
        Command::Serve(_) => unreachable!("`serve` has a runtime of its own; see main"),
        Command::Up(args) => up::run(&context, args).await?,
        Command::Apply(args) => apply::run(&context, args).await?,
        Command::List => inspect::list(&context).await?,
        Command::Show(args) => inspect::show(&context, &args.app).await?,
        Command::Status(args) => inspect::status(&context, &args.app).await?,
        Command::Events(args) => logs::events(&context, args).await?,
        Command::Logs(args) => logs::logs(&context, args).await?,
        Command::Exec(args) => return exec::run(&context, args).await,
        Command::Restart(args) => change::act(&context, change::Act::Restart, args).await?,
        Command::Stop(args) => change::act(&context, change::Act::Stop, args).await?,
        Command::Start(args) => change::act(&context, change::Act::Start, args).await?,
        Command::Scale(args) => change::scale(&context, args).await?,
        Command::Delete(args) => change::delete(&context, args).await?,
        Command::Sidecar(command) => sidecar::run(&context, command).await?,
        Command::Image(command) => image::run(&context, command).await?,
        Command::Principal(command) => principal::run(&context, command).await?,
        Command::Audit(args) => audit::run(&context, args).await?,
        Command::Az(command) => az::run(&context, command).await?,
        Command::System(command) => system::run(&context, command).await?,
    }
    Ok(0)
}

/// Checks an app's name before it becomes part of a path.
fn app_name(given: &str) -> Result<pillion_model::AppName, Complaint> {
    given.parse().map_err(|error: pillion_model::NameError| Complaint::usage(error.to_string()))
}
