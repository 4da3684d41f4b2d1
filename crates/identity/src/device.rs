//! Logins that wait for somebody at the machine to approve them (RFC 8628). In memory: they live for minutes.

use std::{collections::HashMap, sync::Mutex};

use crate::chance;

pub(crate) const LIFETIME_MS: u64 = 15 * 60_000;
/// Seconds between two questions.
pub(crate) const INTERVAL: u64 = 2;
/// Logins that may wait; beyond that the oldest goes.
const MOST: usize = 256;

/// What a client is told to show and to ask with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceCode {
    pub device_code: String,
    pub user_code: String,
    pub expires_in: u64,
    pub interval: u64,
}

/// What became of a waiting login.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Answer {
    Pending,
    /// It was asked again too soon.
    SlowDown,
    Approved {
        principal: String,
    },
    /// It never was, is over, or was used.
    Gone,
}

#[derive(Debug, Default)]
pub(crate) struct Waiting {
    logins: Mutex<HashMap<String, Login>>,
}

#[derive(Debug)]
struct Login {
    user_code: String,
    began_ms: u64,
    asked_ms: Option<u64>,
    approved: Option<String>,
}

impl Waiting {
    pub(crate) fn begin(&self, now_ms: u64) -> DeviceCode {
        let code = DeviceCode {
            device_code: chance::secret(),
            user_code: chance::user_code(),
            expires_in: LIFETIME_MS / 1000,
            interval: INTERVAL,
        };
        let mut logins = self.lock(now_ms);
        if logins.len() >= MOST {
            let oldest = logins.iter().min_by_key(|(_, login)| login.began_ms).map(|(code, _)| code.clone());
            oldest.and_then(|oldest| logins.remove(&oldest));
        }
        let login = Login { user_code: code.user_code.clone(), began_ms: now_ms, asked_ms: None, approved: None };
        logins.insert(code.device_code.clone(), login);
        code
    }

    /// Returns false if no login waits with this code. Case and the dash do not matter.
    pub(crate) fn approve(&self, user_code: &str, principal: &str, now_ms: u64) -> bool {
        let mut logins = self.lock(now_ms);
        let wanted = plain(user_code);
        let found = logins.values_mut().find(|login| login.approved.is_none() && plain(&login.user_code) == wanted);
        found.is_some_and(|login| {
            login.approved = Some(principal.to_owned());
            true
        })
    }

    /// An approved login is handed out once.
    pub(crate) fn ask(&self, device_code: &str, now_ms: u64) -> Answer {
        let mut logins = self.lock(now_ms);
        let Some(login) = logins.get_mut(device_code) else { return Answer::Gone };
        if login.approved.is_some() {
            let approved = logins.remove(device_code).and_then(|login| login.approved);
            return approved.map_or(Answer::Gone, |principal| Answer::Approved { principal });
        }
        // Half the interval: clients' clocks and schedulers are not exact.
        let soon = login.asked_ms.is_some_and(|asked| now_ms.saturating_sub(asked) < INTERVAL * 500);
        login.asked_ms = Some(now_ms);
        if soon { Answer::SlowDown } else { Answer::Pending }
    }

    fn lock(&self, now_ms: u64) -> std::sync::MutexGuard<'_, HashMap<String, Login>> {
        let mut logins = self.logins.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        logins.retain(|_, login| now_ms.saturating_sub(login.began_ms) < LIFETIME_MS);
        logins
    }
}

fn plain(code: &str) -> String {
    code.chars().filter(char::is_ascii_alphanumeric).map(|letter| letter.to_ascii_uppercase()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_waits_until_it_is_approved_and_is_handed_out_once() {
        let waiting = Waiting::default();
        let code = waiting.begin(0);
        assert_eq!(waiting.ask(&code.device_code, 0), Answer::Pending);
        assert_eq!(waiting.ask(&code.device_code, 10), Answer::SlowDown);
        assert!(!waiting.approve("ZZZZ-ZZZZ", "p", 10));
        assert!(waiting.approve(&code.user_code.to_lowercase().replace('-', " "), "p", 10));
        assert!(!waiting.approve(&code.user_code, "q", 10), "nobody takes over an approved login");
        assert_eq!(waiting.ask(&code.device_code, 20), Answer::Approved { principal: "p".into() });
        assert_eq!(waiting.ask(&code.device_code, 30), Answer::Gone);
    }

    #[test]
    fn a_login_does_not_wait_forever_and_not_in_any_number() {
        let waiting = Waiting::default();
        let first = waiting.begin(0);
        for n in 0..MOST as u64 {
            waiting.begin(1 + n);
        }
        assert_eq!(waiting.ask(&first.device_code, 300), Answer::Gone);
        let last = waiting.begin(400);
        assert_eq!(waiting.ask(&last.device_code, 400 + LIFETIME_MS), Answer::Gone);
        assert_eq!(waiting.lock(400 + LIFETIME_MS).len(), 0);
    }
}
