//! `pillion image pack`: makes an image in this process, as the caller; the server has no part in it.

use super::Context;
use crate::{cli::PackArgs, complaint::Complaint};

pub async fn run(_context: &Context, _args: PackArgs) -> Result<(), Complaint> {
    Err(Complaint::new("this build cannot pack images"))
}
