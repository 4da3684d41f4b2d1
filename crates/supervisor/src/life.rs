//! One incarnation of one container, from creating it to removing what it left; and its checks.

use std::{os::fd::OwnedFd, rc::Rc, time::Duration};

use pillion_fault::{Fault, ProbeKind};
use rustix::pipe::{PipeFlags, pipe_with};
use tokio::{io::Interest, sync::oneshot, task::JoinHandle, time::timeout};

use crate::{
    clock::timestamp,
    diagnosis::{self, EndFacts},
    logs::{LogFile, Stream},
    machine::{Asked, Output, Process},
    readiness::watched,
    spec::{ContainerSpec, InstanceSpec, Probe},
    state::{Gate, Incarnation, Input},
    supervisor::Shared,
};

/// How long the last words of an ended container are waited for: its pipes close with its last process.
const LAST_WORDS: Duration = Duration::from_millis(500);

pub(crate) enum Order {
    Start,
    Discard,
}

pub(crate) struct Life {
    pub of: Incarnation,
    pub spec: Rc<ContainerSpec>,
    pub log: Rc<LogFile>,
    pub shared: Rc<Shared>,
}

impl Life {
    /// Says what happens as it happens; after the last fact nothing of this incarnation is left.
    pub(crate) async fn run(self, orders: oneshot::Receiver<Order>) {
        let last = match self.live(orders).await {
            Ok(last) => last,
            Err(fault) => {
                self.log.end(Stream::Stdout, timestamp());
                Input::LaunchFailed { of: self.of, fault: diagnosis::of_launch(&self.spec, fault) }
            }
        };
        self.shared.lives.borrow_mut().remove(&self.of);
        self.say(last).await;
    }

    async fn live(&self, orders: oneshot::Receiver<Order>) -> Result<Input, Fault> {
        let of = self.of;
        let pipe = || {
            pipe_with(PipeFlags::CLOEXEC)
                .map_err(|error| Fault::StartFailed { doing: "making pipes".into(), reason: error.to_string() })
        };
        let ((out, stdout), (err, stderr)) = (pipe()?, pipe()?);
        let created = self.shared.machine.create(&self.spec, Output { stdout, stderr }).await?;
        self.say(Input::Created { of }).await;
        match orders.await {
            Ok(Order::Start) => {}
            Ok(Order::Discard) | Err(_) => {
                created.discard().await;
                return Ok(Input::Discarded { of });
            }
        }
        self.log.clear_tail();
        let mut pumps = vec![self.pump(out, Stream::Stdout), self.pump(err, Stream::Stderr)];
        let process: Rc<dyn Process> = Rc::from(created.start().await?);
        if let Some(terminal) = process.take_terminal() {
            pumps.push(self.pump(terminal, Stream::Stdout));
        }
        if let Some(handle) = self.shared.lives.borrow_mut().get_mut(&of) {
            handle.process = Some(Rc::clone(&process));
        }
        self.say(Input::Started { of, pid: process.pid() }).await;

        let exit = process.wait().await;
        for mut pump in pumps {
            if timeout(LAST_WORDS, &mut pump).await.is_err() {
                pump.abort();
            }
        }
        let log_tail = self.log.tail();
        let facts = EndFacts {
            pids_limit_hit: process.usage().pids_refused.is_some_and(|refused| refused > 0),
            listeners: if exit.success() { Vec::new() } else { self.shared.listeners() },
            hidden: diagnosis::hidden_in(&self.spec, &log_tail),
            log_tail,
        };
        process.remove().await;
        Ok(Input::Ended { of, exit, facts })
    }

    async fn say(&self, input: Input) {
        // The loop may be over: then nobody needs to know.
        let _ = self.shared.inputs.send(input).await;
    }

    /// Carries a stream into the log until it ends, whatever anyone else does.
    fn pump(&self, from: OwnedFd, stream: Stream) -> JoinHandle<()> {
        let log = Rc::clone(&self.log);
        tokio::task::spawn_local(async move {
            if let Err(error) = pump(from, stream, &log).await {
                tracing::warn!(%error, "a container's output broke off");
            }
            log.end(stream, timestamp());
        })
    }
}

async fn pump(from: OwnedFd, stream: Stream, log: &LogFile) -> std::io::Result<()> {
    let from = watched(from, Interest::READABLE)?;
    loop {
        let mut ready = from.readable().await?;
        let more = BUFFER.with_borrow_mut(|buffer| match rustix::io::read(from.get_ref(), &mut buffer[..]) {
            // A terminal's master says EIO when the last process has closed the other side.
            Ok(0) | Err(rustix::io::Errno::IO) => Ok(false),
            Ok(got) => {
                log.print(stream, &buffer[..got], timestamp());
                Ok(true)
            }
            Err(rustix::io::Errno::AGAIN) => {
                ready.clear_ready();
                Ok(true)
            }
            Err(rustix::io::Errno::INTR) => Ok(true),
            Err(error) => Err(std::io::Error::from(error)),
        })?;
        if !more {
            return Ok(());
        }
        drop(ready);
    }
}

thread_local! {
    /// One for all streams: nothing awaits while it is in use.
    static BUFFER: std::cell::RefCell<Box<[u8]>> = std::cell::RefCell::new(vec![0; 64 << 10].into());
}

impl Shared {
    /// Runs one check in the background and says how it went.
    pub(crate) fn probe(self: &Rc<Self>, spec: &InstanceSpec, of: Incarnation, gate: Gate, port: Option<u16>) {
        let shared = Rc::clone(self);
        let name = self.lives.borrow().get(&of).map(|handle| handle.container.clone());
        let found = name.and_then(|name| {
            let (kind, probe) = asked(spec.container(&name)?, gate)?;
            Some((kind, probe.clone()))
        });
        let (Some((kind, probe)), Some(process)) = (found, self.process(of)) else { return };
        tokio::task::spawn_local(async move {
            let asked = Asked { kind, check: &probe.check, port, timeout_ms: probe.timeout_ms };
            let result = shared.machine.check(process, asked).await;
            let _ = shared.inputs.send(Input::Probed { of, gate, result }).await;
        });
    }
}

fn asked(spec: &ContainerSpec, gate: Gate) -> Option<(ProbeKind, &Probe)> {
    match gate {
        Gate::Port => None,
        Gate::Startup => Some((ProbeKind::Startup, spec.startup.as_ref()?)),
        Gate::Readiness => Some((ProbeKind::Readiness, spec.readiness.as_ref()?)),
        Gate::Liveness => Some((ProbeKind::Liveness, spec.liveness.as_ref()?)),
    }
}
