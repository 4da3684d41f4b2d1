//! The gateway's one shared state, and how a new table becomes the one in force.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, Mutex, PoisonError, atomic::AtomicUsize},
    time::Duration,
};

use arc_swap::ArcSwap;
use pillion_model::Cidr;
use tokio::sync::{Notify, watch};

use crate::{
    Limits,
    access_log::AccessLog,
    instance::Instance,
    protocol::{AppState, AppStats, RouteTable},
    routes::{App, Routes},
    stats::AppCounters,
    workers::Workers,
};

/// What every connection and the control socket share.
pub struct Gateway {
    pub limits: Limits,
    pub trusted_proxies: Vec<Cidr>,
    pub log: AccessLog,
    /// Why there is no log where one was asked for.
    pub unlogged: Option<String>,
    pub workers: Workers,
    pub routes: ArcSwap<Routes>,
    pub drained: Arc<Drained>,
    /// The generation in force; listeners wait here for the first table.
    pub generation: watch::Sender<u64>,
    /// Client connections open now.
    pub connections: AtomicUsize,
    /// Counters of all apps ever named, so that an app's come back with it.
    counters: Mutex<HashMap<Box<str>, Arc<AppCounters>>>,
    /// Taken while a table is put in force: two control connections can be open for a moment.
    swapping: Mutex<()>,
}

/// Counters kept for apps that are in no table.
const MOST_COUNTERS: usize = 10_000;

impl Gateway {
    pub fn new(
        limits: Limits,
        trusted_proxies: Vec<Cidr>,
        log: AccessLog,
        unlogged: Option<String>,
        workers: Workers,
    ) -> Arc<Self> {
        Arc::new(Self {
            limits,
            trusted_proxies,
            log,
            unlogged,
            workers,
            routes: ArcSwap::default(),
            drained: Arc::default(),
            generation: watch::Sender::new(0),
            connections: AtomicUsize::new(0),
            counters: Mutex::default(),
            swapping: Mutex::default(),
        })
    }

    /// Puts the table in force if its generation is higher, and returns the generation in force.
    pub fn apply(&self, table: RouteTable) -> u64 {
        let _one_at_a_time = self.swapping.lock().unwrap_or_else(PoisonError::into_inner);
        let old = self.routes.load_full();
        if table.generation <= old.generation {
            return old.generation;
        }
        let mut instances = HashMap::new();
        let mut leaving = Vec::new();
        let mut apps = Vec::with_capacity(table.apps.len());
        for route in table.apps {
            let mut serving = Vec::new();
            for at in &route.instances {
                let known = old.instances.get(at.instance.as_str());
                let instance = match known {
                    Some(known) if known.is_at(&at.gate, at.port) => known.clone(),
                    _ => Instance::new(&at.instance, &at.gate, at.port, self.limits.idle_per_instance, self.drained.clone()),
                };
                if at.draining {
                    leaving.push(instance.clone());
                } else {
                    self.drained.forget(&at.instance);
                    instance.serve();
                    serving.push(instance.clone());
                }
                instances.insert(at.instance.as_str().into(), instance);
            }
            let serving = match route.state {
                AppState::Serving { .. } => serving,
                AppState::Down { .. } | AppState::Stopped => Vec::new(),
            };
            let counters = self.counters_of(&route.app);
            apps.push((route.hosts, App { counters, state: route.state, serving, site: route.site.map(Box::new) }));
        }
        let generation = table.generation;
        let new = Arc::new(Routes::new(generation, apps, instances));
        self.routes.store(new.clone());
        // Only now, so that a request that finds its instance leaving also finds the table that says where to go.
        for instance in leaving {
            instance.leave();
        }
        for (name, instance) in &old.instances {
            match new.instances.get(name) {
                None => instance.leave(),
                Some(same) if Arc::ptr_eq(same, instance) => {}
                Some(_) => instance.leave_silently(),
            }
        }
        for app in new.apps.values().chain(old.apps.values()) {
            app.counters.changed.notify_waiters();
        }
        self.generation.send_replace(generation);
        generation
    }

    pub fn stats(&self) -> Vec<AppStats> {
        let mut stats: Vec<AppStats> = self.lock_counters().values().map(|counters| counters.snapshot()).collect();
        stats.sort_by(|a, b| a.app.cmp(&b.app));
        stats
    }

    /// Closes connections to instances that nobody used for a while; runs for the life of the process.
    pub async fn close_idle(self: Arc<Self>) {
        let limit = self.limits.upstream_idle;
        loop {
            tokio::time::sleep((limit / 4).max(Duration::from_millis(50))).await;
            for instance in self.routes.load().instances.values() {
                instance.close_idle(limit);
            }
        }
    }

    fn counters_of(&self, app: &str) -> Arc<AppCounters> {
        let mut counters = self.lock_counters();
        if let Some(known) = counters.get(app) {
            return known.clone();
        }
        if counters.len() >= MOST_COUNTERS {
            counters.retain(|_, counters| Arc::strong_count(counters) > 1);
        }
        let new = Arc::new(AppCounters::new(app));
        counters.insert(app.into(), new.clone());
        new
    }

    fn lock_counters(&self) -> std::sync::MutexGuard<'_, HashMap<Box<str>, Arc<AppCounters>>> {
        self.counters.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Drained instances that no `serve` has been told of yet: a set, so never longer than the instances that existed.
#[derive(Default)]
pub struct Drained {
    names: Mutex<BTreeSet<String>>,
    pub news: Notify,
}

/// Names kept while nobody asks; beyond it the first in order go, and `serve` learns of those by its own deadline.
const MOST_DRAINED: usize = 10_000;

impl Drained {
    pub fn push(&self, instance: String) {
        let mut names = self.lock();
        if names.len() >= MOST_DRAINED {
            names.pop_first();
        }
        names.insert(instance);
        drop(names);
        self.news.notify_one();
    }

    pub fn forget(&self, instance: &str) {
        self.lock().remove(instance);
    }

    /// Returns a name without taking it: it is taken once `serve` has it.
    pub fn first(&self) -> Option<String> {
        self.lock().first().cloned()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeSet<String>> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
