//! From started to ready and on: port, startup, readiness, liveness.

use pillion_fault::{Fault, Listener};

use super::{Command, Effects, Gate, Health, Incarnation, Instance, Life, Ms, PATIENCE, Phase, Pulse, Recycle};
use crate::{
    spec::{Check, ContainerSpec, Probe},
    status::EventKind,
};

/// The longest pause between two looks at what listens.
const LOOK_EVERY: Ms = 250;
/// Main's only listener is taken for its port when it has been the only one this long: an admin port may come first.
const SETTLED_AFTER: Ms = 200;

impl Health {
    /// Where a fresh process begins.
    pub(super) fn first(spec: &ContainerSpec, now: Ms) -> Self {
        next_gate(spec, None, now)
    }

    pub(super) fn deadline(&self, life: &Life) -> Option<Ms> {
        match self {
            Health::Starting { gate, pulse } => {
                let limit = match gate {
                    Gate::Startup => startup_limit(life),
                    Gate::Port | Gate::Readiness | Gate::Liveness => None,
                };
                [pulse.due, limit].into_iter().flatten().min()
            }
            Health::Up { readiness, liveness, .. } => {
                [readiness, liveness].into_iter().flatten().filter_map(|pulse| pulse.due).min()
            }
        }
    }
}

/// The gate after `passed`, or up.
fn next_gate(spec: &ContainerSpec, passed: Option<Gate>, now: Ms) -> Health {
    let probed = spec.startup.is_some() || spec.readiness.is_some();
    let wants_port = match spec.port {
        Some(_) => !probed,
        None => spec.main,
    };
    let gates = [(Gate::Port, wants_port), (Gate::Startup, spec.startup.is_some()), (Gate::Readiness, spec.readiness.is_some())];
    let next = gates.into_iter().find(|(gate, shut)| *shut && passed.is_none_or(|passed| *gate > passed));
    match next {
        Some((gate, _)) => {
            // An exec probe is a process: give the program a moment first.
            let slow = probe(spec, gate).is_some_and(|p| matches!(p.check, Check::Exec { .. }));
            Health::Starting { gate, pulse: Pulse::at(now + if slow { 20 } else { 2 }) }
        }
        None => {
            let later = |probe: &Probe| Pulse::at(now + probe.interval_ms.max(10));
            Health::Up {
                ready_since: Some(now),
                readiness: spec.readiness.as_ref().map(later),
                liveness: spec.liveness.as_ref().map(later),
            }
        }
    }
}

fn probe(spec: &ContainerSpec, gate: Gate) -> Option<&Probe> {
    match gate {
        Gate::Port => None,
        Gate::Startup => spec.startup.as_ref(),
        Gate::Readiness => spec.readiness.as_ref(),
        Gate::Liveness => spec.liveness.as_ref(),
    }
}

/// The declared port, where a probe asks just that.
fn asked_port(spec: &ContainerSpec, gate: Gate) -> Option<u16> {
    let asked = match &probe(spec, gate)?.check {
        Check::Http { port, .. } | Check::Tcp { port } => *port,
        Check::Exec { .. } => return None,
    };
    spec.port.filter(|declared| asked.is_none_or(|asked| asked == *declared))
}

/// Returns true for a program that listens, but not where it should.
fn misplaced(fault: &Fault) -> bool {
    matches!(fault, Fault::OtherPortOpened { .. } | Fault::PortTaken { .. })
}

fn startup_limit(life: &Life) -> Option<Ms> {
    let within = life.spec.startup.as_ref()?.within_ms;
    (within > 0).then_some(life.since + within)
}

