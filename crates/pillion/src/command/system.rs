//! `pillion system`: the server itself.

use std::time::Duration;

use pillion_api::wire::{Done, Pruned, Reloaded, StopRequest, SystemInfo};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    process::{PidfdFlags, pidfd_open},
};

use super::{Context, image::print_pruned};
use crate::{
    cli::{Format, SystemCommand},
    client::{Ask, ClientError},
    complaint::Complaint,
    output,
    paint::Paint,
};

/// How long a server may take to end once its apps have stopped.
const END_WITHIN: Duration = Duration::from_secs(20);

pub async fn run(context: &Context, command: SystemCommand) -> Result<(), Complaint> {
    match command {
        SystemCommand::Info => info(context).await,
        SystemCommand::Prune => {
            let asked = context.client.ask(Ask::post("/v1/system/prune")).await;
            let pruned = match asked {
                // Without a server nothing of it can run, and the rights decide.
                Err(ClientError::Absent { .. }) if rustix::process::geteuid().is_root() => {
                    Pruned { removed: crate::serve::clear_leftovers(&context.layout).await?, freed_bytes: 0 }
                }
                other => other?,
            };
            print_pruned(context, &pruned)
        }
        SystemCommand::Reload => {
            let reloaded: Reloaded = context.client.ask(Ask::post("/v1/system/reload")).await?;
            output::print_as(&reloaded, context.format(Format::Table), |reloaded| {
                let mut text = String::new();
                for key in &reloaded.applied {
                    text.push_str(&format!("{key}: in force\n"));
                }
                for key in &reloaded.needs_restart {
                    text.push_str(&format!("{key}: in force once the server is restarted\n"));
                }
                if text.is_empty() { "no setting has changed\n".into() } else { text }
            })
        }
        SystemCommand::Stop { keep_apps } => stop(context, keep_apps).await,
    }
}

async fn info(context: &Context) -> Result<(), Complaint> {
    let info: SystemInfo = context.client.ask(Ask::get("/v1/system/info")).await?;
    output::print_as(&info, context.format(Format::Table), |info| {
        let gateway = match info.gateway_pid {
            Some(pid) => format!("{} (pid {pid})", info.gateway.join(", ")),
            None => "not running".into(),
        };
        let rows = [
            ("version", info.version.clone()),
            ("server", format!("pid {}", info.pid)),
            ("gateway", gateway),
            ("state", info.state_dir.clone()),
            ("sockets", info.run_dir.clone()),
            ("settings", info.settings_file.clone()),
            ("kernel", info.kernel.clone()),
            ("cgroup", info.cgroup.clone()),
            ("apps", format!("{} with {} instances", info.apps, info.instances)),
        ];
        let mut text: String = rows.iter().map(|(name, value)| format!("{name:<9} {value}\n")).collect();
        let paint = Paint::for_stdout();
        for warning in &info.warnings {
            text.push_str(&format!("{} {}\n", paint.warn("warning:"), warning.message));
            if let Some(fix) = &warning.fix {
                text.push_str(&format!("{} {fix}\n", paint.hint("hint:")));
            }
        }
        text
    })
}

/// Stops the server and waits until its process has ended: then nothing of it is left.
async fn stop(context: &Context, keep_apps: bool) -> Result<(), Complaint> {
    let info: SystemInfo = context.client.ask(Ask::get("/v1/system/info")).await?;
    // Pinned now: later the number may be another process's.
    let server = i32::try_from(info.pid).ok().and_then(rustix::process::Pid::from_raw);
    let server = server.and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok());
    if !keep_apps {
        eprintln!("stopping every app in order");
    }
    let asked = context.client.ask::<Done>(Ask::post("/v1/system/stop").json(&StopRequest { keep_apps })).await;
    match asked {
        Ok(Done {}) | Err(ClientError::Broken { .. }) => {}
        Err(other) => return Err(other.into()),
    }
    let late = || Complaint::new(format!("the server did not end within {} s", END_WITHIN.as_secs()));
    let Some(server) = server else { return Err(late().cause(format!("its process {} cannot be watched", info.pid))) };
    let ended = tokio::task::spawn_blocking(move || {
        poll(&mut [PollFd::new(&server, PollFlags::IN)], Some(&Timespec { tv_sec: END_WITHIN.as_secs() as i64, tv_nsec: 0 }))
    });
    if !matches!(ended.await, Ok(Ok(1..))) {
        return Err(late());
    }
    eprintln!("the server has ended");
    Ok(())
}
