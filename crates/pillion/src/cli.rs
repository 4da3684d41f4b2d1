//! The grammar of the command line: every verb, its arguments, and help that teaches by example.

mod azure;
#[cfg(test)]
mod documents;
mod image;
mod logs;
mod sidecar;
mod system;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

pub use azure::{AuditArgs, AzCommand, CreateArgs, PrincipalCommand, RoleWord, Shell};
pub use image::{ImageCommand, PackArgs, PullArgs};
pub use logs::{ExecArgs, LogsArgs};
pub use sidecar::{SidecarCommand, SidecarFields};
pub use system::{ServeArgs, SystemCommand};

/// Run a web app and its sidecars as one unit, on your own machine.
#[derive(Debug, Parser)]
#[command(name = "pillion", version, arg_required_else_help = true, max_term_width = 100, after_help = TOUR)]
pub struct Cli {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Command,
}

const TOUR: &str = "\
Examples:
  pillion up                          run ./pillion.yaml and follow its logs; Ctrl-C stops it
  pillion apply -f shop.yaml          change a running app and wait until it is ready
  pillion status shop                 what runs, what does not, and why
  pillion logs shop -c cache -f       follow one container
  pillion exec shop -t -- sh          a shell in the main container

Exit codes: 0 done, 1 failed, 2 usage, 3 not found, 4 conflict.";

/// What every verb takes.
#[derive(Debug, Clone, Args)]
pub struct Global {
    /// Keep everything beneath this directory, apart from any other copy of Pillion on the machine
    #[arg(long, global = true, env = "PILLION_ROOT", value_name = "DIR", hide_env_values = true)]
    pub root: Option<PathBuf>,
    /// How data is printed on stdout
    #[arg(long, short, global = true, value_enum, value_name = "FORMAT")]
    pub output: Option<Format>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    Table,
    Json,
    Yaml,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the server in the foreground
    Serve(ServeArgs),
    /// Apply an app file, show progress and follow all logs; Ctrl-C stops the app
    Up(UpArgs),
    /// Apply an app file and wait until the app is ready
    Apply(ApplyArgs),
    /// List the apps
    #[command(visible_alias = "ls", after_help = LIST_HELP)]
    List,
    /// Print an app's definition, ready to be edited and applied again
    #[command(after_help = SHOW_HELP)]
    Show(AppArg),
    /// Show an app's instances and containers, and what is wrong with them
    #[command(after_help = STATUS_HELP)]
    Status(AppArg),
    /// Print what the containers wrote
    Logs(LogsArgs),
    /// Run a command in a container
    Exec(ExecArgs),
    /// Show what happened to an app: starts, restarts, probes, deployments
    #[command(after_help = EVENTS_HELP)]
    Events(EventsArgs),
    /// Restart an app, or one of its containers
    #[command(after_help = RESTART_HELP)]
    Restart(TargetArgs),
    /// Stop an app, or one of its containers, until it is started again
    #[command(after_help = STOP_HELP)]
    Stop(TargetArgs),
    /// Start an app, or one of its containers, that was stopped
    #[command(after_help = START_HELP)]
    Start(TargetArgs),
    /// Set how many instances an app has
    #[command(after_help = SCALE_HELP)]
    Scale(ScaleArgs),
    /// Stop an app and remove it with its volumes and logs
    #[command(after_help = DELETE_HELP)]
    Delete(DeleteArgs),
    /// Add, change, remove or list the sidecars of an app
    #[command(subcommand)]
    Sidecar(SidecarCommand),
    /// Pull, list, make and remove images
    #[command(subcommand)]
    Image(ImageCommand),
    /// Make, list and revoke who may log in at the TLS endpoint
    #[command(subcommand)]
    Principal(PrincipalCommand),
    /// Show who did what through the TLS endpoint
    Audit(AuditArgs),
    /// Point the Azure CLI at this server
    #[command(subcommand)]
    Az(AzCommand),
    /// Look at the server, clean up after it, stop it
    #[command(subcommand)]
    System(SystemCommand),
}