impl Instance {
    /// Sends off the checks that are due, and ends a startup that took too long.
    pub(super) fn beat(&mut self, now: Ms, fx: &mut Effects) {
        for c in &mut self.containers {
            let port = c.port;
            let Phase::Running { life, health, .. } = &mut c.phase else { continue };
            if c.recycle.is_some() {
                continue;
            }
            let of = life.of;
            match health {
                Health::Starting { gate, pulse } => {
                    let late = *gate == Gate::Startup && startup_limit(life).is_some_and(|limit| limit <= now);
                    if late {
                        let waited_ms = now.saturating_sub(life.since);
                        let because = match c.diagnosis.take() {
                            Some(known) => known.fault,
                            None => Fault::NotReadyInTime { waited_ms },
                        };
                        c.recycle = Some(Recycle::Unhealthy { because });
                    } else if pulse.take_due(now) {
                        fx.push(match gate {
                            Gate::Port => Command::Look { of },
                            Gate::Startup | Gate::Readiness | Gate::Liveness => Command::Probe { of, gate: *gate, port },
                        });
                    }
                }
                Health::Up { readiness, liveness, .. } => {
                    for (gate, pulse) in [(Gate::Readiness, readiness), (Gate::Liveness, liveness)] {
                        if pulse.as_mut().is_some_and(|pulse| pulse.take_due(now)) {
                            fx.push(Command::Probe { of, gate, port });
                        }
                    }
                }
            }
        }
    }

    /// A process without any gate is ready at once.
    pub(super) fn pass_open_gates(&mut self, at: usize, now: Ms, fx: &mut Effects) {
        if self.containers[at].ready_since() == Some(now) {
            self.became_ready(at, fx);
        }
    }

    fn became_ready(&mut self, at: usize, fx: &mut Effects) {
        let c = &mut self.containers[at];
        c.ever_ready = true;
        c.diagnosis = None;
        fx.push(Command::Note { container: Some(c.name().into()), what: EventKind::Ready });
    }

    fn open(&mut self, at: usize, passed: Gate, now: Ms, fx: &mut Effects) {
        let c = &mut self.containers[at];
        let Phase::Running { life, health, .. } = &mut c.phase else { return };
        *health = next_gate(&life.spec, Some(passed), now);
        self.pass_open_gates(at, now, fx);
    }

    pub(super) fn probed(&mut self, of: Incarnation, gate: Gate, result: Result<(), Fault>, now: Ms, fx: &mut Effects) {
        let Some(at) = self.find(of) else { return };
        let c = &mut self.containers[at];
        let Phase::Running { life, health, .. } = &mut c.phase else { return };
        let Some(probe) = probe(&life.spec, gate) else { return };
        let (interval, allowed, ran) = (probe.interval_ms, probe.failures.max(1), now.saturating_sub(life.since));
        match health {
            Health::Starting { gate: waited, pulse } if *waited == gate => match result {
                Ok(()) => self.open(at, gate, now, fx),
                Err(fault) => {
                    pulse.failures += 1;
                    pulse.again_soon(now, interval);
                    if ran >= PATIENCE && pulse.failures >= allowed {
                        let refused = matches!(fault, Fault::ProbeRefused { .. }) && asked_port(&life.spec, gate).is_some();
                        if refused {
                            fx.push(Command::Look { of });
                        }
                        // Where the program listens tells more than that it does not listen there.
                        if !(refused && c.diagnosis.as_ref().is_some_and(|known| misplaced(&known.fault))) {
                            c.diagnose(fault, Vec::new());
                        }
                    }
                }
            },
            Health::Starting { .. } => {}
            Health::Up { ready_since, readiness, liveness } => {
                let pulse = match gate {
                    Gate::Readiness => readiness,
                    Gate::Liveness => liveness,
                    Gate::Port | Gate::Startup => return,
                };
                let Some(pulse) = pulse else { return };
                match (result, gate) {
                    (Ok(()), Gate::Readiness) => {
                        pulse.failures = 0;
                        pulse.round = 0;
                        pulse.again(now, interval);
                        if ready_since.is_none() {
                            *ready_since = Some(now);
                            self.became_ready(at, fx);
                        }
                    }
                    (Ok(()), _) => {
                        pulse.failures = 0;
                        pulse.again(now, interval);
                    }
                    (Err(fault), Gate::Readiness) => {
                        pulse.failures += 1;
                        let fell = pulse.failures >= allowed && ready_since.is_some();
                        if fell || ready_since.is_none() {
                            // Unready: ask soon and back off, so that recovery is seen at once.
                            *ready_since = None;
                            pulse.again_soon(now, interval);
                        } else {
                            pulse.again(now, interval);
                        }
                        if fell {
                            let diagnosis = c.diagnose(fault, Vec::new());
                            fx.push(Command::Note { container: Some(c.name().into()), what: EventKind::Unready { diagnosis } });
                        }
                    }
                    (Err(fault), _) => {
                        pulse.failures += 1;
                        pulse.again(now, interval);
                        if pulse.failures >= allowed {
                            let diagnosis = c.diagnose(fault.clone(), Vec::new());
                            fx.push(Command::Note { container: Some(c.name().into()), what: EventKind::Unready { diagnosis } });
                            c.recycle = Some(Recycle::Unhealthy { because: fault });
                        }
                    }
                }
            }
        }
    }

