//! Decisions against a simulated engine: requests, failures and time in any order.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use pillion_fault::{Diagnosis, Exit, Fault};
use pillion_model::{App, ContainerPhase, ContainerStatus, InstanceId, InstanceStatus};
use proptest::prelude::*;

use super::*;
use crate::diagnosis::FAILED_STARTS;

/// One app whose instances do as chance says, until chance is switched off.
struct World {
    desired: Desired,
    record_target: RevisionNumber,
    instances: BTreeMap<InstanceId, ObservedInstance>,
    drained: BTreeMap<InstanceId, Because>,
    rollout: RolloutSeen,
    now: u64,
    born: u64,
    /// Set once the current revision had all its instances ready, and nothing but we has touched them since.
    settled: bool,
}

#[derive(Debug, Clone)]
enum Happening {
    /// A new revision: 0 changes the sidecar, 1 changes main, 2 changes only host names; `bad` never gets ready.
    Apply {
        what: u8,
        bad: bool,
    },
    Scale(u32),
    /// The nth instance is lost.
    Lose(usize),
    /// The nth instance is not ready for a while.
    Stumble(usize),
    /// Steps are taken: this many rounds.
    Work(u8),
    Pass(u64),
    Restart,
}

fn happening() -> impl Strategy<Value = Happening> {
    prop_oneof![
        3 => (0u8..3, prop::bool::weighted(0.3)).prop_map(|(what, bad)| Happening::Apply { what, bad }),
        2 => (1u32..5).prop_map(Happening::Scale),
        1 => (0usize..5).prop_map(Happening::Lose),
        1 => (0usize..5).prop_map(Happening::Stumble),
        6 => (1u8..6).prop_map(Happening::Work),
        2 => (1u64..5_000).prop_map(Happening::Pass),
        1 => Just(Happening::Restart),
    ]
}

fn definition(main: u64, sidecar: u64, host: u64, bad: bool) -> App {
    let text = serde_json::json!({
        "name": "shop",
        "hosts": [format!("h{host}.example")],
        "containers": {
            "web": { "main": true, "image": format!("web:{main}") },
            "cache": { "image": format!("cache:{sidecar}{}", if bad { "-bad" } else { "" }) },
        },
    });
    serde_json::from_value(text).expect("an app")
}

impl World {
    fn new() -> World {
        let desired = Desired {
            intent: Intent::Run,
            scale: 2,
            current: None,
            target: Some(Target { revision: 1, prepared: false, ready_within_ms: 10_000 }),
            settle_ms: 0,
            failed: BTreeSet::new(),
            definitions: BTreeMap::from([(1, Arc::new(definition(1, 1, 1, false)))]),
        };
        World {
            desired,
            record_target: 1,
            instances: BTreeMap::new(),
            drained: BTreeMap::new(),
            rollout: RolloutSeen::default(),
            now: 0,
            born: 0,
            settled: false,
        }
    }

    fn bad(&self, revision: RevisionNumber) -> bool {
        self.desired.definitions[&revision].containers["cache"].image.ends_with("-bad")
    }

    fn decide(&self) -> Decision {
        let seen = Seen {
            complete: true,
            instances: self.instances.values().collect(),
            drained: self.drained.clone(),
            rollout: self.rollout.clone(),
            ..Seen::default()
        };
        decide(&self.desired, &seen, self.now)
    }

    fn ready(&self) -> usize {
        let counts = |one: &&ObservedInstance| {
            matches!(one.status.phase, InstancePhase::Ready)
                && !self.drained.contains_key(&one.status.id)
                && serves(&self.desired, one.status.revision)
        };
        self.instances.values().filter(counts).count()
    }

