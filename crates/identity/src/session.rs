//! Logins that can be renewed: what is kept of refresh tokens.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

const DAY_MS: u64 = 24 * 3600 * 1000;
/// Without a renewal for so long, a login is over.
const IDLE_MS: u64 = 90 * DAY_MS;
/// Logins one principal can have; the one used longest ago goes.
const MOST: usize = 50;

/// A login, kept under its refresh token's fingerprint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Session {
    pub(crate) principal: String,
    pub(crate) began_ms: u64,
    pub(crate) used_ms: u64,
}

impl Session {
    pub(crate) fn is_over(&self, now_ms: u64) -> bool {
        now_ms.saturating_sub(self.used_ms) > IDLE_MS
    }

    /// Returns true if a use now is worth a write to the disk.
    pub(crate) fn is_stale(&self, now_ms: u64) -> bool {
        now_ms.saturating_sub(self.used_ms) > DAY_MS
    }
}

/// Returns the sessions that a new one of this principal pushes out.
pub(crate) fn surplus(sessions: &HashMap<String, Session>, principal: &str) -> Vec<String> {
    let mut own: Vec<(&String, u64)> = sessions
        .iter()
        .filter(|(_, session)| session.principal == principal)
        .map(|(key, session)| (key, session.used_ms))
        .collect();
    own.sort_by_key(|(_, used_ms)| *used_ms);
    let over = (own.len() + 1).saturating_sub(MOST);
    own.into_iter().take(over).map(|(key, _)| key.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_principal_has_so_many_logins_and_loses_the_oldest() {
        let session = |n: u64| Session { principal: "p".into(), began_ms: 0, used_ms: n };
        let mut sessions: HashMap<String, Session> = (0..MOST as u64).map(|n| (n.to_string(), session(n))).collect();
        assert_eq!(surplus(&sessions, "p"), ["0"]);
        sessions.remove("7");
        assert!(surplus(&sessions, "p").is_empty());
        assert!(surplus(&sessions, "q").is_empty());
    }
}
