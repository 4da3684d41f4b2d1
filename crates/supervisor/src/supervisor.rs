//! The loop: one owner of the state machine, fed with facts and requests, carrying out its commands.

#[cfg(test)]
mod scripted;

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    io,
    path::PathBuf,
    rc::Rc,
};

use pillion_fault::Listener;
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, sleep_until},
};

use crate::{
    board::Board,
    clock::Clock,
    life::{Life, Order},
    logs::LogFile,
    machine::{Machine, Process, Usage},
    persist,
    spec::{InstanceSpec, SpecError},
    state::{Command, Incarnation, Input, Instance, Ms, Refusal},
    status::{ContainerPhase, InstancePhase, InstanceStatus},
};

/// Facts and requests on their way to the loop; whoever sends one waits for room.
const INBOX: usize = 256;
/// How old usage numbers may be when someone begins to look.
const USAGE_AGE: Ms = 200;
/// How often they are read anew while someone looks.
const USAGE_EVERY: Ms = 15_000;

/// What the loop and the tasks around it share; everything runs on one thread.
pub(crate) struct Shared {
    pub machine: Rc<dyn Machine>,
    pub clock: Clock,
    pub board: Board,
    pub lives: RefCell<BTreeMap<Incarnation, Handle>>,
    pub inputs: mpsc::Sender<Input>,
    logs: RefCell<BTreeMap<String, Rc<LogFile>>>,
    /// Usage by container, and when it was read.
    usage: RefCell<BTreeMap<String, Usage>>,
    usage_at: Cell<Option<Ms>>,
    /// What is listened on, by container, as of then.
    heard: RefCell<BTreeMap<String, Vec<Listener>>>,
    names: RefCell<Vec<String>>,
}

/// A container under way, as the rest of the process reaches it.
pub(crate) struct Handle {
    pub container: String,
    pub orders: Option<oneshot::Sender<Order>>,
    pub process: Option<Rc<dyn Process>>,
}

