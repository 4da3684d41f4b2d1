//! The brake on guessing: who failed too often waits, and longer each time. Memory is bounded.

use std::{collections::HashMap, sync::Mutex};

/// Failures that cost nothing: people mistype.
const FREE: u32 = 5;
/// An address may have many people behind it (all of them, on loopback), so it is slowed later and less.
const FREE_OF_ADDRESS: u32 = 50;
const LONGEST_MS: u64 = 60_000;
const LONGEST_OF_ADDRESS_MS: u64 = 5_000;
/// Without failures for so long, all is forgotten.
const FORGET_MS: u64 = 15 * 60_000;
/// Entries kept. Beyond that the one that failed longest ago goes: a guesser who invents names for room in this table is
/// still counted by address.
const MOST: usize = 4096;

/// Counts failures by somebody from somewhere.
#[derive(Debug, Default)]
pub(crate) struct Throttle {
    entries: Mutex<HashMap<Key, Entry>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Key {
    Login { name: String, address: String },
    Address(String),
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    failures: u32,
    last_ms: u64,
}

impl Throttle {
    /// Returns how many milliseconds this login has to wait, if it has to.
    pub(crate) fn wait_ms(&self, name: &str, address: &str, now_ms: u64) -> Option<u64> {
        let entries = self.lock();
        keys(name, address)
            .iter()
            .filter_map(|key| {
                let entry = entries.get(key)?;
                let until = entry.last_ms + key.delay_ms(entry.failures);
                (until > now_ms).then(|| until - now_ms)
            })
            .max()
    }

    pub(crate) fn failed(&self, name: &str, address: &str, now_ms: u64) {
        let mut entries = self.lock();
        for key in keys(name, address) {
            if entries.len() >= MOST && !entries.contains_key(&key) {
                make_room(&mut entries, now_ms);
            }
            let entry = entries.entry(key).or_insert(Entry { failures: 0, last_ms: now_ms });
            let forgotten = now_ms.saturating_sub(entry.last_ms) > FORGET_MS;
            entry.failures = if forgotten { 1 } else { entry.failures.saturating_add(1) };
            entry.last_ms = now_ms;
        }
    }

    /// Forgets this login's failures; the address keeps its count, or one good login would free a guesser of others.
    pub(crate) fn succeeded(&self, name: &str, address: &str) {
        let [login, _] = keys(name, address);
        self.lock().remove(&login);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Key, Entry>> {
        self.entries.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl Key {
    fn delay_ms(&self, failures: u32) -> u64 {
        let (free, longest) = match self {
            Key::Login { .. } => (FREE, LONGEST_MS),
            Key::Address(_) => (FREE_OF_ADDRESS, LONGEST_OF_ADDRESS_MS),
        };
        match failures.checked_sub(free) {
            None | Some(0) => 0,
            Some(over) => (1000_u64 << (over - 1).min(16)).min(longest),
        }
    }
}

fn keys(name: &str, address: &str) -> [Key; 2] {
    // Whatever length a stranger sends, the table holds little of it.
    let name: String = name.chars().take(64).collect();
    [Key::Login { name: name.to_ascii_lowercase(), address: address.to_owned() }, Key::Address(address.to_owned())]
}

fn make_room(entries: &mut HashMap<Key, Entry>, now_ms: u64) {
    entries.retain(|_, entry| now_ms.saturating_sub(entry.last_ms) <= FORGET_MS);
    if entries.len() < MOST {
        return;
    }
    let oldest = entries.iter().filter(|(key, _)| matches!(key, Key::Login { .. })).min_by_key(|(_, entry)| entry.last_ms);
    let oldest = oldest.or_else(|| entries.iter().min_by_key(|(_, entry)| entry.last_ms)).map(|(key, _)| key.clone());
    if let Some(oldest) = oldest {
        entries.remove(&oldest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_failures_are_free_and_more_wait_longer_each_time() {
        let throttle = Throttle::default();
        for _ in 0..FREE {
            assert_eq!(throttle.wait_ms("p", "a", 0), None);
            throttle.failed("p", "a", 0);
        }
        let mut waits = Vec::new();
        for _ in 0..9 {
            throttle.failed("p", "a", 0);
            waits.push(throttle.wait_ms("P", "a", 0).unwrap());
        }
        assert_eq!(waits[..3], [1000, 2000, 4000]);
        assert_eq!(waits.last(), Some(&LONGEST_MS));
        assert_eq!(throttle.wait_ms("p", "a", LONGEST_MS), None, "waiting is enough");
        assert_eq!(throttle.wait_ms("p", "b", 0), None, "somebody elsewhere does not wait");
    }

    #[test]
    fn an_address_that_tries_many_names_waits_too() {
        let throttle = Throttle::default();
        for n in 0..=FREE_OF_ADDRESS {
            throttle.failed(&format!("p{n}"), "a", 0);
        }
        assert_eq!(throttle.wait_ms("fresh", "a", 0), Some(1000));
        throttle.succeeded("p1", "a");
        assert_eq!(throttle.wait_ms("fresh", "a", 0), Some(1000), "one good login frees no guesser");
    }

    #[test]
    fn success_and_time_forget() {
        let throttle = Throttle::default();
        for _ in 0..10 {
            throttle.failed("p", "a", 0);
        }
        throttle.succeeded("p", "a");
        assert_eq!(throttle.wait_ms("p", "a", 0), None);
        for _ in 0..10 {
            throttle.failed("q", "a", 0);
        }
        throttle.failed("q", "a", FORGET_MS + 1);
        assert_eq!(throttle.wait_ms("q", "a", FORGET_MS + 1), None);
    }

    #[test]
    fn memory_stays_bounded_whatever_names_come() {
        let throttle = Throttle::default();
        for n in 0..(MOST as u64 + 500) {
            throttle.failed(&format!("{n}{}", "x".repeat(1000)), "a", n);
        }
        let entries = throttle.lock();
        assert!(entries.len() <= MOST);
        assert!(entries.contains_key(&Key::Address("a".into())), "the address is still counted");
    }
}
