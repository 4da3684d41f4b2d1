//! What people ask for: another spec, restarts, stops and starts of containers, the end.

use std::rc::Rc;

use super::{
    Command, Effects, Instance, Intent, Ms, Refusal,
    container::{Container, Phase, Recycle, Wish},
};
use crate::{spec::InstanceSpec, status::EventKind};

impl Instance {
    pub(super) fn update(&mut self, spec: InstanceSpec, now: Ms) -> Result<(), Refusal> {
        self.accepts(&spec)?;
        for c in &mut self.containers {
            if !spec.containers.iter().any(|new| new.run.name == c.name()) {
                c.wish = Wish::Gone;
            }
        }
        for new in &spec.containers {
            match self.containers.iter_mut().find(|c| c.name() == new.run.name) {
                None => {
                    let mut added = Container::new(Rc::new(new.clone()), now);
                    added.replaced_by = Some(spec.generation);
                    self.containers.push(added);
                }
                Some(c) => {
                    let came_back = c.wish == Wish::Gone;
                    if came_back {
                        c.wish = Wish::Run;
                    }
                    if *c.spec != *new || came_back {
                        c.spec = Rc::new(new.clone());
                        c.recycle = Some(Recycle::Replaced);
                        c.replaced_by = Some(spec.generation);
                        c.ever_ready = false;
                    }
                }
            }
        }
        let place = |c: &Container| spec.containers.iter().position(|s| s.run.name == c.name()).unwrap_or(usize::MAX);
        self.containers.sort_by_key(place);
        self.spec = spec;
        self.revive();
        Ok(())
    }

    /// An instance that ended runs again; what had failed gets a new chance.
    fn revive(&mut self) {
        if !matches!(self.intent, Intent::Ended { .. }) {
            return;
        }
        self.intent = Intent::Run;
        for c in &mut self.containers {
            if c.recycle.is_none() && !matches!(c.phase, Phase::Completed) {
                c.recycle = Some(Recycle::Asked);
            }
        }
    }

    pub(super) fn restart(&mut self, name: Option<&str>, now: Ms) -> Result<(), Refusal> {
        if self.intent == Intent::Stopping {
            return Err(Refusal::Stopping);
        }
        match name {
            Some(name) => {
                let at = self.find_name(name)?;
                self.containers[at].ask_again(now);
            }
            // Run-once containers that are done stay done: once per instance.
            None => {
                for c in &mut self.containers {
                    if c.wish == Wish::Run && !matches!(c.phase, Phase::Completed) {
                        c.ask_again(now);
                    }
                }
            }
        }
        self.revive();
        Ok(())
    }

    pub(super) fn wish(&mut self, name: &str, wish: Wish, now: Ms) -> Result<(), Refusal> {
        if self.intent == Intent::Stopping {
            return Err(Refusal::Stopping);
        }
        let at = self.find_name(name)?;
        let c = &mut self.containers[at];
        if wish == Wish::Run && !c.alive() {
            c.ask_again(now);
        }
        c.wish = wish;
        if wish == Wish::Run {
            self.revive();
        }
        Ok(())
    }

    pub(super) fn stop(&mut self, fx: &mut Effects) {
        if self.intent != Intent::Stopping {
            self.intent = Intent::Stopping;
            fx.push(Command::Note { container: None, what: EventKind::StopRequested });
        }
    }

    fn find_name(&self, name: &str) -> Result<usize, Refusal> {
        self.containers
            .iter()
            .position(|c| c.name() == name && c.wish != Wish::Gone)
            .ok_or_else(|| Refusal::NoSuchContainer { name: name.into() })
    }
}
