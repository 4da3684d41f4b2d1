//! The engine's calls, carried out on the script's state.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use futures::{StreamExt, stream::BoxStream};
use pillion_fault::{Diagnosis, Exit, Fault};
use pillion_model::{App, AppName, Check, ContainerPhase, ContainerStatus, InstanceId};
use tokio::sync::{mpsc, watch};

use super::{Call, Running, Scripted, digest, plain};
use crate::{
    Action, Engine, ExecInput, ExecOutput, ExecRequest, ExecSession, Instance, LogLine, LogQuery, Observed, Prepare, Prepared,
    Progress, Stream,
};

#[async_trait]
impl Engine for Scripted {
    async fn prepare(&self, what: Prepare, progress: mpsc::Sender<Progress>) -> Result<Prepared, Diagnosis> {
        let mut prepared = Prepared::default();
        {
            let mut state = self.called(Call::Prepare)?;
            state.users.extend(what.credentials.values().map(|credential| credential.username.clone()));
            for (name, container) in &what.definition.containers {
                if let Some(fault) = state.unpreparable.get(&container.image) {
                    return Err(Diagnosis { container: Some(name.to_string()), fault: fault.clone(), log_tail: Vec::new() });
                }
                prepared.images.insert(name.clone(), format!("{}@sha256:{:064x}", container.image, digest(&container.image)));
            }
            state.history.push(format!("prepare {} {}", what.app, what.revision));
        }
        for (name, container) in &what.definition.containers {
            let news = Progress::Resolving { container: name.clone(), image: container.image.clone() };
            drop(progress.send(news).await);
            let digest = prepared.images.get(name).cloned().unwrap_or_default();
            drop(progress.send(Progress::Pulled { container: name.clone(), digest, millis: 1 }).await);
        }
        Ok(prepared)
    }

    async fn start(&self, instance: Instance) -> Result<(), Diagnosis> {
        let mut state = self.called(Call::Start)?;
        if !state.running.contains_key(&instance.id) {
            let id = instance.id.clone();
            let definition = instance.definition.clone();
            let containers = definition
                .containers
                .iter()
                .map(|(name, container)| (name.clone(), state.start_container(name, container)))
                .collect();
            state.history.push(format!("start {} {}", instance.app, instance.revision));
            state
                .running
                .insert(id.clone(), Running { instance, containers, events: Vec::new(), failed: None, was_ready: false });
            for name in definition.containers.keys() {
                state.event(&id, Some(name.as_str()), "started", format!("{name} started"));
            }
        }
        self.publish(state);
        Ok(())
    }

    async fn update(&self, instance: Instance) -> Result<(), Diagnosis> {
        let mut state = self.called(Call::Update)?;
        let id = instance.id.clone();
        let Some(mut one) = state.running.remove(&id) else {
            return Err(plain(Fault::SupervisorLost { reason: "there is no such instance".into() }));
        };
        let (old, new): (Arc<App>, Arc<App>) = (one.instance.definition.clone(), instance.definition.clone());
        let mut replaced = Vec::new();
        one.containers.retain(|name, _| new.containers.contains_key(name));
        for (name, container) in &new.containers {
            let same = old.containers.get(name) == Some(container) && one.instance.env.get(name) == instance.env.get(name);
            if !same {
                one.containers.insert(name.clone(), state.start_container(name, container));
                replaced.push(name.clone());
            }
        }
        state.history.push(format!("update {} {}->{}", instance.app, one.instance.revision, instance.revision));
        one.instance = instance;
        state.running.insert(id.clone(), one);
        for name in replaced {
            state.event(&id, Some(name.as_str()), "replaced", format!("{name} replaced"));
            let restarts = state.running.get(&id).and_then(|one| one.containers.get(&name)).map_or(0, |status| status.restarts);
            for _ in 0..restarts {
                state.event(&id, Some(name.as_str()), "restarting", format!("{name} restarts"));
            }
        }
        self.publish(state);
        Ok(())
    }

