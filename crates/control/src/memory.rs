//! What the reconciler remembers of one app between two looks: steps under way, back-offs, the age of a rollout.
//! Nothing here outlives the process; a new process finds out again from the facts.

use std::collections::{BTreeMap, BTreeSet};

use pillion_engine::{Observed, ObservedInstance};
use pillion_fault::Diagnosis;
use pillion_model::{AppName, ContainerPhase, ContainerStatus, InstanceId, InstancePhase, RevisionNumber};

use crate::{
    decide::{Because, DAY_MS, Desired, RolloutSeen, Seen, alive},
    diagnosis::proven,
    record::Intent,
};

/// How long an instance that the engine says it has started may stay unseen before it counts as lost.
const UNSEEN_MS: u64 = 10_000;
/// After so long without a failure the next one starts the back-off from its beginning.
const CALM_MS: u64 = 60_000;
const BACKOFF_FIRST_MS: u64 = 200;
const BACKOFF_MAX_MS: u64 = 60_000;

/// Names a step for as long as it is under way: no second one of the same name starts meanwhile.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Key {
    Prepare(RevisionNumber),
    Start(InstanceId),
    Update(InstanceId),
    Drain(InstanceId),
    Stop(InstanceId),
    Verdict(RevisionNumber),
    Forget,
}

#[derive(Debug, Default)]
pub(crate) struct Memory {
    pub(crate) underway: BTreeSet<Key>,
    /// Steps that failed: how often in a row, and when they may be tried again.
    pub(crate) penalties: BTreeMap<Key, (u32, u64)>,
    /// Asked for and not seen yet; the time since the engine said yes.
    starting: BTreeMap<InstanceId, (RevisionNumber, Option<u64>)>,
    /// Changed in place and not seen as changed yet; likewise.
    updating: BTreeMap<InstanceId, (RevisionNumber, Option<u64>)>,
    draining: BTreeMap<InstanceId, Because>,
    drained: BTreeMap<InstanceId, Because>,
    /// Ends that we asked for.
    stopping: BTreeSet<InstanceId>,
    known: BTreeMap<InstanceId, RevisionNumber>,
    /// Since when each instance has been well, and with which processes.
    steady: BTreeMap<InstanceId, (u64, Vec<i32>)>,
    unready: BTreeMap<InstanceId, u64>,
    replaced: Vec<u64>,
    rollout_of: Option<RevisionNumber>,
    rollout: RolloutSeen,
    rollout_proven: usize,
    failures: u32,
    last_failure: u64,
    not_before: u64,
    /// Why the last attempt to start an instance of the current revision failed.
    pub(crate) start_refused: Option<Diagnosis>,
    /// The current revision's images are to be made present again before the next start.
    unprepared: bool,
    /// Each instance's place among the app's instances.
    places: BTreeMap<InstanceId, u32>,
    /// The highest event serial of each instance that is in the store.
    pub(crate) events_stored: BTreeMap<InstanceId, u64>,
}