    fn happen(&mut self, happening: &Happening) {
        match happening {
            Happening::Apply { what, bad } => {
                let revision = self.desired.definitions.keys().last().copied().unwrap_or(0) + 1;
                let base = self.desired.current.unwrap_or(self.record_target);
                let text = |app: &App, name: &str| app.containers[name].image.clone();
                let base = self.desired.definitions[&base].clone();
                let mut app = definition(revision, revision, revision, *bad);
                if *what != 1 {
                    app.containers["web"].image = text(&base, "web");
                }
                if *what == 2 {
                    app.containers["cache"].image = text(&base, "cache");
                }
                self.desired.definitions.insert(revision, Arc::new(app));
                self.record_target = revision;
                self.desired.target = Some(Target { revision, prepared: false, ready_within_ms: 10_000 });
                self.rollout = RolloutSeen::default();
            }
            Happening::Scale(scale) => {
                self.desired.scale = *scale;
                self.settled = false;
            }
            Happening::Lose(nth) => {
                if let Some(id) = self.instances.keys().nth(*nth).cloned() {
                    let lost = self.instances.remove(&id);
                    self.settled = false;
                    if lost.map(|one| one.status.revision) == self.desired.target.as_ref().map(|target| target.revision) {
                        self.rollout.attempts += 1;
                    }
                }
            }
            Happening::Stumble(nth) => {
                let first = self.instances.values_mut().nth(*nth);
                if let Some(one) = first.filter(|one| matches!(one.status.phase, InstancePhase::Ready)) {
                    one.status.phase = InstancePhase::Unready;
                    self.settled = false;
                }
            }
            Happening::Work(rounds) => {
                for _ in 0..*rounds {
                    self.work();
                }
            }
            Happening::Pass(millis) => self.now += millis,
            Happening::Restart => (self.rollout, self.drained) = (RolloutSeen::default(), BTreeMap::new()),
        }
    }

    /// One round: everything decided is done, then instances come as far as they can.
    fn work(&mut self) -> Vec<Step> {
        let before = self.ready();
        let settled = self.settled;
        let steps = self.decide().steps;
        let drains = steps.iter().filter(|step| matches!(step, Step::Drain { .. })).count();
        for step in &steps {
            self.take(step);
        }
        // A step of ours never takes the app below what is wanted, where all was well before.
        if settled && drains > 0 {
            assert!(
                self.ready() >= before.min(self.desired.scale as usize),
                "{before} were ready, {} are after {steps:?}",
                self.ready()
            );
        }
        let bad: BTreeMap<_, _> = self.desired.definitions.keys().map(|revision| (*revision, self.bad(*revision))).collect();
        for one in self.instances.values_mut() {
            one.status.phase = InstancePhase::Ready;
            for status in &mut one.status.containers {
                status.phase = match status.phase {
                    _ if status.name.as_str() == "cache" && bad[&one.status.revision] => crash("cache"),
                    ref other => ContainerPhase::Running {
                        pid: if let ContainerPhase::Running { pid, .. } = other { *pid } else { 1 },
                        ready: true,
                    },
                };
            }
        }
        let target = self.desired.target.as_ref().map(|target| target.revision);
        if self.rollout.since.is_none() && self.instances.values().any(|one| Some(one.status.revision) == target) {
            self.rollout.since = Some(self.now);
        }
        self.settled = self.desired.current.is_some() && self.ready() >= self.desired.scale as usize;
        self.now += 10;
        steps
    }

    fn take(&mut self, step: &Step) {
        match step {
            Step::Prepare { .. } => {
                if let Some(target) = &mut self.desired.target {
                    target.prepared = true;
                }
            }
            Step::StartInstances { revision, count } => {
                for _ in 0..*count {
                    self.born += 1;
                    let one = instance(*revision, self.born);
                    self.instances.insert(one.status.id.clone(), one);
                }
            }
            Step::UpdateInPlace { instance, revision, .. } | Step::RollBackInPlace { instance, revision } => {
                let from = self.instances[instance].status.revision;
                let allowed = change(&self.desired.definitions[&from], &self.desired.definitions[revision]).in_place();
                assert!(allowed, "{from} cannot become {revision} in place");
                if let Some(one) = self.instances.get_mut(instance) {
                    one.status.revision = *revision;
                }
            }
            Step::Drain { instance, because } => {
                self.drained.insert(instance.clone(), *because);
            }
            Step::StopInstance { instance, because } => {
                let one = self.instances.remove(instance).expect("only what is there is stopped");
                let drained = self.drained.remove(instance);
                let taken = matches!(one.status.phase, InstancePhase::Ready) && drained.is_none();
                assert!(!taken, "an instance that takes traffic was stopped without being drained");
                assert!(drained.is_none_or(|why| why == *because), "{instance} was drained for {drained:?}, not {because:?}");
            }
            Step::Promote { revision } => {
                let proven = self
                    .instances
                    .values()
                    .filter(|one| one.status.revision == *revision && matches!(one.status.phase, InstancePhase::Ready));
                assert!(proven.count() >= self.desired.scale as usize, "revision {revision} did not prove itself");
                assert!(!self.bad(*revision), "revision {revision} cannot have proved itself");
                (self.desired.current, self.desired.target) = (Some(*revision), None);
            }
            Step::FailRevision { revision, .. } => {
                self.desired.failed.insert(*revision);
                self.desired.target = None;
                self.rollout = RolloutSeen::default();
            }
            Step::Forget => panic!("nobody asked for that"),
        }
    }
}