    async fn act(&self, id: &InstanceId, container: Option<&str>, action: Action) -> Result<(), Diagnosis> {
        let mut state = self.called(Call::Act)?;
        let Some(one) = state.running.get(id) else {
            return Err(plain(Fault::SupervisorLost { reason: "there is no such instance".into() }));
        };
        let definition = one.instance.definition.clone();
        let mut acted = 0;
        for (name, what) in definition.containers.iter().filter(|(name, _)| container.is_none_or(|only| only == name.as_str())) {
            acted += 1;
            let stopped = state
                .running
                .get(id)
                .and_then(|one| one.containers.get(name))
                .is_none_or(|status| matches!(status.phase, ContainerPhase::Stopped | ContainerPhase::Completed));
            let fresh = match action {
                Action::Restart => Some(state.start_container(name, what)),
                Action::Start if stopped => Some(state.start_container(name, what)),
                Action::Start => None,
                Action::Stop => {
                    let mut status = state.start_container(name, what);
                    status.phase = ContainerPhase::Stopped;
                    Some(status)
                }
            };
            if let (Some(fresh), Some(one)) = (fresh, state.running.get_mut(id)) {
                let restarts = one.containers.get(name).map_or(0, |status| status.restarts);
                let count = restarts + u32::from(action == Action::Restart);
                one.containers.insert(name.clone(), ContainerStatus { restarts: count, ..fresh });
                state.event(id, Some(name.as_str()), "asked", format!("{action:?} of {name}"));
            }
        }
        if acted == 0 {
            return Err(plain(Fault::Internal {
                doing: "act on a container".into(),
                reason: "there is no such container".into(),
            }));
        }
        self.publish(state);
        Ok(())
    }

    async fn stop(&self, id: &InstanceId) -> Result<(), Diagnosis> {
        let mut state = self.called(Call::Stop)?;
        if let Some(one) = state.running.remove(id) {
            state.history.push(format!("stop {} {}", one.instance.app, one.instance.revision));
        }
        self.publish(state);
        Ok(())
    }

    async fn forget(&self, app: &AppName) -> Result<(), Diagnosis> {
        let mut state = self.called(Call::Forget)?;
        state.history.push(format!("forget {app}"));
        state.forgotten.insert(app.clone());
        Ok(())
    }

    fn observe(&self) -> watch::Receiver<Arc<Observed>> {
        self.facts.subscribe()
    }

    async fn logs(&self, query: LogQuery) -> Result<BoxStream<'static, LogLine>, Diagnosis> {
        let state = self.lock();
        let mut lines = Vec::new();
        for (id, one) in &state.running {
            let wanted = query.app.as_ref().is_none_or(|app| *app == one.instance.app)
                && query.instance.as_ref().is_none_or(|only| only == id);
            for name in
                one.containers.keys().filter(|name| wanted && query.container.as_deref().is_none_or(|only| only == name.as_str()))
            {
                lines.push(LogLine {
                    instance: id.clone(),
                    container: name.to_string(),
                    at_ms: 0,
                    stream: Stream::Stdout,
                    text: format!("hello from {name}"),
                });
            }
        }
        if let Some(tail) = query.tail {
            lines.drain(..lines.len().saturating_sub(tail));
        }
        let kept = futures::stream::iter(lines);
        Ok(if query.follow { kept.chain(futures::stream::pending()).boxed() } else { kept.boxed() })
    }

    async fn check(&self, id: &InstanceId, container: &str, _: &Check, _: Duration) -> Result<(), Diagnosis> {
        let mut state = self.called(Call::Check)?;
        let running = state.running.get(id).and_then(|one| one.containers.iter().find(|(name, _)| name.as_str() == container));
        if !running.is_some_and(|(_, status)| matches!(status.phase, ContainerPhase::Running { .. })) {
            return Err(plain(Fault::SupervisorLost { reason: "there is no such container".into() }));
        }
        state.history.push(format!("check {id}"));
        Ok(())
    }

    /// `echo WORDS` prints the words (`$NAME` from the request's environment) and ends with 0; `cat` repeats its input;
    /// everything else ends with 127.
    async fn exec(&self, id: &InstanceId, container: &str, exec: ExecRequest) -> Result<ExecSession, Diagnosis> {
        let known = self.lock().running.get(id).is_some_and(|one| one.containers.contains_key(container));
        if !known {
            return Err(plain(Fault::Internal { doing: "run a command".into(), reason: "there is no such container".into() }));
        }
        let (input, mut typed) = mpsc::channel(16);
        let (print, output) = mpsc::channel(16);
        tokio::spawn(async move {
            let code = match exec.argv.first().map(String::as_str) {
                Some("echo") => {
                    let variable = |word: &str| {
                        let name = word.strip_prefix('$')?;
                        exec.env.iter().find_map(|pair| pair.strip_prefix(name)?.strip_prefix('=').map(str::to_owned))
                    };
                    let words: Vec<_> =
                        exec.argv[1..].iter().map(|word| variable(word).unwrap_or_else(|| word.clone())).collect();
                    let words = words.join(" ") + "\n";
                    drop(print.send(ExecOutput::Stdout(words.into())).await);
                    0
                }
                Some("cat") => {
                    while let Some(ExecInput::Data(bytes)) = typed.recv().await {
                        drop(print.send(ExecOutput::Stdout(bytes)).await);
                    }
                    0
                }
                Some(_) | None => 127,
            };
            drop(print.send(ExecOutput::Exit(Exit::Code { code })).await);
        });
        Ok(ExecSession { input, output })
    }
}
