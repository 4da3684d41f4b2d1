//! Arguments of `pillion serve` and `pillion system`.

use std::net::SocketAddr;

use clap::{Args, Subcommand};

#[derive(Debug, Default, Args)]
#[command(after_help = SERVE_HELP)]
pub struct ServeArgs {
    /// Where the gateway listens, instead of what the settings say
    #[arg(long, value_name = "ADDRESS")]
    pub listen: Option<SocketAddr>,
    /// Print one line on standard output once the API answers
    #[arg(long, hide = true)]
    pub announce: bool,
    /// Standard input is a pipe that `up` holds: when it closes, stop every app in order and end
    #[arg(long, hide = true)]
    pub tied: bool,
}

const SERVE_HELP: &str = "\
Apps keep running when the server ends or dies; the next one finds them.
`pillion system stop` ends both.
Settings are read from /etc/pillion/config.yaml (<root>/etc/config.yaml), again on
`pillion system reload` or SIGHUP.

Examples:
  sudo pillion serve
  sudo pillion serve --root /srv/try --listen 127.0.0.1:9090
  sudo systemctl enable --now pillion";

#[derive(Debug, Subcommand)]
#[command(after_help = SYSTEM_HELP)]
pub enum SystemCommand {
    /// What the server is, what this machine can do, and what is in the way
    Info,
    /// Remove what crashed or deleted apps left behind: images, mounts, cgroups, network devices
    Prune,
    /// Read the settings again
    Reload,
    /// Stop every app in order, then the server
    Stop {
        /// Leave the apps running
        #[arg(long)]
        keep_apps: bool,
    },
}

const SYSTEM_HELP: &str = "\
Examples:
  pillion system info
  pillion system prune
  pillion system stop";
