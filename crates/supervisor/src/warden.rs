//! Keeping a warden: one that was killed is replaced, so that an instance never outlives its supervisor.

use std::{io, time::Duration};

use pillion_runtime::{
    cgroup::Cgroup,
    warden::{Warden, spawn_warden},
};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use tokio::{io::Interest, sync::oneshot};

use crate::readiness::watched;

/// The pause before a new warden after one that could not be made or watched; doubled each time, up to a minute.
const BACK_OFF: Duration = Duration::from_millis(100);
const BACK_OFF_MAX: Duration = Duration::from_secs(60);

/// Runs until the instance is over, then dismisses the warden.
pub(crate) async fn keep(warden: Warden, cgroup: Cgroup, mut over: oneshot::Receiver<()>) {
    let mut current = Some(warden);
    let mut pause = BACK_OFF;
    loop {
        let death = async {
            match &current {
                Some(warden) => match dead(warden).await {
                    Ok(()) => tracing::warn!(pid = warden.pid(), "the warden died and is replaced"),
                    Err(error) => tracing::warn!(%error, "the warden cannot be watched"),
                },
                None => tokio::time::sleep(pause).await,
            }
        };
        // Cancel-safe: both arms only wait.
        tokio::select! {
            () = death => {}
            _ = &mut over => break,
        }
        dismiss(current.take());
        // This process has one thread still, so forking is as safe as it was at the start.
        match spawn_warden(&cgroup) {
            Ok(warden) => {
                current = Some(warden);
                pause = BACK_OFF;
            }
            Err(error) => {
                tracing::error!(%error, "there is no warden");
                pause = (pause * 2).min(BACK_OFF_MAX);
            }
        }
    }
    dismiss(current);
}

/// Ends a warden, or reaps one that has ended.
fn dismiss(warden: Option<Warden>) {
    if let Some(warden) = warden
        && let Err(error) = warden.dismiss()
    {
        tracing::warn!(%error, "the warden was not dismissed");
    }
}

async fn dead(warden: &Warden) -> io::Result<()> {
    let pid = Pid::from_raw(warden.pid()).ok_or(io::ErrorKind::InvalidData)?;
    let pidfd = watched(pidfd_open(pid, PidfdFlags::empty())?, Interest::READABLE)?;
    let _ready = pidfd.readable().await?;
    Ok(())
}
