//! Births and ends: what a container's start, failed start or death means for it and for the instance.

use pillion_fault::{Exit, Fault};

use super::{
    Command, Effects, GIVE_UP_AFTER, Health, Incarnation, Instance, Ms, PROVEN_AFTER, Phase, Prepared, Recycle, Wish, back_off,
};
use crate::{
    diagnosis::{self, EndFacts},
    spec::RestartPolicy,
    status::EventKind,
};

impl Instance {
    pub(super) fn created(&mut self, of: Incarnation) {
        let Some(at) = self.find(of) else { return };
        if let Phase::Waiting { prepared, .. } = &mut self.containers[at].phase {
            *prepared = Prepared::Ready(of);
        }
    }

    pub(super) fn discarded(&mut self, of: Incarnation, now: Ms) {
        let Some(at) = self.find(of) else { return };
        let c = &mut self.containers[at];
        if matches!(c.phase, Phase::Discarding { .. }) {
            c.phase = Phase::Waiting { since: now, prepared: Prepared::No };
        }
    }

    pub(super) fn started(&mut self, of: Incarnation, pid: i32, now: Ms, fx: &mut Effects) {
        let Some(at) = self.find(of) else { return };
        let c = &mut self.containers[at];
        let Phase::Launching { life } = &c.phase else { return };
        let life = super::Life { since: now, ..life.clone() };
        let container = Some(c.name().to_owned());
        c.started_at = Some(now);
        c.port = life.spec.port;
        c.listeners.clear();
        if let Some(generation) = c.replaced_by.take() {
            fx.push(Command::Note { container: container.clone(), what: EventKind::Replaced { generation } });
        }
        fx.push(Command::Note { container, what: EventKind::Started { pid } });
        let health = Health::first(&life.spec, now);
        c.phase = Phase::Running { life, pid, health };
        self.pass_open_gates(at, now, fx);
    }

    pub(super) fn launch_failed(&mut self, of: Incarnation, fault: Fault, now: Ms, chance: u64, fx: &mut Effects) {
        let Some(at) = self.find(of) else { return };
        let wanted = self.wants_run(&self.containers[at]);
        let c = &mut self.containers[at];
        if !wanted {
            c.phase = Phase::Stopped;
            return;
        }
        if c.recycle.take().is_some() || matches!(c.phase, Phase::Discarding { .. }) {
            c.phase = Phase::Waiting { since: now, prepared: Prepared::No };
            return;
        }
        let hopeless = diagnosis::hopeless(&fault);
        let diagnosis = c.diagnose(fault, Vec::new());
        if hopeless {
            c.phase = Phase::Failed;
            fx.push(Command::Note { container: Some(c.name().into()), what: EventKind::Failed { diagnosis: diagnosis.clone() } });
            if c.spec.essential || c.spec.main || !self.was_ready {
                self.end(diagnosis, fx);
            }
        } else {
            self.died(at, now, chance, fx);
        }
    }

    pub(super) fn ended(&mut self, of: Incarnation, exit: Exit, facts: EndFacts, now: Ms, chance: u64, fx: &mut Effects) {
        let Some(at) = self.find(of) else { return };
        let wanted = self.wants_run(&self.containers[at]);
        let c = &mut self.containers[at];
        let (life, asked) = match &c.phase {
            Phase::Running { life, .. } | Phase::Launching { life } => (life.clone(), false),
            Phase::Stopping { life, .. } => (life.clone(), true),
            Phase::Waiting { .. }
            | Phase::Discarding { .. }
            | Phase::BackOff { .. }
            | Phase::Completed
            | Phase::Failed
            | Phase::Stopped => return,
        };
        if c.ready_since().is_some_and(|since| now.saturating_sub(since) >= PROVEN_AFTER) {
            c.streak = 0;
        }
        let after_ms = now.saturating_sub(life.since);
        c.last_exit = Some(exit.clone());
        c.listeners.clear();
        fx.push(Command::Note { container: Some(c.name().into()), what: EventKind::Ended { exit: exit.clone(), after_ms } });

        let succeeded = exit.success() && life.spec.restart == RestartPolicy::OnFailure && !asked;
        if succeeded && c.wish != Wish::Gone && c.recycle.is_none() {
            c.phase = Phase::Completed;
            c.diagnosis = None;
            if c.spec.main {
                let diagnosis = c.diagnose(Fault::Exited { exit, after_ms }, facts.log_tail);
                self.end(diagnosis, fx);
            }
            return;
        }
        if !wanted {
            c.phase = Phase::Stopped;
            return;
        }
        match c.recycle.take() {
            Some(Recycle::Replaced | Recycle::Asked) => {
                c.streak = 0;
                c.restarts += u32::from(c.replaced_by.is_none());
                c.diagnosis = None;
                c.phase = Phase::Waiting { since: now, prepared: Prepared::No };
            }
            Some(Recycle::Unhealthy { because }) => {
                c.diagnose(because, facts.log_tail);
                self.died(at, now, chance, fx);
            }
            None => {
                let fault = diagnosis::of_end(&life.spec, exit, after_ms, &facts);
                c.diagnose(fault, facts.log_tail);
                self.died(at, now, chance, fx);
            }
        }
    }

    /// After a death that nobody asked for, with the diagnosis already in place.
    fn died(&mut self, at: usize, now: Ms, chance: u64, fx: &mut Effects) {
        let c = &mut self.containers[at];
        let Some(diagnosis) = c.diagnosis.clone() else { return };
        c.streak += 1;
        let given_up = !self.was_ready && !c.ever_ready && c.streak >= GIVE_UP_AFTER;
        let final_end = given_up || (c.spec.essential && !c.spec.main && c.ever_ready);
        let container = Some(c.name().to_owned());
        if final_end {
            c.phase = Phase::Failed;
            fx.push(Command::Note { container, what: EventKind::Failed { diagnosis: diagnosis.clone() } });
            self.end(diagnosis, fx);
            return;
        }
        c.restarts += 1;
        let in_ms = back_off(c.streak, chance);
        c.phase = Phase::BackOff { until: now + in_ms };
        fx.push(Command::Note { container, what: EventKind::Restarting { in_ms, because: diagnosis.fault.to_string() } });
    }
}
