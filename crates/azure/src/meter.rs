//! Measuring: counters of the gateway and of control groups, one point a minute, kept for hours.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use pillion_model::AppName;
use tokio::sync::watch;

use crate::{Azure, service::wall_ms};

pub(crate) const EVERY: Duration = Duration::from_secs(20);
pub(crate) const MINUTE_MS: u64 = 60_000;
/// Points kept of an app: six hours.
const KEPT: usize = 360;

/// What the gateway has counted of one app since it began; a restart begins at nought.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TrafficCount {
    pub app: String,
    pub requests: u64,
    /// 2xx, 3xx, 4xx, 5xx.
    pub by_class: [u64; 4],
    pub response_usec: u64,
}

/// Whoever counts requests.
#[async_trait]
pub trait Traffic: Send + Sync + 'static {
    async fn counts(&self) -> Vec<TrafficCount>;
}

/// Gateways and containers outlive servers: at the first look, what they counted before is not of this minute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Look {
    First,
    Later,
}

/// What is known of one minute.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Point {
    pub(crate) minute: u64,
    pub(crate) samples: u32,
    pub(crate) cpu_seconds: f64,
    /// Sum over the samples.
    pub(crate) memory_bytes: f64,
    pub(crate) requests: f64,
    pub(crate) by_class: [f64; 4],
    pub(crate) response_seconds: f64,
}

#[derive(Default)]
pub(crate) struct Series {
    pub(crate) points: VecDeque<Point>,
    traffic: TrafficCount,
    /// CPU time of each container by instance and name.
    cpu_usec: BTreeMap<String, u64>,
}

/// All series.
#[derive(Default)]
pub(crate) struct Meter {
    all: Mutex<BTreeMap<AppName, Series>>,
}

impl Meter {
    pub(crate) fn lock(&self) -> MutexGuard<'_, BTreeMap<AppName, Series>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Azure {
    /// Measures until told to stop.
    pub async fn measure(self, traffic: Arc<dyn Traffic>, mut stop: watch::Receiver<bool>) {
        let mut pace = tokio::time::interval(EVERY);
        pace.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut look = Look::First;
        loop {
            // Both only wait.
            tokio::select! {
                _ = stop.wait_for(|&stop| stop) => return,
                _ = pace.tick() => {}
            }
            self.sample(traffic.counts().await, wall_ms(), look).await;
            look = Look::Later;
        }
    }

    async fn sample(&self, counts: Vec<TrafficCount>, now_ms: u64, look: Look) {
        let counts: BTreeMap<String, TrafficCount> = counts.into_iter().map(|count| (count.app.clone(), count)).collect();
        let apps: Vec<AppName> = self.shared.control.routes().borrow().apps.iter().map(|route| route.app.clone()).collect();
        let mut used = BTreeMap::new();
        for name in &apps {
            let Ok(app) = self.shared.control.resolve(name).await else { continue };
            self.shared.control.refresh(&app).await;
            let Ok(status) = self.shared.control.status(&app).await else { continue };
            let containers = status.instances.iter().flat_map(|one| {
                one.status
                    .containers
                    .iter()
                    .map(move |container| (format!("{}/{}", one.status.id, container.name), container.clone()))
            });
            used.insert(name.clone(), containers.collect::<Vec<_>>());
        }
        let mut all = self.shared.meter.lock();
        all.retain(|name, _| used.contains_key(name));
        for (name, containers) in used {
            let series = all.entry(name.clone()).or_default();
            let minute = now_ms / MINUTE_MS;
            if series.points.back().is_none_or(|last| last.minute < minute) {
                series.points.push_back(Point { minute, ..Point::default() });
                if series.points.len() > KEPT {
                    series.points.pop_front();
                }
            }
            let before = std::mem::take(&mut series.cpu_usec);
            let Some(point) = series.points.back_mut() else { continue };
            point.samples += 1;
            for (key, container) in containers {
                point.memory_bytes += container.memory_bytes.unwrap_or(0) as f64;
                if let Some(cpu) = container.cpu_usec {
                    // A container that is new has used what it has since it began.
                    if look == Look::Later {
                        point.cpu_seconds += since(cpu, before.get(&key).copied().unwrap_or(0)) / 1e6;
                    }
                    series.cpu_usec.insert(key, cpu);
                }
            }
            if let Some(count) = counts.get(name.as_str()) {
                let old = if look == Look::First { count } else { &series.traffic };
                point.requests += since(count.requests, old.requests);
                for (class, sum) in point.by_class.iter_mut().enumerate() {
                    *sum += since(count.by_class[class], old.by_class[class]);
                }
                point.response_seconds += since(count.response_usec, old.response_usec) / 1e6;
                series.traffic = count.clone();
            }
        }
    }
}

/// A counter that fell began anew.
fn since(now: u64, before: u64) -> f64 {
    (if now >= before { now - before } else { now }) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counter_that_fell_began_anew() {
        assert_eq!((since(10, 3), since(3, 10)), (7.0, 3.0));
    }
}
