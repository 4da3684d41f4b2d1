//! What follows from where everything stands: who may be created, started, told to stop, killed, forgotten.

use std::rc::Rc;

use pillion_fault::Fault;

use super::{
    Command, Container, DEPENDENCY_PATIENCE, Effects, Incarnation, Instance, Intent, Life, Ms, Phase, Prepared, Recycle, Wish,
};
use crate::{
    spec::{Condition, ContainerSpec},
    status::EventKind,
};

impl Instance {
    /// Goes on until nothing more follows.
    pub(super) fn settle(&mut self, now: Ms, fx: &mut Effects) {
        while (0..self.containers.len()).any(|at| self.settle_one(at, now, fx)) {}
        self.containers.retain(|c| c.wish != Wish::Gone || !c.at_rest());
        if self.was_ready_now() {
            self.was_ready = true;
        }
        if self.intent == Intent::Stopping && !self.finished && self.containers.iter().all(Container::at_rest) {
            self.finished = true;
            fx.push(Command::Finished);
        }
    }

    /// Makes at most one move of one container; true if it did.
    fn settle_one(&mut self, at: usize, now: Ms, fx: &mut Effects) -> bool {
        let wanted = self.wants_run(&self.containers[at]);
        let recycled = self.containers[at].recycle.is_some();
        match &self.containers[at].phase {
            Phase::Waiting { prepared, .. } => {
                let prepared = *prepared;
                match prepared {
                    Prepared::No if !wanted => self.rest(at),
                    Prepared::No => {
                        self.containers[at].recycle = None;
                        self.create(at, now, fx)
                    }
                    Prepared::Underway(of) | Prepared::Ready(of) if !wanted || recycled => {
                        fx.push(Command::Discard { of });
                        self.containers[at].phase = Phase::Discarding { of };
                        true
                    }
                    Prepared::Underway(_) => self.complain(at, now),
                    Prepared::Ready(of) => self.launch(at, of, now, fx),
                }
            }
            Phase::Running { .. } if !wanted || recycled => self.begin_stop(at, now, fx),
            Phase::Stopping { life, since, kill_at: Some(kill_at), .. } if *kill_at <= now => {
                let (of, after_grace_ms) = (life.of, now.saturating_sub(*since));
                fx.push(Command::Kill { of });
                let c = &mut self.containers[at];
                fx.push(Command::Note { container: Some(c.name().into()), what: EventKind::Killed { after_grace_ms } });
                if let Phase::Stopping { kill_at, .. } = &mut c.phase {
                    *kill_at = None;
                }
                true
            }
            Phase::BackOff { .. } if !wanted => self.rest(at),
            Phase::BackOff { until } if recycled || *until <= now => self.wait(at, now),
            Phase::Completed | Phase::Failed | Phase::Stopped if wanted && recycled => self.wait(at, now),
            Phase::Discarding { .. }
            | Phase::Launching { .. }
            | Phase::Running { .. }
            | Phase::Stopping { .. }
            | Phase::BackOff { .. }
            | Phase::Completed
            | Phase::Failed
            | Phase::Stopped => false,
        }
    }

    fn rest(&mut self, at: usize) -> bool {
        self.containers[at].phase = Phase::Stopped;
        true
    }

    fn wait(&mut self, at: usize, now: Ms) -> bool {
        let c = &mut self.containers[at];
        if c.recycle == Some(Recycle::Replaced) {
            c.streak = 0;
            c.diagnosis = None;
        }
        c.recycle = None;
        c.phase = Phase::Waiting { since: now, prepared: Prepared::No };
        true
    }

    /// Containers are created ahead, so that the last dependency's readiness costs one `start`; not ahead of one that
    /// must complete, which may write the very files that creating looks at.
    fn create(&mut self, at: usize, now: Ms, fx: &mut Effects) -> bool {
        let ahead = self.unmet(&self.containers[at].spec).iter().all(|(_, condition)| *condition != Condition::Completed);
        if !ahead {
            return self.complain(at, now);
        }
        let of = Incarnation(self.next);
        self.next += 1;
        let c = &mut self.containers[at];
        if let Phase::Waiting { prepared, .. } = &mut c.phase {
            *prepared = Prepared::Underway(of);
        }
        fx.push(Command::Create { of, spec: Rc::clone(&c.spec) });
        true
    }

    fn launch(&mut self, at: usize, of: Incarnation, now: Ms, fx: &mut Effects) -> bool {
        if !self.unmet(&self.containers[at].spec).is_empty() {
            return self.complain(at, now);
        }
        let c = &mut self.containers[at];
        c.phase = Phase::Launching { life: Life { of, spec: Rc::clone(&c.spec), since: now } };
        fx.push(Command::Start { of });
        true
    }

