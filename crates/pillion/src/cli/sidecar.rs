//! Arguments of `pillion sidecar`.

use clap::{Args, Subcommand};

use super::AppArg;

#[derive(Debug, Subcommand)]
#[command(after_help = SIDECAR_HELP)]
pub enum SidecarCommand {
    /// Add a sidecar to an app; the containers that run already keep running
    #[command(after_help = ADD_HELP)]
    Add {
        /// The app's name
        app: String,
        /// The sidecar's name; the other containers reach it under this name
        name: String,
        /// The image, e.g. docker.io/library/redis:7
        #[arg(long)]
        image: String,
        #[command(flatten)]
        fields: SidecarFields,
    },
    /// Change a sidecar; only it is replaced
    #[command(after_help = UPDATE_HELP)]
    Update {
        /// The app's name
        app: String,
        /// The sidecar's name
        name: String,
        /// A new image
        #[arg(long)]
        image: Option<String>,
        /// Forget this environment variable
        #[arg(long, value_name = "NAME")]
        unset_env: Vec<String>,
        #[command(flatten)]
        fields: SidecarFields,
    },
    /// Remove a sidecar; the others keep running
    #[command(visible_alias = "rm", after_help = REMOVE_HELP)]
    Remove {
        /// The app's name
        app: String,
        /// The sidecar's name
        name: String,
    },
    /// List an app's sidecars
    #[command(visible_alias = "ls")]
    List(AppArg),
}

/// What can be said of a sidecar on the command line; the rest is in the app file.
#[derive(Debug, Default, Args)]
pub struct SidecarFields {
    /// The TCP port it listens on
    #[arg(long)]
    pub port: Option<u16>,
    /// An environment variable; NAME=@SETTING takes the app's setting of that name
    #[arg(long, short, value_name = "NAME=VALUE")]
    pub env: Vec<String>,
    /// Replace the image's command; split at spaces
    #[arg(long, value_name = "ARGS")]
    pub command: Option<String>,
    /// A hard limit, e.g. 128Mi
    #[arg(long, value_name = "BYTES")]
    pub memory: Option<String>,
    /// In CPUs, e.g. 0.5
    #[arg(long)]
    pub cpu: Option<f64>,
    /// Start it after NAME is `started`, `healthy` or `completed`
    #[arg(long, value_name = "NAME[=CONDITION]")]
    pub depends_on: Vec<String>,
    /// Its end is the instance's end
    #[arg(long)]
    pub essential: bool,
}

const SIDECAR_HELP: &str = "\
Examples:
  pillion sidecar add shop cache --image docker.io/library/redis:7 --port 6379
  pillion sidecar update shop cache --memory 256Mi
  pillion sidecar remove shop cache";

const ADD_HELP: &str = "\
Examples:
  pillion sidecar add shop cache --image docker.io/library/redis:7 --port 6379
  pillion sidecar add shop otel --image registry.example/otel:1 --env TOKEN=@OTEL_TOKEN";

const UPDATE_HELP: &str = "\
Examples:
  pillion sidecar update shop cache --image docker.io/library/redis:8
  pillion sidecar update shop cache --memory 256Mi --env LOG=debug --unset-env TRACE";

const REMOVE_HELP: &str = "\
Examples:
  pillion sidecar remove shop cache";