    pub(super) fn seen(&mut self, of: Incarnation, listeners: Vec<Listener>, now: Ms, fx: &mut Effects) {
        let Some(at) = self.find(of) else { return };
        let c = &mut self.containers[at];
        let name = c.name().to_owned();
        let (own, others): (Vec<Listener>, Vec<Listener>) =
            listeners.into_iter().partition(|l| l.container.as_deref().is_none_or(|holder| holder == name));
        c.listeners = own.iter().filter(|l| l.container.is_some()).cloned().collect();
        let Phase::Running { life, health: Health::Starting { gate, pulse }, .. } = &mut c.phase else { return };
        if *gate != Gate::Port {
            let (wanted, known) = (asked_port(&life.spec, *gate), c.diagnosis.as_ref().map(|known| &known.fault));
            match (wanted, known) {
                (Some(wanted), Some(Fault::ProbeRefused { .. })) if !c.listeners.is_empty() => {
                    if c.listeners.iter().all(|l| l.address.port() != wanted) {
                        let found = c.listeners.clone();
                        c.diagnose(Fault::OtherPortOpened { wanted, found }, Vec::new());
                    }
                }
                (Some(wanted), Some(known)) if misplaced(known) && own.iter().any(|l| l.address.port() == wanted) => {
                    c.diagnosis = None;
                }
                (_, _) => {}
            }
            return;
        }
        let waited_ms = now.saturating_sub(life.since);
        let found = match life.spec.port {
            Some(wanted) => own.iter().any(|l| l.address.port() == wanted).then_some(wanted),
            None => detect(&own, pulse, now),
        };
        if let Some(port) = found {
            if life.spec.port.is_none() {
                c.port = Some(port);
                fx.push(Command::Note { container: Some(name), what: EventKind::PortDetected { port } });
            }
            self.open(at, Gate::Port, now, fx);
            return;
        }
        pulse.again_soon(now, LOOK_EVERY);
        let wanted = life.spec.port;
        let holder = others.iter().find(|l| Some(l.address.port()) == wanted).and_then(|l| l.container.clone());
        let fault = match (wanted, holder) {
            (Some(port), Some(holder)) => Some(Fault::PortTaken { port, holder }),
            (Some(wanted), None) if waited_ms >= PATIENCE && !c.listeners.is_empty() => {
                Some(Fault::OtherPortOpened { wanted, found: c.listeners.clone() })
            }
            (port, _) if waited_ms >= PATIENCE => Some(Fault::PortNeverOpened { port, waited_ms }),
            _ => None,
        };
        if let Some(fault) = fault {
            let known = c.diagnosis.as_ref().map(|d| std::mem::discriminant(&d.fault));
            if known != Some(std::mem::discriminant(&fault)) {
                c.diagnose(fault, Vec::new());
            }
        }
    }
}

/// Main's port where none is declared: 80, then 8080, then the only one, once it has been alone for a moment.
fn detect(own: &[Listener], pulse: &mut Pulse, now: Ms) -> Option<u16> {
    let mut ports: Vec<u16> = own.iter().map(|l| l.address.port()).collect();
    ports.sort_unstable();
    ports.dedup();
    match ports.as_slice() {
        ports if ports.contains(&80) => Some(80),
        ports if ports.contains(&8080) => Some(8080),
        [only] => {
            let since = *pulse.alone_since.get_or_insert(now);
            (now.saturating_sub(since) >= SETTLED_AFTER).then_some(*only)
        }
        _ => {
            pulse.alone_since = None;
            None
        }
    }
}

impl Pulse {
    fn take_due(&mut self, now: Ms) -> bool {
        let due = self.due.is_some_and(|due| due <= now);
        if due {
            self.due = None;
        }
        due
    }
}
