//! `pillion up`: an app from its file, in the foreground, with a server of its own if none runs.

use super::Context;
use crate::{cli::UpArgs, complaint::Complaint};

pub async fn run(_context: &Context, _args: UpArgs) -> Result<(), Complaint> {
    Err(Complaint::new("this build cannot `up`"))
}
