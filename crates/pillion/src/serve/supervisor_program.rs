//! Which program becomes the supervisor of an instance: the small one that is installed beside this one, else this one itself.

use std::path::{Path, PathBuf};

use tokio::process::Command;

const NAME: &str = "pillion-supervisor";

/// Returns the program to start as supervisor; `own` is this one, which can do it too, with more memory for each instance.
pub async fn find(own: &Path) -> PathBuf {
    let beside = own.with_file_name(NAME);
    if !beside.is_file() {
        tracing::info!(missing = %beside.display(), "this program is the instances' supervisor, too: it takes more memory than {NAME}");
        return own.to_owned();
    }
    let version = match Command::new(&beside).arg("--version").output().await {
        Ok(output) => String::from_utf8_lossy(&output.stdout).trim_end().to_owned(),
        Err(error) => error.to_string(),
    };
    if version == pillion_supervisor::VERSION {
        return beside;
    }
    let wanted = pillion_supervisor::VERSION;
    tracing::warn!(program = %beside.display(), %version, wanted, "not used as supervisor: install both programs of one build");
    own.to_owned()
}
