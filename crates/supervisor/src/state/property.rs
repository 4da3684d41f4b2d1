//! What must hold after any sequence of inputs, whoever sends them in whatever order.

use std::collections::BTreeMap;

use pillion_fault::{Exit, Fault};
use proptest::prelude::*;

use super::{BACK_OFF_MAX, Command, Gate, Incarnation, Input, Instance, Ms, back_off};
use crate::{
    diagnosis::EndFacts,
    spec::{Check, Condition, ContainerSpec, InstanceSpec, Probe, RestartPolicy},
    status::{ContainerPhase, InstancePhase},
    testing::{container, depends, instance, main_container},
};

/// One thing that the world does; numbers choose among what is possible then.
#[derive(Debug, Clone)]
enum Move {
    Answer(u8),
    Fail(u8),
    Die(u8, u8),
    Wait(u16),
    Update(u8),
    Restart(u8),
    StopOne(u8),
    StartOne(u8),
    RestartAll,
    Stop,
    /// A fact about an incarnation that is not there any more.
    Late(u8),
}

fn moves() -> impl Strategy<Value = Vec<Move>> {
    let one = prop_oneof![
        12 => any::<u8>().prop_map(Move::Answer),
        2 => any::<u8>().prop_map(Move::Fail),
        3 => (any::<u8>(), 0..3_u8).prop_map(|(which, code)| Move::Die(which, code)),
        4 => (0..5_000_u16).prop_map(Move::Wait),
        1 => any::<u8>().prop_map(Move::Update),
        1 => any::<u8>().prop_map(Move::Restart),
        1 => any::<u8>().prop_map(Move::StopOne),
        1 => any::<u8>().prop_map(Move::StartOne),
        1 => Just(Move::RestartAll),
        1 => Just(Move::Stop),
        2 => any::<u8>().prop_map(Move::Late),
    ];
    proptest::collection::vec(one, 1..120)
}

/// A world that does what the machine says, and remembers.
struct World {
    machine: Instance,
    now: Ms,
    generation: u64,
    /// What is under way: the command that was not answered yet, or the process that runs.
    open: BTreeMap<Incarnation, Open>,
    probes: Vec<(Incarnation, Gate)>,
    looks: Vec<Incarnation>,
    gone: Vec<Incarnation>,
    stopped: bool,
    completed_once: BTreeMap<String, u32>,
}

#[derive(Debug, Clone)]
struct Open {
    spec: ContainerSpec,
    stage: Stage,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Stage {
    Creating,
    Created,
    Discarding,
    Starting,
    Running,
}

fn spec() -> InstanceSpec {
    let probe = Probe { check: Check::Tcp { port: None }, interval_ms: 500, timeout_ms: 100, failures: 2, within_ms: 4_000 };
    let mut main = main_container("web");
    main.readiness = Some(probe.clone());
    main.liveness = Some(probe.clone());
    let main = depends(depends(main, "cache", Condition::Healthy), "migrate", Condition::Completed);
    let mut cache = container("cache");
    cache.startup = Some(probe);
    let mut migrate = depends(container("migrate"), "db", Condition::Started);
    migrate.restart = RestartPolicy::OnFailure;
    let mut vital = container("vital");
    vital.essential = true;
    instance(std::path::Path::new("/nonexistent"), vec![main, cache, migrate, vital, container("db")])
}

impl World {
    fn new() -> Self {
        let machine = Instance::new(spec(), 1_000).expect("a valid spec");
        let mut world = Self {
            machine,
            now: 1_000,
            generation: 1,
            open: BTreeMap::new(),
            probes: Vec::new(),
            looks: Vec::new(),
            gone: Vec::new(),
            stopped: false,
            completed_once: BTreeMap::new(),
        };
        world.step(Input::Tick);
        world
    }

    fn step(&mut self, input: Input) {
        let before: BTreeMap<String, ContainerPhase> = self.machine.containers().into_iter().map(|c| (c.name, c.phase)).collect();
        let asked = matches!(input, Input::Restart { .. } | Input::StartContainer { .. } | Input::Update { .. });
        let Ok(commands) = self.machine.step(input, self.now, 7) else { return };
        for command in commands {
            self.obey(command, &before, asked);
        }
        self.check();
    }

