//! The table in force, compiled for look-ups: host or app name → app → instances that take requests.

use std::{cell::Cell, collections::HashMap, sync::Arc};

use crate::{
    instance::{Instance, Lease},
    protocol::{AppState, SiteRoute},
    stats::AppCounters,
};

/// A compiled [`crate::protocol::RouteTable`]. Never changed, only replaced.
#[derive(Default)]
pub struct Routes {
    pub generation: u64,
    pub apps: HashMap<Box<str>, Arc<App>>,
    hosts: HashMap<Box<str>, Arc<App>>,
    /// Every instance of the table, draining ones too, by name.
    pub instances: HashMap<Box<str>, Arc<Instance>>,
}

/// One app of one table.
pub struct App {
    pub counters: Arc<AppCounters>,
    pub state: AppState,
    pub serving: Vec<Arc<Instance>>,
    pub site: Option<Box<SiteRoute>>,
}

/// The longest host name looked up: DNS allows 253 bytes.
const LONGEST_HOST: usize = 255;

impl Routes {
    pub fn new(generation: u64, apps: Vec<(Vec<String>, App)>, instances: HashMap<Box<str>, Arc<Instance>>) -> Self {
        let mut routes = Self { generation, instances, ..Self::default() };
        for (hosts, app) in apps {
            let app = Arc::new(app);
            for host in hosts {
                routes.hosts.insert(host.to_ascii_lowercase().into(), app.clone());
            }
            routes.apps.insert(app.counters.app.as_ref().into(), app);
        }
        routes
    }

    /// Finds an app by the value of a Host header: any case, with or without port and final dot.
    pub fn by_host(&self, host: &str) -> Option<&Arc<App>> {
        let name = name_of(host);
        let mut lower = [0; LONGEST_HOST];
        let lower = lower.get_mut(..name.len())?;
        lower.copy_from_slice(name.as_bytes());
        lower.make_ascii_lowercase();
        self.hosts.get(std::str::from_utf8(lower).ok()?)
    }
}

impl App {
    /// Picks the less loaded of two random instances and counts the request in; none if no instance takes requests.
    ///
    /// `avoid` are instances this request failed to reach.
    pub fn lease(&self, avoid: &[Arc<Instance>]) -> Option<Lease> {
        let all = &self.serving;
        let usable = |instance: &&Arc<Instance>| !avoid.iter().any(|avoided| Arc::ptr_eq(avoided, instance));
        let chosen = match all.len() {
            0 => return None,
            1 => &all[0],
            count => {
                let first = random(count);
                let second = (first + 1 + random(count - 1)) % count;
                if all[second].active() < all[first].active() { &all[second] } else { &all[first] }
            }
        };
        if let Some(lease) = Some(chosen).filter(usable).and_then(Instance::lease) {
            return Some(lease);
        }
        all.iter().filter(usable).find_map(Instance::lease)
    }
}

/// Cuts port and final dot from a host; IPv6 literals keep their brackets.
fn name_of(host: &str) -> &str {
    let name = match host.rfind(':') {
        Some(colon) if !host[colon..].contains(']') => &host[..colon],
        _ => host,
    };
    name.strip_suffix('.').unwrap_or(name)
}

/// A number below `bound`, from a generator per thread (xorshift64): it spreads load, nobody's secret hangs on it.
pub(crate) fn random(bound: usize) -> usize {
    thread_local!(static STATE: Cell<u64> = Cell::new({
        use std::hash::{BuildHasher, RandomState};
        RandomState::new().hash_one(0) | 1
    }));
    let number = STATE.with(|state| {
        let mut x = state.get();
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        state.set(x);
        x
    });
    ((number >> 32) as usize * bound) >> 32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn routes(hosts: &[&str]) -> Routes {
        let app = App { counters: Arc::new(AppCounters::new("shop")), state: AppState::Stopped, serving: Vec::new(), site: None };
        Routes::new(1, vec![(hosts.iter().map(|host| (*host).to_owned()).collect(), app)], HashMap::new())
    }

    #[test]
    fn a_host_is_found_in_any_case_with_port_or_final_dot() {
        let routes = routes(&["Shop.localhost", "[::1]"]);
        for host in ["shop.localhost", "SHOP.LocalHost:8080", "shop.localhost.", "shop.localhost.:80", "[::1]", "[::1]:8080"] {
            assert!(routes.by_host(host).is_some(), "{host}");
        }
        for host in ["", "localhost", "xshop.localhost", "shop.localhost..", &"a".repeat(300)] {
            assert!(routes.by_host(host).is_none(), "{host}");
        }
    }

    #[test]
    fn random_numbers_reach_every_place_and_none_beyond() {
        let mut seen = [0; 5];
        for _ in 0..5_000 {
            seen[random(5)] += 1;
        }
        assert!(seen.iter().all(|count| *count > 500), "{seen:?}");
    }
}