/// A request of the control socket.
pub(crate) enum Ask {
    /// A change; answered when taken, or refused.
    Change {
        input: Input,
        answer: oneshot::Sender<Result<(), AskError>>,
    },
    /// Answered when nothing is left.
    Stop {
        answer: oneshot::Sender<Result<(), AskError>>,
    },
    Kill {
        answer: oneshot::Sender<Result<(), AskError>>,
    },
    /// Someone begins to look; answered once fresh numbers are published.
    Look {
        answer: oneshot::Sender<()>,
    },
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum AskError {
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error("the new spec cannot be written to {}", path.display())]
    Persist {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("the names of the containers cannot be written")]
    Names(#[source] io::Error),
    #[error("not everything could be removed")]
    Remove(#[source] io::Error),
}

pub(crate) struct Supervisor {
    instance: Instance,
    dir: PathBuf,
    shared: Rc<Shared>,
    inputs: mpsc::Receiver<Input>,
    asks: mpsc::Receiver<Ask>,
    stoppers: Vec<oneshot::Sender<Result<(), AskError>>>,
    over: bool,
}

impl Supervisor {
    pub(crate) fn new(
        dir: PathBuf,
        spec: InstanceSpec,
        machine: Rc<dyn Machine>,
    ) -> Result<(Self, Rc<Shared>, mpsc::Sender<Ask>), SpecError> {
        let clock = Clock::start();
        let (sender, inputs) = mpsc::channel(INBOX);
        let (ask, asks) = mpsc::channel(INBOX);
        let names = spec.containers.iter().map(|c| c.run.name.clone()).collect();
        let status = InstanceStatus {
            id: spec.id.clone(),
            generation: spec.generation,
            serial: 0,
            labels: spec.labels.clone(),
            supervisor_pid: std::process::id(),
            phase: InstancePhase::Starting,
            port: None,
            containers: Vec::new(),
        };
        let instance = Instance::new(spec, clock.now())?;
        let shared = Rc::new(Shared {
            machine,
            clock,
            board: Board::new(status),
            lives: RefCell::default(),
            inputs: sender,
            logs: RefCell::default(),
            usage: RefCell::default(),
            usage_at: Cell::new(None),
            heard: RefCell::default(),
            names: RefCell::new(names),
        });
        let supervisor = Self { instance, dir, shared: Rc::clone(&shared), inputs, asks, stoppers: Vec::new(), over: false };
        Ok((supervisor, shared, ask))
    }

    /// Runs until the instance is stopped and removed.
    pub(crate) async fn run(mut self) {
        self.feed(Input::Tick);
        while !self.over {
            self.publish();
            let usage = self.shared.board.watched().then(|| self.shared.usage_at.get().map_or(0, |at| at + USAGE_EVERY));
            let wake = self.instance.deadline().into_iter().chain(usage).min();
            let wake = wake.map(|at| self.shared.clock.instant(at));
            // Cancel-safe: receiving takes nothing unless it wins, and the sleep is made anew each round.
            tokio::select! {
                Some(input) = self.inputs.recv() => self.feed(input),
                Some(ask) = self.asks.recv() => self.asked(ask),
                () = sleep_until(wake.unwrap_or_else(Instant::now)), if wake.is_some() => {
                    self.feed(Input::Tick);
                    if self.shared.board.watched() {
                        self.shared.refresh_usage(USAGE_EVERY);
                    }
                }
            }
            while let Ok(input) = self.inputs.try_recv() {
                self.feed(input);
            }
        }
        self.publish();
        let removed = self.shared.machine.remove();
        if let Err(error) = &removed {
            tracing::error!(%error, "the instance left something behind");
        }
        for stopper in self.stoppers {
            let answer = removed.as_ref().map_err(|e| AskError::Remove(io::Error::new(e.kind(), e.to_string())));
            // Who asked may be gone.
            let _ = stopper.send(answer.copied());
        }
    }

    fn feed(&mut self, input: Input) {
        // Facts and ticks are never refused.
        let _ = self.step(input);
    }

    fn step(&mut self, input: Input) -> Result<(), Refusal> {
        let now = self.shared.clock.now();
        for command in self.instance.step(input, now, chance())? {
            self.carry_out(command, now);
        }
        Ok(())
    }

    fn carry_out(&mut self, command: Command, now: Ms) {
        let shared = &self.shared;
        match command {
            Command::Create { of, spec } => {
                let (orders, told) = oneshot::channel();
                let handle = Handle { container: spec.run.name.clone(), orders: Some(orders), process: None };
                shared.lives.borrow_mut().insert(of, handle);
                let log = shared.log(self.instance.spec(), &spec.run.name);
                tokio::task::spawn_local(Life { of, spec, log, shared: Rc::clone(shared) }.run(told));
            }
            Command::Start { of } => shared.order(of, Order::Start),
            Command::Discard { of } => shared.order(of, Order::Discard),
            Command::Signal { of, signal } => {
                if let Some(process) = shared.process(of) {
                    process.signal(signal);
                }
            }
            Command::Kill { of } => {
                if let Some(process) = shared.process(of) {
                    process.kill_all();
                }
            }
            Command::Probe { of, gate, port } => shared.probe(self.instance.spec(), of, gate, port),
            Command::Look { of } => {
                let shared = Rc::clone(shared);
                tokio::task::spawn_local(async move {
                    let listeners = shared.listeners();
                    let _ = shared.inputs.send(Input::Seen { of, listeners }).await;
                });
            }
            Command::Note { container, what } => shared.board.note(now, container, what),
            Command::Finished => self.over = true,
        }
    }

    fn asked(&mut self, ask: Ask) {
        // Whoever asked may be gone; the change is made all the same.
        match ask {
            Ask::Change { input, answer } => {
                let _ = answer.send(self.change(input));
            }
            Ask::Stop { answer } => {
                self.stoppers.push(answer);
                self.feed(Input::Stop);
            }
            Ask::Kill { answer } => {
                self.stoppers.push(answer);
                self.over = true;
            }
            Ask::Look { answer } => {
                self.shared.refresh_usage(USAGE_AGE);
                self.publish();
                let _ = answer.send(());
            }
        }
    }

    fn change(&mut self, input: Input) -> Result<(), AskError> {
        if let Input::Update { spec } = &input {
            self.instance.accepts(spec)?;
            // First on disk: what runs is never newer than what a later reader finds.
            let path = self.dir.join(crate::SPEC_FILE);
            persist::write(&path, spec).map_err(|source| AskError::Persist { path, source })?;
            self.shared.machine.set_host_names(&spec.sandbox.host_names).map_err(AskError::Names)?;
            *self.shared.names.borrow_mut() = spec.containers.iter().map(|c| c.run.name.clone()).collect();
        }
        Ok(self.step(input)?)
    }

    fn publish(&self) {
        let spec = self.instance.spec();
        let (usage, heard) = (self.shared.usage.borrow(), self.shared.heard.borrow());
        let mut containers = self.instance.containers();
        for c in &mut containers {
            if let (ContainerPhase::Running { .. }, Some(used)) = (&c.phase, usage.get(&c.name)) {
                (c.memory_bytes, c.cpu_usec) = (used.memory_bytes, used.cpu_usec);
            }
            if let (ContainerPhase::Running { .. }, Some(listeners)) = (&c.phase, heard.get(&c.name)) {
                c.listeners.clone_from(listeners);
            }
        }
        self.shared.board.publish(InstanceStatus {
            id: spec.id.clone(),
            generation: spec.generation,
            serial: 0,
            labels: spec.labels.clone(),
            supervisor_pid: std::process::id(),
            phase: self.instance.phase(),
            port: self.instance.port(),
            containers,
        });
    }
}

impl Shared {
    /// Every container that has a process, for what is listened on.
    pub(crate) fn listeners(&self) -> Vec<pillion_fault::Listener> {
        self.machine.listeners(&self.names.borrow())
    }

    pub(crate) fn process(&self, of: Incarnation) -> Option<Rc<dyn Process>> {
        self.lives.borrow().get(&of)?.process.clone()
    }

    /// The running process of a container.
    pub(crate) fn process_of(&self, container: &str) -> Option<Rc<dyn Process>> {
        self.lives.borrow().values().find(|handle| handle.container == container && handle.process.is_some())?.process.clone()
    }

    fn order(&self, of: Incarnation, order: Order) {
        let orders = self.lives.borrow_mut().get_mut(&of).and_then(|handle| handle.orders.take());
        if let Some(orders) = orders {
            // A life that failed meanwhile has said so already.
            let _ = orders.send(order);
        }
    }

    fn log(&self, spec: &InstanceSpec, container: &str) -> Rc<LogFile> {
        let mut logs = self.logs.borrow_mut();
        let open = || Rc::new(LogFile::open(spec.log_dir.clone(), container, spec.log_limits));
        Rc::clone(logs.entry(container.into()).or_insert_with(open))
    }

    /// Reads what containers use and listen on, unless that was done less than `age` ago.
    fn refresh_usage(&self, age: Ms) {
        let now = self.clock.now();
        let lives = self.lives.borrow();
        // A container that began to run since the last reading has no numbers yet.
        let unknown = lives.values().any(|h| h.process.is_some() && !self.usage.borrow().contains_key(&h.container));
        if !unknown && self.usage_at.get().is_some_and(|at| now.saturating_sub(at) < age) {
            return;
        }
        self.usage_at.set(Some(now));
        let read = lives.values().filter_map(|h| Some((h.container.clone(), h.process.as_ref()?.usage()))).collect();
        *self.usage.borrow_mut() = read;
        let mut heard: BTreeMap<String, Vec<Listener>> = BTreeMap::new();
        for listener in self.listeners() {
            if let Some(container) = listener.container.clone() {
                heard.entry(container).or_default().push(listener);
            }
        }
        *self.heard.borrow_mut() = heard;
    }
}

fn chance() -> u64 {
    let mut bytes = [0; 8];
    // Jitter: a kernel without randomness yet costs evenness, nothing else.
    let _ = rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::NONBLOCK);
    u64::from_ne_bytes(bytes)
}