impl Memory {
    /// Takes in what is seen now. `chance` (0..1) spreads retries.
    pub(crate) fn look(&mut self, app: &AppName, desired: &Desired, observed: &Observed, now: u64, chance: f64) {
        let seen: BTreeMap<&InstanceId, &ObservedInstance> =
            observed.instances.iter().filter(|(_, one)| one.app == *app).collect();
        if !observed.complete {
            return;
        }
        let current = desired.current;
        let target = desired.target.as_ref().map(|target| target.revision);
        // The deadline of a rollout does not run while the app is stopped.
        if self.rollout_of != target || desired.intent != Intent::Run {
            (self.rollout_of, self.rollout, self.rollout_proven) = (target, RolloutSeen::default(), 0);
        }
        self.starting.retain(|id, _| !seen.contains_key(id));
        let unseen: Vec<_> = self
            .starting
            .iter()
            .filter(|(_, (_, since))| since.is_some_and(|since| now >= since + UNSEEN_MS))
            .map(|(id, (revision, _))| (id.clone(), *revision))
            .collect();
        for (id, revision) in unseen {
            self.starting.remove(&id);
            self.failed(revision, current, target, now, chance);
        }
        self.updating.retain(|id, (revision, since)| {
            seen.get(id).is_some_and(|one| one.status.revision != *revision) && since.is_none_or(|since| now < since + UNSEEN_MS)
        });
        let gone: Vec<_> =
            self.known.iter().filter(|(id, _)| !seen.contains_key(id)).map(|(id, revision)| (id.clone(), *revision)).collect();
        for (id, revision) in gone {
            if !self.stopping.contains(&id) {
                self.failed(revision, current, target, now, chance);
            }
        }
        self.known = seen.iter().map(|(id, one)| ((*id).clone(), one.status.revision)).collect();
        for leaving in [&mut self.draining, &mut self.drained] {
            leaving.retain(|id, _| seen.contains_key(id));
        }
        self.stopping.retain(|id| seen.contains_key(id));
        self.steady.retain(|id, _| seen.get(id).is_some_and(|one| proven(one, None)));
        for (id, one) in seen.iter().filter(|(_, one)| proven(one, None)) {
            let processes = processes(one);
            let entry = self.steady.entry((*id).clone()).or_insert_with(|| (now, processes.clone()));
            if entry.1 != processes {
                *entry = (now, processes);
            }
        }
        let unready = |one: &ObservedInstance| matches!(one.status.phase, InstancePhase::Unready);
        self.unready.retain(|id, _| seen.get(id).is_some_and(|one| unready(one)));
        for (id, _) in seen.iter().filter(|(_, one)| unready(one)) {
            self.unready.entry((*id).clone()).or_insert(now);
        }
        self.replaced.retain(|at| now < at + DAY_MS);
        self.places.retain(|id, _| seen.contains_key(id) || self.starting.contains_key(id));
        self.events_stored.retain(|id, _| seen.contains_key(id));
        if seen.values().any(|one| matches!(one.status.phase, InstancePhase::Ready) && Some(one.status.revision) == current) {
            self.start_refused = None;
            if now >= self.last_failure + CALM_MS {
                self.failures = 0;
            }
        }
        if let Some(target) = target {
            let of_target = || seen.values().filter(|one| one.status.revision == target && alive(one));
            let ready = of_target().filter(|one| proven(one, None)).count();
            let begun = of_target().next().is_some() || self.starting.values().any(|(revision, _)| *revision == target);
            if begun && (self.rollout.since.is_none() || ready > self.rollout_proven) {
                self.rollout.since = Some(now);
            }
            self.rollout_proven = self.rollout_proven.max(ready);
        }
        self.penalties.retain(|_, (_, until)| now < *until + CALM_MS);
    }