    fn obey(&mut self, command: Command, before: &BTreeMap<String, ContainerPhase>, asked: bool) {
        match command {
            Command::Create { of, spec } => {
                assert!(!self.stopped, "created after the stop");
                assert!(self.open.values().all(|open| open.spec.run.name != spec.run.name), "two of {}", spec.run.name);
                assert!(asked || before.get(&spec.run.name) != Some(&ContainerPhase::Completed), "run twice: {}", spec.run.name);
                self.open.insert(of, Open { spec: (*spec).clone(), stage: Stage::Creating });
            }
            Command::Start { of } => {
                assert!(!self.stopped, "started after the stop");
                let open = self.open.get_mut(&of).expect("a created container");
                assert_eq!(open.stage, Stage::Created);
                open.stage = Stage::Starting;
                let spec = open.spec.clone();
                for (name, condition) in &spec.depends_on {
                    assert!(self.holds(name, *condition), "{} started before {name} {condition:?}", spec.run.name);
                }
            }
            Command::Discard { of } => {
                let open = self.open.get_mut(&of).expect("a created container");
                assert!(matches!(open.stage, Stage::Creating | Stage::Created));
                open.stage = Stage::Discarding;
            }
            Command::Signal { of, .. } => {
                let name = &self.open[&of].spec.run.name;
                if self.stopped {
                    let dependent = self.open.values().find(|o| {
                        matches!(o.stage, Stage::Starting | Stage::Running) && o.spec.depends_on.iter().any(|(on, _)| on == name)
                    });
                    assert!(dependent.is_none(), "{name} stops before {dependent:?}");
                }
                assert_eq!(self.open[&of].stage, Stage::Running);
            }
            Command::Kill { of } => assert_eq!(self.open[&of].stage, Stage::Running),
            Command::Probe { of, gate, .. } => {
                assert_eq!(self.open[&of].stage, Stage::Running);
                assert!(!self.probes.contains(&(of, gate)), "two checks at once");
                self.probes.push((of, gate));
            }
            Command::Look { of } => self.looks.push(of),
            Command::Note { .. } => {}
            Command::Finished => {
                assert!(self.stopped);
                assert!(self.open.is_empty(), "finished with {:?}", self.open);
            }
        }
    }

    fn holds(&self, name: &str, condition: Condition) -> bool {
        let containers = self.machine.containers();
        let Some(found) = containers.iter().find(|c| c.name == name) else { return false };
        match condition {
            Condition::Started => matches!(found.phase, ContainerPhase::Running { .. } | ContainerPhase::Completed),
            Condition::Healthy => matches!(found.phase, ContainerPhase::Running { ready: true, .. }),
            Condition::Completed => found.phase == ContainerPhase::Completed,
        }
    }

    fn check(&self) {
        if let Some(deadline) = self.machine.deadline() {
            // Nothing due is left undone, or the loop would spin.
            assert!(deadline > self.now, "a deadline at {deadline} is left at {}: {:?}", self.now, self.machine);
        }
        for c in self.machine.containers() {
            if let ContainerPhase::BackOff { until_ms } = c.phase {
                assert!(until_ms <= self.now + BACK_OFF_MAX);
            }
        }
        if self.stopped {
            assert!(matches!(self.machine.phase(), InstancePhase::Stopping | InstancePhase::Stopped));
        }
    }

