//! The facts in the engine's words: what supervisors say, kept as one value that anyone can watch.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use pillion_engine::{Observed, ObservedEvent, ObservedInstance};
use pillion_fault::{Diagnosis, Fault};
use pillion_model::{ContainerPhase, ContainerStatus, InstanceId, InstancePhase, InstanceStatus};
use pillion_supervisor::{
    spec::InstanceSpec,
    status::{self, Event, EventKind},
};
use tokio::sync::watch;

use crate::translate::Labels;

/// Events kept per instance; the control plane writes them to its log long before they fall out.
const EVENTS_KEPT: usize = 500;

#[derive(Debug)]
pub(crate) struct Facts {
    sender: watch::Sender<Arc<Observed>>,
}

impl Facts {
    pub(crate) fn new() -> Self {
        Facts { sender: watch::Sender::new(Arc::default()) }
    }

    pub(crate) fn watch(&self) -> watch::Receiver<Arc<Observed>> {
        self.sender.subscribe()
    }

    /// Says that everything which already ran has been found.
    pub(crate) fn set_complete(&self) {
        self.change(|observed| observed.complete = true);
    }

    /// Puts an instance that was just asked for beside the others, before its supervisor says anything.
    pub(crate) fn announce(&self, spec: &InstanceSpec, labels: &Labels, id: &InstanceId, gate: PathBuf) {
        self.change(|observed| {
            observed.instances.entry(id.clone()).or_insert_with(|| ObservedInstance {
                app: labels.app.clone(),
                status: InstanceStatus {
                    id: id.clone(),
                    revision: labels.revision,
                    phase: InstancePhase::Starting,
                    port: None,
                    containers: Vec::new(),
                },
                generation: spec.generation,
                gate: Some(gate),
                diagnoses: Vec::new(),
                events: Vec::new(),
            });
        });
    }

    /// Takes over what a supervisor published.
    pub(crate) fn publish(
        &self,
        id: &InstanceId,
        memory_limits: &BTreeMap<String, u64>,
        said: status::InstanceStatus,
        events: Vec<Event>,
    ) {
        let Ok(labels) = serde_json::from_value::<Labels>(said.labels.clone()) else { return };
        self.change(|observed| {
            let Some(instance) = observed.instances.get_mut(id) else { return };
            instance.generation = said.generation;
            instance.diagnoses = said.containers.iter().filter_map(|container| container.diagnosis.as_deref().cloned()).collect();
            let newest = instance.events.last().map_or(0, |event| event.serial);
            instance.events.extend(events.into_iter().filter(|event| event.serial > newest).map(translate_event));
            let excess = instance.events.len().saturating_sub(EVENTS_KEPT);
            instance.events.drain(..excess);
            instance.status = translate_status(id, labels.revision, memory_limits, said);
        });
    }

    /// The supervisor is gone without a word: nothing of the instance runs any more.
    pub(crate) fn lost(&self, id: &InstanceId, reason: &str) {
        self.change(|observed| {
            let Some(instance) = observed.instances.get_mut(id) else { return };
            let fault = Fault::SupervisorLost { reason: reason.to_owned() };
            let diagnosis = Diagnosis { container: None, fault, log_tail: Vec::new() };
            instance.diagnoses.push(diagnosis.clone());
            instance.status.phase = InstancePhase::Failed { diagnosis: Box::new(diagnosis) };
            for container in &mut instance.status.containers {
                container.phase = ContainerPhase::Stopped;
                container.listeners.clear();
            }
        });
    }

    pub(crate) fn forget(&self, id: &InstanceId) {
        self.change(|observed| {
            observed.instances.remove(id);
        });
    }

    fn change(&self, change: impl FnOnce(&mut Observed)) {
        self.sender.send_modify(|observed| {
            let observed = Arc::make_mut(observed);
            observed.serial += 1;
            change(observed);
        });
    }
}

fn translate_status(
    id: &InstanceId,
    revision: u64,
    memory_limits: &BTreeMap<String, u64>,
    said: status::InstanceStatus,
) -> InstanceStatus {
    InstanceStatus {
        id: id.clone(),
        revision,
        phase: match said.phase {
            status::InstancePhase::Starting => InstancePhase::Starting,
            status::InstancePhase::Ready => InstancePhase::Ready,
            status::InstancePhase::Unready => InstancePhase::Unready,
            status::InstancePhase::Stopping => InstancePhase::Stopping,
            status::InstancePhase::Stopped => InstancePhase::Stopped,
            status::InstancePhase::Failed { diagnosis } => InstancePhase::Failed { diagnosis },
        },
        port: said.port,
        containers: said.containers.into_iter().filter_map(|container| translate_container(memory_limits, container)).collect(),
    }
}

fn translate_container(memory_limits: &BTreeMap<String, u64>, said: status::ContainerStatus) -> Option<ContainerStatus> {
    let limit = memory_limits.get(&said.name).copied();
    let last = said.diagnosis.unwrap_or_else(|| {
        Box::new(Diagnosis {
            container: Some(said.name.clone()),
            fault: match &said.last_exit {
                Some(exit) => Fault::Exited { exit: exit.clone(), after_ms: 0 },
                None => Fault::StartFailed { doing: "starting".to_owned(), reason: "no cause is known".to_owned() },
            },
            log_tail: Vec::new(),
        })
    });
    Some(ContainerStatus {
        name: said.name.parse().ok()?,
        phase: match said.phase {
            status::ContainerPhase::Waiting { on } => ContainerPhase::Waiting { on },
            status::ContainerPhase::Starting => ContainerPhase::Starting,
            status::ContainerPhase::Running { pid, ready } => ContainerPhase::Running { pid, ready },
            status::ContainerPhase::BackOff { until_ms } => ContainerPhase::BackOff { until_ms, last },
            status::ContainerPhase::Completed => ContainerPhase::Completed,
            status::ContainerPhase::Failed => ContainerPhase::Failed { last },
            status::ContainerPhase::Stopped => ContainerPhase::Stopped,
        },
        restarts: said.restarts,
        last_exit: said.last_exit,
        listeners: said.listeners,
        memory_bytes: said.memory_bytes,
        memory_limit_bytes: limit,
        cpu_usec: said.cpu_usec,
        started_at_ms: said.started_at_ms,
    })
}

fn translate_event(event: Event) -> ObservedEvent {
    let (kind, text) = match event.what {
        EventKind::Started { pid } => ("started", format!("started as process {pid}")),
        EventKind::Ready => ("ready", "ready".to_owned()),
        EventKind::Unready { diagnosis } => ("unready", diagnosis.fault.to_string()),
        EventKind::Ended { exit, after_ms } => ("ended", format!("ended after {after_ms} ms: {exit}")),
        EventKind::Restarting { in_ms, because } => ("restarting", format!("restarts in {in_ms} ms: {because}")),
        EventKind::Replaced { generation } => ("replaced", format!("replaced by generation {generation} of its definition")),
        EventKind::StopRequested => ("stopping", "asked to stop".to_owned()),
        EventKind::Killed { after_grace_ms } => ("killed", format!("did not stop within {after_grace_ms} ms and was killed")),
        EventKind::PortDetected { port } => ("port", format!("listens on port {port}")),
        EventKind::Failed { diagnosis } => ("failed", diagnosis.fault.to_string()),
    };
    ObservedEvent { serial: event.serial, at_ms: event.at_ms, container: event.container, kind: kind.to_owned(), text }
}