    /// Gives what `decide` needs to know.
    pub(crate) fn seen<'a>(&self, app: &AppName, observed: &'a Observed) -> Seen<'a> {
        Seen {
            complete: observed.complete,
            instances: observed.instances.values().filter(|one| one.app == *app).collect(),
            starting: self.starting.iter().map(|(id, (revision, _))| (id.clone(), *revision)).collect(),
            updating: self.updating.keys().cloned().collect(),
            draining: self.draining.clone(),
            drained: self.drained.clone(),
            steady: self.steady.iter().map(|(id, (since, _))| (id.clone(), *since)).collect(),
            unready: self.unready.clone(),
            replaced: self.replaced.clone(),
            rollout: self.rollout.clone(),
            not_before: self.not_before,
            unprepared: self.unprepared,
        }
    }

    /// Returns when something that was asked for, and is not seen yet, counts as lost.
    pub(crate) fn wake_at(&self) -> Option<u64> {
        self.starting.values().chain(self.updating.values()).filter_map(|(_, since)| since.map(|since| since + UNSEEN_MS)).min()
    }

    /// Says whether a step may be begun.
    ///
    /// # Errors
    /// The time at which its penalty ends, or none where it is under way.
    pub(crate) fn may(&self, key: &Key, now: u64) -> Result<(), Option<u64>> {
        if self.underway.contains(key) {
            return Err(None);
        }
        match self.penalties.get(key) {
            Some((_, until)) if now < *until => Err(Some(*until)),
            Some(_) | None => Ok(()),
        }
    }

    pub(crate) fn starts(&mut self, id: &InstanceId, revision: RevisionNumber) -> u32 {
        let taken: BTreeSet<u32> = self.places.values().copied().collect();
        let place = (0..).find(|place| !taken.contains(place)).unwrap_or(0);
        self.starting.insert(id.clone(), (revision, None));
        self.places.insert(id.clone(), place);
        place
    }

    pub(crate) fn updates(&mut self, id: &InstanceId, revision: RevisionNumber) -> u32 {
        self.updating.insert(id.clone(), (revision, None));
        self.places.get(id).copied().unwrap_or(0)
    }

    /// An instance is replaced because it was unready for long.
    pub(crate) fn replaced(&mut self, now: u64) {
        self.replaced.push(now);
    }

    pub(crate) fn drains(&mut self, id: &InstanceId, because: Because) {
        self.draining.insert(id.clone(), because);
    }

    /// Gives the instances that have requests under way and get no more.
    pub(crate) fn draining(&self) -> impl Iterator<Item = &InstanceId> {
        self.draining.keys()
    }

    pub(crate) fn stops(&mut self, id: &InstanceId) {
        self.stopping.insert(id.clone());
    }

    /// Takes in how a step ended.
    pub(crate) fn done(&mut self, key: Key, result: Result<(), Diagnosis>, now: u64, chance: f64) {
        self.underway.remove(&key);
        let Err(diagnosis) = result else {
            self.penalties.remove(&key);
            match key {
                Key::Start(id) => {
                    if let Some((_, since)) = self.starting.get_mut(&id) {
                        *since = Some(now);
                    }
                }
                Key::Update(id) => {
                    if let Some((_, since)) = self.updating.get_mut(&id) {
                        *since = Some(now);
                    }
                }
                Key::Drain(id) => {
                    if let Some(because) = self.draining.remove(&id) {
                        self.drained.insert(id, because);
                    }
                }
                Key::Prepare(_) => self.unprepared = false,
                Key::Stop(_) | Key::Verdict(_) | Key::Forget => {}
            }
            return;
        };
        match &key {
            Key::Start(id) => {
                if let Some((revision, _)) = self.starting.remove(id) {
                    self.refused(revision, diagnosis, now, chance);
                }
            }
            Key::Update(id) => {
                if let Some((revision, _)) = self.updating.remove(id) {
                    self.refused(revision, diagnosis, now, chance);
                }
                self.punish(key, now, chance);
            }
            Key::Prepare(revision) => {
                if self.rollout_of == Some(*revision) {
                    self.rollout.refused = Some(diagnosis);
                } else {
                    self.start_refused = Some(diagnosis);
                }
                self.punish(key, now, chance);
            }
            Key::Drain(_) | Key::Stop(_) | Key::Verdict(_) | Key::Forget => self.punish(key, now, chance),
        }
    }

    /// An instance that we are about to stop had failed by itself.
    pub(crate) fn broke(&mut self, revision: RevisionNumber, desired: &Desired, now: u64, chance: f64) {
        self.failed(revision, desired.current, desired.target.as_ref().map(|target| target.revision), now, chance);
    }

    fn refused(&mut self, revision: RevisionNumber, diagnosis: Diagnosis, now: u64, chance: f64) {
        let rolling = self.rollout_of == Some(revision);
        if rolling && (diagnosis.fault.is_certain() || self.rollout.attempts + 1 >= crate::decide::FAILED_ATTEMPTS) {
            self.rollout.refused = Some(diagnosis);
        } else if rolling {
            self.failed(revision, None, Some(revision), now, chance);
        } else {
            self.start_refused = Some(diagnosis);
            self.unprepared = true;
            self.failed(revision, Some(revision), None, now, chance);
        }
    }

    fn failed(
        &mut self,
        revision: RevisionNumber,
        current: Option<RevisionNumber>,
        target: Option<RevisionNumber>,
        now: u64,
        chance: f64,
    ) {
        if target == Some(revision) {
            self.rollout.attempts += 1;
            self.rollout.not_before = now + backoff(self.rollout.attempts, chance);
        } else if current == Some(revision) {
            self.failures += 1;
            self.last_failure = now;
            self.not_before = now + backoff(self.failures, chance);
        }
    }

    fn punish(&mut self, key: Key, now: u64, chance: f64) {
        let (count, until) = self.penalties.entry(key).or_insert((0, 0));
        *count += 1;
        *until = now + backoff(*count, chance);
    }
}

fn processes(one: &ObservedInstance) -> Vec<i32> {
    let pid = |status: &ContainerStatus| match status.phase {
        ContainerPhase::Running { pid, .. } => Some(pid),
        ContainerPhase::Waiting { .. }
        | ContainerPhase::Starting
        | ContainerPhase::BackOff { .. }
        | ContainerPhase::Completed
        | ContainerPhase::Failed { .. }
        | ContainerPhase::Stopped => None,
    };
    one.status.containers.iter().filter_map(pid).collect()
}

/// 200 ms, doubled each time up to a minute; `chance` takes up to half of it away, so that many do not retry at once.
fn backoff(count: u32, chance: f64) -> u64 {
    let full = BACKOFF_FIRST_MS.saturating_mul(1 << count.saturating_sub(1).min(20)).min(BACKOFF_MAX_MS);
    full - (full as f64 * 0.5 * chance.clamp(0.0, 1.0)) as u64
}