    fn play(&mut self, next: Move) {
        match next {
            Move::Answer(which) => self.answer(which),
            Move::Fail(which) => {
                if let Some((of, gate)) = pick(&self.probes, which) {
                    self.probes.retain(|probe| *probe != (of, gate));
                    let fault =
                        Fault::ProbeSlow { probe: pillion_fault::ProbeKind::Readiness, target: "x".into(), timeout_ms: 1 };
                    self.step(Input::Probed { of, gate, result: Err(fault) });
                } else if let Some(of) = self.staged(&[Stage::Creating, Stage::Starting], which) {
                    self.close(of);
                    let fault = Fault::StartFailed { doing: "x".into(), reason: "y".into() };
                    self.step(Input::LaunchFailed { of, fault });
                }
            }
            Move::Die(which, code) => {
                if let Some(of) = self.staged(&[Stage::Running], which) {
                    let name = self.open[&of].spec.run.name.clone();
                    if code == 0 {
                        *self.completed_once.entry(name).or_default() += 1;
                    }
                    self.close(of);
                    self.step(Input::Ended { of, exit: Exit::Code { code: code.into() }, facts: EndFacts::default() });
                }
            }
            Move::Wait(ms) => {
                self.now += Ms::from(ms);
                self.step(Input::Tick);
            }
            Move::Update(which) => {
                self.generation += 1;
                let mut new = spec();
                new.generation = self.generation;
                let count = new.containers.len();
                new.containers[usize::from(which) % count].run.env.push(format!("G={}", self.generation));
                if which > 200 {
                    // `db` leaves, and who needs it needs it no more.
                    new.containers.retain(|c| c.run.name != "db");
                    new.containers.iter_mut().for_each(|c| c.depends_on.retain(|(on, _)| on != "db"));
                }
                self.step(Input::Update { spec: Box::new(new) });
            }
            Move::Restart(which) => self.step(Input::Restart { container: Some(self.name(which)) }),
            Move::StopOne(which) => self.step(Input::StopContainer { container: self.name(which) }),
            Move::StartOne(which) => self.step(Input::StartContainer { container: self.name(which) }),
            Move::RestartAll => self.step(Input::Restart { container: None }),
            Move::Stop => {
                self.stopped = true;
                self.step(Input::Stop);
            }
            Move::Late(which) => {
                if let Some(of) = pick(&self.gone, which) {
                    let before = format!("{:?}", self.machine.containers());
                    self.step(Input::Ended { of, exit: Exit::Code { code: 1 }, facts: EndFacts::default() });
                    self.step(Input::Started { of, pid: 1 });
                    self.step(Input::Probed { of, gate: Gate::Liveness, result: Ok(()) });
                    assert_eq!(before, format!("{:?}", self.machine.containers()), "a late fact changed something");
                }
            }
        }
    }

    /// Lets something that is under way succeed.
    fn answer(&mut self, which: u8) {
        if which.is_multiple_of(3)
            && let Some((of, gate)) = pick(&self.probes, which)
        {
            self.probes.retain(|probe| *probe != (of, gate));
            return self.step(Input::Probed { of, gate, result: Ok(()) });
        }
        if let Some(of) = self.staged(&[Stage::Creating, Stage::Discarding, Stage::Starting], which) {
            let open = self.open.get_mut(&of).expect("it is open");
            match open.stage {
                Stage::Creating => {
                    open.stage = Stage::Created;
                    self.step(Input::Created { of });
                }
                Stage::Discarding => {
                    self.close(of);
                    self.step(Input::Discarded { of });
                }
                Stage::Starting => {
                    open.stage = Stage::Running;
                    self.step(Input::Started { of, pid: 42 });
                }
                Stage::Created | Stage::Running => unreachable!("not picked"),
            }
        }
    }

    fn staged(&self, stages: &[Stage], which: u8) -> Option<Incarnation> {
        let fitting: Vec<Incarnation> = self.open.iter().filter(|(_, o)| stages.contains(&o.stage)).map(|(of, _)| *of).collect();
        pick(&fitting, which)
    }

    fn close(&mut self, of: Incarnation) {
        self.open.remove(&of);
        self.probes.retain(|(probed, _)| *probed != of);
        self.gone.push(of);
    }

    fn name(&self, which: u8) -> String {
        let names = ["web", "cache", "migrate", "vital", "db"];
        names[usize::from(which) % names.len()].into()
    }

    /// Answers everything, lets every process end when told, until the instance is over.
    fn wind_up(&mut self) {
        self.play(Move::Stop);
        for _ in 0..200 {
            if self.machine.phase() == InstancePhase::Stopped {
                return;
            }
            self.answer(1);
            if self.staged(&[Stage::Creating, Stage::Discarding, Stage::Starting], 0).is_none() {
                self.play(Move::Wait(1_100));
                self.play(Move::Die(0, 1));
            }
        }
        panic!("it does not end: {:?}", self.machine);
    }
}

fn pick<T: Copy>(from: &[T], which: u8) -> Option<T> {
    if from.is_empty() { None } else { Some(from[usize::from(which) % from.len()]) }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, ..ProptestConfig::default() })]

    #[test]
    fn no_sequence_of_events_breaks_an_instance(moves in moves()) {
        let mut world = World::new();
        for next in moves {
            world.play(next);
        }
        world.wind_up();
    }

    #[test]
    fn back_off_rises_and_is_bounded(streak in 1..40_u32, a in any::<u64>(), b in any::<u64>()) {
        let (now, next) = (back_off(streak, a), back_off(streak + 1, b));
        prop_assert!(next <= BACK_OFF_MAX);
        prop_assert!(next > now || next == BACK_OFF_MAX);
    }
}
