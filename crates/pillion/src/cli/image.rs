//! Arguments of `pillion image`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

#[derive(Debug, Subcommand)]
#[command(after_help = IMAGE_HELP)]
pub enum ImageCommand {
    /// Pull an image, so that a later start need not
    Pull(PullArgs),
    /// List the images on this machine
    #[command(visible_alias = "ls")]
    List,
    /// Make an image from a directory, or from programs of this machine with the libraries they need
    Pack(Box<PackArgs>),
    /// Forget an image; its layers go with the next prune
    #[command(visible_alias = "rm")]
    Remove {
        /// The image, as `image list` prints it
        image: String,
    },
    /// Remove what no app, revision or instance needs
    Prune,
}

const IMAGE_HELP: &str = "\
Examples:
  pillion image pull docker.io/library/redis:7
  pillion image pack --program /usr/bin/redis-server --to redis.oci
  pillion image list --output json";

#[derive(Debug, Args)]
#[command(after_help = PULL_HELP)]
pub struct PullArgs {
    /// The image: registry/name:tag or registry/name@sha256:…
    pub image: String,
}

const PULL_HELP: &str = "\
Credentials come from ~/.docker/config.json (or $DOCKER_CONFIG/config.json), read as you.

Examples:
  pillion image pull docker.io/library/redis:7
  pillion image pull localhost:5000/shop/web@sha256:…";

#[derive(Debug, Args)]
#[command(after_help = PACK_HELP)]
pub struct PackArgs {
    /// A directory whose contents become the image's root; SOURCE:TARGET puts them at TARGET
    #[arg(long, value_name = "DIR[:TARGET]")]
    pub dir: Vec<String>,
    /// A program of this machine, with the shared libraries it needs; SOURCE:TARGET puts it at TARGET
    #[arg(long, value_name = "FILE[:TARGET]")]
    pub program: Vec<String>,
    /// The image's entrypoint, one word each time it is given
    #[arg(long, value_name = "WORD", allow_hyphen_values = true)]
    pub entrypoint: Vec<String>,
    /// The image's command, one word each time it is given
    #[arg(long, value_name = "WORD", allow_hyphen_values = true)]
    pub cmd: Vec<String>,
    /// An environment variable of the image
    #[arg(long, short, value_name = "NAME=VALUE")]
    pub env: Vec<String>,
    /// The image's working directory
    #[arg(long, value_name = "DIR")]
    pub workdir: Option<String>,
    /// The image's user, `user[:group]`
    #[arg(long)]
    pub user: Option<String>,
    /// A TCP port the image exposes
    #[arg(long, value_name = "PORT")]
    pub expose: Vec<u16>,
    /// Write an OCI layout to this directory
    #[arg(long, value_name = "DIR", required_unless_present = "push")]
    pub to: Option<PathBuf>,
    /// Push to a registry under this name
    #[arg(long, value_name = "IMAGE")]
    pub push: Option<String>,
}

const PACK_HELP: &str = "\
The work is done by this command, as you: nothing is sent to the server.
Libraries are found by reading the programs, which are never run.

Examples:
  pillion image pack --program /bin/redis:/redis --entrypoint /redis --push localhost:5000/redis:7
  pillion image pack --dir ./site:/srv --program ./web:/web --entrypoint /web --to web.oci";