    /// Says, once, what a container has been waiting for.
    fn complain(&mut self, at: usize, now: Ms) -> bool {
        let Phase::Waiting { since, .. } = self.containers[at].phase else { return false };
        let unmet = self.unmet(&self.containers[at].spec);
        let Some((name, condition)) = unmet.first() else { return false };
        let dependency = self.containers.iter().find(|c| c.name() == name);
        let over = dependency.is_none_or(|d| match d.phase {
            Phase::Failed | Phase::Stopped => true,
            Phase::Completed => *condition == Condition::Healthy,
            Phase::Waiting { .. }
            | Phase::Discarding { .. }
            | Phase::Launching { .. }
            | Phase::Running { .. }
            | Phase::Stopping { .. }
            | Phase::BackOff { .. } => false,
        });
        let waited_ms = now.saturating_sub(since);
        let (dependency, condition) = (name.clone(), word(*condition).to_owned());
        let fault = if over {
            Fault::DependencyFailed { dependency, condition }
        } else if waited_ms >= DEPENDENCY_PATIENCE {
            Fault::DependencyNeverReady { dependency, condition, waited_ms }
        } else {
            return false;
        };
        let c = &mut self.containers[at];
        let known = c.diagnosis.as_ref().is_some_and(|d| match (&d.fault, &fault) {
            (Fault::DependencyNeverReady { dependency: a, .. }, Fault::DependencyNeverReady { dependency: b, .. }) => a == b,
            (a, b) => a == b,
        });
        if !known {
            c.diagnose(fault, Vec::new());
        }
        false
    }

    fn begin_stop(&mut self, at: usize, now: Ms, fx: &mut Effects) -> bool {
        let name = self.containers[at].name();
        let held = self.containers.iter().any(|other| {
            other.alive()
                && self.leaving(other)
                && other.life().is_some_and(|life| life.spec.depends_on.iter().any(|(on, _)| on == name))
        });
        if held {
            return false;
        }
        let c = &mut self.containers[at];
        let Phase::Running { life, pid, .. } = &c.phase else { return false };
        let (of, pid, life) = (life.of, *pid, life.clone());
        fx.push(Command::Signal { of, signal: life.spec.stop_signal });
        let kill_at = Some(now + life.spec.stop_grace_ms);
        c.phase = Phase::Stopping { life, pid, since: now, kill_at };
        true
    }

    fn leaving(&self, c: &Container) -> bool {
        !self.wants_run(c) || c.recycle.is_some()
    }

    /// The dependencies that do not hold now.
    pub(super) fn unmet(&self, spec: &ContainerSpec) -> Vec<(String, Condition)> {
        let holds = |(name, condition): &&(String, Condition)| {
            let Some(c) = self.containers.iter().find(|c| c.name() == name) else { return false };
            let running = matches!(c.phase, Phase::Running { .. });
            let completed = matches!(c.phase, Phase::Completed);
            match condition {
                Condition::Started => running || completed,
                Condition::Healthy => c.ready_since().is_some(),
                Condition::Completed => completed,
            }
        };
        spec.depends_on.iter().filter(|dependency| !holds(dependency)).cloned().collect()
    }

    /// The next moment at which something must happen by itself.
    pub fn deadline(&self) -> Option<Ms> {
        self.containers.iter().filter_map(|c| c.deadline(self)).min()
    }
}

impl Container {
    pub(super) fn at_rest(&self) -> bool {
        matches!(self.phase, Phase::Completed | Phase::Failed | Phase::Stopped)
    }

    fn deadline(&self, instance: &Instance) -> Option<Ms> {
        match &self.phase {
            Phase::Waiting { since, .. } => {
                let quiet = self.diagnosis.is_none() && !instance.unmet(&self.spec).is_empty();
                quiet.then_some(since + DEPENDENCY_PATIENCE)
            }
            // Its stop waits for those that depend on it to end, and it is not checked any more.
            Phase::Running { .. } if self.recycle.is_some() => None,
            Phase::Running { life, health, .. } => health.deadline(life),
            Phase::Stopping { kill_at, .. } => *kill_at,
            Phase::BackOff { until } => Some(*until),
            Phase::Discarding { .. } | Phase::Launching { .. } | Phase::Completed | Phase::Failed | Phase::Stopped => None,
        }
    }
}

/// The word of the app file.
pub(super) fn word(condition: Condition) -> &'static str {
    match condition {
        Condition::Started => "started",
        Condition::Healthy => "healthy",
        Condition::Completed => "completed",
    }
}