const LIST_HELP: &str = "\
Examples:
  pillion list
  pillion list --output json | jq -r '.[].name'";

const SHOW_HELP: &str = "\
Examples:
  pillion show shop > shop.yaml       secrets are left out: they are never shown again
  pillion apply -f shop.yaml          applying what `show` printed changes nothing";

const STATUS_HELP: &str = "\
Examples:
  pillion status shop
  pillion status shop --output json | jq '.instances[].containers[] | {name, phase}'";

const EVENTS_HELP: &str = "\
Examples:
  pillion events shop
  pillion events shop -f              wait for more";

const RESTART_HELP: &str = "\
Examples:
  pillion restart shop                every container, instance by instance
  pillion restart shop -c cache       only this one; the others keep running";

const STOP_HELP: &str = "\
Examples:
  pillion stop shop
  pillion stop shop -c cache";

const START_HELP: &str = "\
Examples:
  pillion start shop
  pillion start shop -c cache";

const SCALE_HELP: &str = "\
Examples:
  pillion scale shop 3
  pillion scale shop 1                drains two instances, then stops them";

const DELETE_HELP: &str = "\
Examples:
  pillion delete shop                 asks first on a terminal
  pillion delete shop --yes";

#[derive(Debug, Args)]
#[command(after_help = UP_HELP)]
pub struct UpArgs {
    #[command(flatten)]
    pub file: FileArg,
    /// Return once the app is ready and leave it, and the server, running
    #[arg(long, short)]
    pub detach: bool,
}

const UP_HELP: &str = "\
A server is started for the duration if none runs.
Ctrl-C stops the app in order; a second Ctrl-C at once.

Examples:
  pillion up                          ./pillion.yaml
  pillion up -f shop.yaml
  pillion up --detach                 keep it running; `pillion system stop` ends the server";

#[derive(Debug, Args)]
#[command(after_help = APPLY_HELP)]
pub struct ApplyArgs {
    #[command(flatten)]
    pub file: FileArg,
    /// Print the steps that applying would take, and take none
    #[arg(long)]
    pub dry_run: bool,
    /// Return once the change is accepted, not when it is ready
    #[arg(long, conflicts_with = "dry_run")]
    pub no_wait: bool,
}

const APPLY_HELP: &str = "\
Exits 0 when the app is ready, 1 when it failed; the reason stands in the first lines.
The old revision goes on serving meanwhile, and after a failure.

Examples:
  pillion apply -f shop.yaml
  pillion apply -f shop.yaml --dry-run
  generate-app | pillion apply -f -   read from standard input";

#[derive(Debug, Clone, Args)]
pub struct FileArg {
    /// The app file, YAML or JSON; `-` is standard input
    #[arg(long, short, default_value = "pillion.yaml", value_name = "FILE")]
    pub file: PathBuf,
}

#[derive(Debug, Args)]
pub struct AppArg {
    /// The app's name
    pub app: String,
}

#[derive(Debug, Args)]
pub struct EventsArgs {
    /// The app's name
    pub app: String,
    /// Go on printing events as they happen
    #[arg(long, short)]
    pub follow: bool,
}

#[derive(Debug, Args)]
pub struct TargetArgs {
    /// The app's name
    pub app: String,
    /// Only this container
    #[arg(long, short, value_name = "CONTAINER")]
    pub container: Option<String>,
}

#[derive(Debug, Args)]
pub struct ScaleArgs {
    /// The app's name
    pub app: String,
    /// How many instances
    #[arg(value_name = "N")]
    pub count: u32,
}

#[derive(Debug, Args)]
pub struct DeleteArgs {
    /// The app's name
    pub app: String,
    /// Do not ask
    #[arg(long, short)]
    pub yes: bool,
}
