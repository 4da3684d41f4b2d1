//! How an instance looks from outside.

use super::{Container, Health, Instance, Intent, Phase, Wish, settle::word};
use crate::status::{ContainerPhase, ContainerStatus, InstancePhase};

impl Instance {
    pub fn phase(&self) -> InstancePhase {
        match &self.intent {
            Intent::Ended { diagnosis } => InstancePhase::Failed { diagnosis: diagnosis.clone() },
            Intent::Stopping if self.finished => InstancePhase::Stopped,
            Intent::Stopping => InstancePhase::Stopping,
            Intent::Run if self.was_ready_now() => InstancePhase::Ready,
            Intent::Run if self.was_ready => InstancePhase::Unready,
            Intent::Run => InstancePhase::Starting,
        }
    }

    /// Main's port, once known.
    pub fn port(&self) -> Option<u16> {
        self.main().and_then(|c| c.port.or(c.spec.port))
    }

    pub fn containers(&self) -> Vec<ContainerStatus> {
        self.containers.iter().map(|c| c.status(self)).collect()
    }

    /// The ready rule: everything at first, main alone after.
    pub(super) fn was_ready_now(&self) -> bool {
        let main = self.main().is_some_and(|c| c.ready_since().is_some());
        let rest = || self.containers.iter().all(|c| c.ready_since().is_some() || matches!(c.phase, Phase::Completed));
        self.intent == Intent::Run && main && (self.was_ready || rest())
    }

    fn main(&self) -> Option<&Container> {
        self.containers.iter().find(|c| c.spec.main && c.wish != Wish::Gone)
    }
}

impl Container {
    fn status(&self, instance: &Instance) -> ContainerStatus {
        let phase = match &self.phase {
            Phase::Waiting { .. } => {
                let unmet = instance.unmet(&self.spec);
                if unmet.is_empty() {
                    ContainerPhase::Starting
                } else {
                    let on = unmet.iter().map(|(name, condition)| format!("{name}: {}", word(*condition))).collect();
                    ContainerPhase::Waiting { on }
                }
            }
            Phase::Discarding { .. } | Phase::Launching { .. } => ContainerPhase::Starting,
            Phase::Running { pid, health: Health::Starting { .. }, .. } => ContainerPhase::Running { pid: *pid, ready: false },
            Phase::Running { pid, health: Health::Up { ready_since, .. }, .. } => {
                ContainerPhase::Running { pid: *pid, ready: ready_since.is_some() }
            }
            Phase::Stopping { pid, .. } => ContainerPhase::Running { pid: *pid, ready: false },
            Phase::BackOff { until } => ContainerPhase::BackOff { until_ms: *until },
            Phase::Completed => ContainerPhase::Completed,
            Phase::Failed => ContainerPhase::Failed,
            Phase::Stopped => ContainerPhase::Stopped,
        };
        ContainerStatus {
            name: self.name().into(),
            phase,
            restarts: self.restarts,
            last_exit: self.last_exit.clone(),
            diagnosis: self.diagnosis.clone(),
            listeners: self.listeners.clone(),
            memory_bytes: None,
            cpu_usec: None,
            started_at_ms: self.started_at,
        }
    }
}