fn crash(container: &str) -> ContainerPhase {
    let fault = Fault::Exited { exit: Exit::Code { code: 1 }, after_ms: 1 };
    ContainerPhase::BackOff {
        until_ms: 0,
        last: Box::new(Diagnosis { container: Some(container.into()), fault, log_tail: Vec::new() }),
    }
}

fn instance(revision: RevisionNumber, number: u64) -> ObservedInstance {
    let container = |name: &str| ContainerStatus {
        name: name.parse().expect("a name"),
        phase: ContainerPhase::Starting,
        restarts: FAILED_STARTS,
        last_exit: None,
        listeners: Vec::new(),
        memory_bytes: None,
        memory_limit_bytes: None,
        cpu_usec: None,
        started_at_ms: Some(number),
    };
    ObservedInstance {
        app: "shop".parse().expect("a name"),
        status: InstanceStatus {
            id: format!("shop-{revision}-{number:06}").parse().expect("an id"),
            revision,
            phase: InstancePhase::Starting,
            port: Some(80),
            containers: vec![container("web"), container("cache")],
        },
        generation: 1,
        gate: None,
        diagnoses: Vec::new(),
        events: Vec::new(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happened_it_comes_to_rest_as_wanted_and_stays_there(happenings in prop::collection::vec(happening(), 1..40)) {
        let mut world = World::new();
        for happening in &happenings {
            world.happen(happening);
        }
        let mut rounds = 0;
        // A round may only let instances come along, so the one after it may decide something.
        while !(world.work().is_empty() && world.decide().steps.is_empty()) {
            rounds += 1;
            prop_assert!(rounds < 60, "it does not come to rest: {:?}", world.decide());
        }
        // At rest: nothing more to do, now or later.
        prop_assert_eq!(world.decide().steps, vec![]);
        world.now += 1_000_000;
        prop_assert_eq!(world.decide(), Decision::default());
        match world.desired.current {
            Some(current) => {
                prop_assert_eq!(world.ready(), world.desired.scale as usize);
                prop_assert!(world.instances.values().all(|one| one.status.revision == current));
                prop_assert_eq!(world.instances.len(), world.desired.scale as usize);
            }
            None => prop_assert!(world.instances.is_empty() && world.desired.failed.contains(&world.record_target)),
        }
        // The newest revision is current unless it failed.
        prop_assert!(world.desired.current == Some(world.record_target) || world.desired.failed.contains(&world.record_target));
    }

    #[test]
    fn nothing_is_decided_before_everything_is_found(happenings in prop::collection::vec(happening(), 1..10)) {
        let mut world = World::new();
        for happening in &happenings {
            world.happen(happening);
        }
        let seen = Seen { complete: false, instances: world.instances.values().collect(), ..Seen::default() };
        prop_assert_eq!(decide(&world.desired, &seen, world.now), Decision::default());
    }

    #[test]
    fn a_deleted_app_is_forgotten_after_its_last_instance(happenings in prop::collection::vec(happening(), 1..20)) {
        let mut world = World::new();
        for happening in &happenings {
            world.happen(happening);
        }
        world.desired.intent = Intent::Delete;
        let mut rounds = 0;
        loop {
            let steps = world.decide().steps;
            if steps == [Step::Forget] {
                break;
            }
            steps.iter().for_each(|step| world.take(step));
            rounds += 1;
            prop_assert!(rounds < 5);
        }
        prop_assert!(world.instances.is_empty());
    }
}

#[test]
fn one_instance_changes_in_place_at_a_time() {
    let mut world = World::new();
    while !world.work().is_empty() {}
    world.happen(&Happening::Apply { what: 0, bad: false });
    let mut updates = 0;
    loop {
        let steps = world.work();
        let now = steps.iter().filter(|step| matches!(step, Step::UpdateInPlace { .. })).count();
        assert!(now <= 1, "{steps:?}");
        updates += now;
        if steps.is_empty() {
            break;
        }
    }
    assert_eq!(updates, 2);
}

#[test]
fn a_sidecar_without_a_probe_must_run_on_before_it_counts() {
    let mut world = World::new();
    world.desired.settle_ms = 1_000;
    for _ in 0..3 {
        world.work();
    }
    let steady: BTreeMap<_, _> = world.instances.keys().map(|id| (id.clone(), 500)).collect();
    let at = |now| {
        let instances = world.instances.values().collect();
        decide(&world.desired, &Seen { complete: true, instances, steady: steady.clone(), ..Seen::default() }, now)
    };
    assert_eq!(at(1_499), Decision { steps: vec![], wake_at: Some(1_500) });
    assert_eq!(at(1_500).steps, [Step::Promote { revision: 1 }]);
}

#[test]
fn a_sidecar_that_ended_must_run_on_before_it_counts_even_if_its_port_is_open() {
    let mut world = World::new();
    world.desired.settle_ms = 1_000;
    let mut app = definition(1, 1, 1, false);
    app.containers["cache"].port = Some(6379);
    world.desired.definitions.insert(1, Arc::new(app));
    for _ in 0..3 {
        world.work();
    }
    let steady: BTreeMap<_, _> = world.instances.keys().map(|id| (id.clone(), 500)).collect();
    let at = |restarts, now| {
        let mut instances: Vec<_> = world.instances.values().cloned().collect();
        instances.iter_mut().flat_map(|one| &mut one.status.containers).for_each(|status| status.restarts = restarts);
        let seen = Seen { complete: true, instances: instances.iter().collect(), steady: steady.clone(), ..Seen::default() };
        decide(&world.desired, &seen, now).steps
    };
    assert_eq!(at(0, 500), [Step::Promote { revision: 1 }]);
    assert!(at(1, 1_499).is_empty());
    assert_eq!(at(1, 1_500), [Step::Promote { revision: 1 }]);
}

#[test]
fn a_rollout_that_is_late_fails_with_what_was_seen_last() {
    let mut world = World::new();
    world.take(&Step::Prepare { revision: 1 });
    world.take(&Step::StartInstances { revision: 1, count: 2 });
    world.rollout.since = Some(0);
    assert_eq!(world.decide(), Decision { steps: vec![], wake_at: Some(10_000) });
    world.now = 10_000;
    let late = Fault::NotReadyInTime { waited_ms: 10_000 };
    let diagnosis = Box::new(Diagnosis { container: Some("web".into()), fault: late, log_tail: Vec::new() });
    assert_eq!(world.decide().steps, vec![Step::FailRevision { revision: 1, diagnosis }]);
}

/// Takes rounds until nothing is left to do; returns why instances were stopped.
fn reasons(world: &mut World) -> Vec<Because> {
    let mut reasons = Vec::new();
    loop {
        let steps = world.work();
        if steps.is_empty() {
            return reasons;
        }
        reasons.extend(
            steps.iter().filter_map(|step| if let Step::StopInstance { because, .. } = step { Some(*because) } else { None }),
        );
    }
}

#[test]
fn an_instance_is_stopped_for_the_reason_it_was_drained_for() {
    let mut world = World::new();
    assert_eq!(reasons(&mut world), []);
    world.happen(&Happening::Scale(1));
    assert_eq!(reasons(&mut world), [Because::TooMany]);
    world.happen(&Happening::Apply { what: 1, bad: false });
    assert_eq!(reasons(&mut world), [Because::Replaced]);
    world.happen(&Happening::Apply { what: 1, bad: true });
    assert_eq!(reasons(&mut world), [Because::RevisionFailed]);
}

#[test]
fn a_changed_mind_does_not_change_the_reason() {
    let mut world = World::new();
    reasons(&mut world);
    world.happen(&Happening::Scale(1));
    world.work();
    world.happen(&Happening::Scale(2));
    world.happen(&Happening::Apply { what: 0, bad: false });
    assert_eq!(reasons(&mut world), [Because::TooMany]);
    (world.desired.intent, world.settled) = (Intent::Stop, false);
    world.work();
    world.desired.intent = Intent::Run;
    assert_eq!(reasons(&mut world), [Because::AppStopped, Because::AppStopped]);
}

#[test]
fn one_that_fails_while_it_drains_has_failed() {
    let mut world = World::new();
    reasons(&mut world);
    world.happen(&Happening::Scale(1));
    world.work();
    let id = world.drained.keys().next().expect("one that drains").clone();
    world.instances.get_mut(&id).expect("an instance").status.phase = InstancePhase::Stopped;
    assert_eq!(world.decide().steps, [Step::StopInstance { instance: id, because: Because::InstanceFailed }]);
}

/// Two ready instances of an app with a health check, of which those named by place become unready at `since`.
fn checked(since: &[(usize, u64)]) -> (World, BTreeMap<InstanceId, u64>) {
    let mut world = World::new();
    let mut app = definition(1, 1, 1, false);
    app.unhealthy_limit = 50;
    world.desired.definitions.insert(1, Arc::new(app));
    while !world.work().is_empty() {}
    let mut unready = BTreeMap::new();
    for (place, at) in since {
        let one = world.instances.values_mut().nth(*place).expect("an instance");
        one.status.phase = InstancePhase::Unready;
        unready.insert(one.status.id.clone(), *at);
    }
    (world, unready)
}

const HOUR: u64 = 3_600_000;

#[test]
fn an_instance_unready_for_an_hour_is_drained_stopped_for_that_and_replaced() {
    let (world, unready) = checked(&[(0, 500)]);
    let id = unready.keys().next().expect("an instance").clone();
    let at = |now, drained: &BTreeMap<InstanceId, Because>| {
        let instances = world.instances.values().collect();
        let seen = Seen { complete: true, instances, unready: unready.clone(), drained: drained.clone(), ..Seen::default() };
        decide(&world.desired, &seen, now)
    };
    let none = BTreeMap::new();
    assert_eq!(at(HOUR, &none), Decision { steps: vec![], wake_at: Some(HOUR + 500) });
    let replacement = Step::StartInstances { revision: 1, count: 1 };
    assert_eq!(
        at(HOUR + 500, &none).steps,
        [Step::Drain { instance: id.clone(), because: Because::Unready }, replacement.clone()]
    );
    let drained = BTreeMap::from([(id.clone(), Because::Unready)]);
    assert_eq!(at(HOUR + 500, &drained).steps, [Step::StopInstance { instance: id, because: Because::Unready }, replacement]);
}

#[test]
fn no_more_than_one_unready_instance_an_hour_and_three_a_day_are_replaced() {
    let (world, unready) = checked(&[(0, 0), (1, 0)]);
    let at = |replaced: &[u64], now| {
        let instances = world.instances.values().collect();
        let replaced = replaced.to_vec();
        decide(&world.desired, &Seen { complete: true, instances, unready: unready.clone(), replaced, ..Seen::default() }, now)
    };
    let drains = |decision: &Decision| decision.steps.iter().filter(|step| matches!(step, Step::Drain { .. })).count();
    assert_eq!(drains(&at(&[], HOUR)), 1);
    assert_eq!(at(&[HOUR], 2 * HOUR - 1), Decision { steps: vec![], wake_at: Some(2 * HOUR) });
    assert_eq!(drains(&at(&[HOUR], 2 * HOUR)), 1);
    let day = [HOUR, 2 * HOUR, 3 * HOUR];
    assert_eq!(at(&day, 10 * HOUR), Decision { steps: vec![], wake_at: Some(25 * HOUR) });
    assert_eq!(drains(&at(&day, 25 * HOUR)), 1);
}

#[test]
fn an_app_without_a_health_check_keeps_its_unready_instances() {
    let (mut world, unready) = checked(&[(0, 0)]);
    world.desired.definitions.insert(1, Arc::new(definition(1, 1, 1, false)));
    let instances = world.instances.values().collect();
    let seen = Seen { complete: true, instances, unready, ..Seen::default() };
    assert_eq!(decide(&world.desired, &seen, 100 * HOUR), Decision::default());
}
