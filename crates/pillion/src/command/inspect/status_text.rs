//! An app's status as text: the app, its instances, their containers, then what is wrong and how to put it right.

use pillion_api::wire::{AppState, AppStatus, InstanceView, StatusAnswer};
use pillion_fault::{Called, Diagnosis};
use pillion_model::{ContainerPhase, ContainerStatus, InstancePhase};

use crate::{
    output::{self, Table},
    paint::Paint,
};

/// Writes a status for people; `now_ms` is the time, in milliseconds since the epoch.
pub fn text(answer: &StatusAnswer, paint: Paint, now_ms: u64) -> String {
    let status = &answer.status;
    let target = match status.state {
        AppState::Starting | AppState::Updating => format!("revision {} on its way", status.target),
        AppState::Running
        | AppState::Degraded
        | AppState::Failed
        | AppState::Stopping
        | AppState::Stopped
        | AppState::Deleting => format!("revision {} did not become ready", status.target),
    };
    let revision = match status.current {
        Some(current) if current == status.target => format!("revision {current}"),
        Some(current) => format!("revision {current}, {target}"),
        None => target,
    };
    let mut text = format!(
        "{}  {}  {} of {} instances ready  {revision}\n",
        paint.bold(&status.name),
        super::state(status.state),
        status.ready,
        status.wanted,
    );
    for url in &status.urls {
        text.push_str(&format!("  {url}\n"));
    }
    if let Some(owner) = &status.owner {
        text.push_str(&format!("  managed with az: {owner}\n"));
    }
    if let Some(diagnosis) = &status.diagnosis {
        problem(&mut text, "", status, diagnosis, paint);
    }
    for instance in &status.instances {
        text.push('\n');
        one_instance(&mut text, status, instance, paint, now_ms);
    }
    text
}

fn one_instance(text: &mut String, app: &AppStatus, instance: &InstanceView, paint: Paint, now_ms: u64) {
    let status = &instance.status;
    let draining = if instance.draining { ", draining" } else { "" };
    text.push_str(&format!("instance {}  {}{draining}\n", status.id, phase(&status.phase)));
    let mut table = Table::new(&["CONTAINER", "STATE", "RESTARTS", "PORTS", "CPU", "MEMORY", "UP"]);
    for container in &status.containers {
        let mut ports: Vec<u16> = container.listeners.iter().map(|listener| listener.address.port()).collect();
        ports.sort_unstable();
        ports.dedup();
        let ports: Vec<String> = ports.iter().map(u16::to_string).collect();
        table.row([
            container.name.to_string(),
            container_phase(&container.phase, now_ms),
            container.restarts.to_string(),
            if ports.is_empty() { "-".into() } else { ports.join(",") },
            container.cpu_usec.map_or_else(|| "-".into(), |usec| format!("{:.2}s", usec as f64 / 1e6)),
            memory(container),
            up(container, now_ms),
        ]);
    }
    text.push_str(&table.text("  "));
    for diagnosis in &instance.diagnoses {
        if Some(diagnosis) != app.diagnosis.as_ref() {
            problem(text, "  ", app, diagnosis, paint);
        }
    }
}

fn problem(text: &mut String, indent: &str, app: &AppStatus, diagnosis: &Diagnosis, paint: Paint) {
    text.push_str(&format!("{indent}{} {}\n", paint.error("problem:"), diagnosis.line(Called::Container)));
    if let Some(hint) = diagnosis.hint_for(app.name.as_str(), app.words()) {
        text.push_str(&format!("{indent}{} {hint}\n", paint.hint("hint:")));
    }
}

fn phase(phase: &InstancePhase) -> &'static str {
    match phase {
        InstancePhase::Pulling => "pulling",
        InstancePhase::Starting => "starting",
        InstancePhase::Ready => "ready",
        InstancePhase::Unready => "not ready",
        InstancePhase::Stopping => "stopping",
        InstancePhase::Stopped => "stopped",
        InstancePhase::Failed { .. } => "failed",
    }
}

fn container_phase(phase: &ContainerPhase, now_ms: u64) -> String {
    match phase {
        ContainerPhase::Waiting { on } => format!("waiting for {}", on.join(", ")),
        ContainerPhase::Starting => "starting".into(),
        ContainerPhase::Running { ready: true, .. } => "ready".into(),
        ContainerPhase::Running { ready: false, .. } => "running, not ready".into(),
        ContainerPhase::BackOff { until_ms, .. } => {
            format!("starts again in {}", output::span(until_ms.saturating_sub(now_ms)))
        }
        ContainerPhase::Completed => "completed".into(),
        ContainerPhase::Failed { .. } => "failed".into(),
        ContainerPhase::Stopped => "stopped".into(),
    }
}

fn memory(container: &ContainerStatus) -> String {
    match (container.memory_bytes, container.memory_limit_bytes) {
        (Some(used), Some(limit)) => format!("{} of {}", output::bytes(used), output::bytes(limit)),
        (Some(used), None) => output::bytes(used),
        (None, _) => "-".into(),
    }
}

fn up(container: &ContainerStatus, now_ms: u64) -> String {
    match (&container.phase, container.started_at_ms) {
        (ContainerPhase::Running { .. }, Some(started)) => output::span(now_ms.saturating_sub(started)),
        _ => "-".into(),
    }
}
