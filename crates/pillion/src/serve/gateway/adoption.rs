//! A gateway that outlived the server that started it: its sockets are taken over, and its arguments looked at.

use std::path::Path;

use pillion_gateway::{
    Args,
    client::{Client, News},
};
use tokio::sync::mpsc;

use super::sockets::Inherited;

/// Connects to a gateway that outlived the last server, and takes back its listening sockets.
pub async fn adopt(control: &Path) -> (Option<(Client, mpsc::Receiver<News>)>, Inherited) {
    let Ok((client, news)) = Client::connect(control).await else { return (None, Vec::new()) };
    match client.listeners().await {
        Ok(listeners) => {
            tracing::info!(pid = client.pid(), "the gateway still runs; adopting it");
            (Some((client, news)), listeners)
        }
        Err(error) => {
            tracing::warn!(error = &error as &dyn std::error::Error, "the gateway kept its sockets to itself");
            (Some((client, news)), Vec::new())
        }
    }
}

/// Returns whether another gateway would be as the settings want it, and this one is not: it is of an earlier version, was
/// started with other arguments, or without an access log that can be opened by now.
pub fn is_outdated(client: &Client, args: &Args) -> bool {
    let logged_by_now = || args.access_log.as_deref().is_some_and(|log| pillion_gateway::probe_access_log(log).is_ok());
    client.is_of_before() || was_told_otherwise(client.pid(), args) || (client.unlogged().is_some() && logged_by_now())
}

/// A gateway whose command line cannot be read passes for right: what it has under way is worth more.
fn was_told_otherwise(pid: u32, args: &Args) -> bool {
    let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let Some(line) = line.strip_suffix(b"\0") else { return false };
    let told: Vec<&[u8]> = line.split(|byte| *byte == 0).collect();
    let wanted = args.to_words();
    // Program and role come before.
    !told.ends_with(&wanted.iter().map(|word| word.as_encoded_bytes()).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use std::process::Stdio;

    use tokio::io::AsyncReadExt as _;

    use super::*;

    #[tokio::test]
    async fn a_gateway_is_outdated_once_it_would_be_started_with_other_words() {
        let mut args = Args::new("/run/x/control.sock".into(), 1, 2);
        args.trusted_proxies = vec!["10.0.0.0/8".parse().unwrap()];
        // A program that waits, whatever else it is told. Its words can be read only once it runs, which it says.
        let script = ["-c", "echo up; read line; exit 0", "gateway"];
        let mut command = tokio::process::Command::new("/bin/sh");
        command.args(script).args(args.to_words()).stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().unwrap();
        let mut up = [0; 3];
        child.stdout.as_mut().unwrap().read_exact(&mut up).await.unwrap();
        let pid = child.id().unwrap();
        assert!(!was_told_otherwise(pid, &args));
        args.trusted_proxies.clear();
        assert!(was_told_otherwise(pid, &args));
        assert!(!was_told_otherwise(u32::MAX, &args), "nothing is known of it");
    }
}
