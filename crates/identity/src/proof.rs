//! What is kept of a secret or password: enough to recognise it, not enough to use it.

use argon2::{Algorithm, Argon2, Params, Version};
use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};
use ring::hmac;
use serde::{Deserialize, Serialize};

use crate::chance;

/// OWASP's first choice for Argon2id: 19 MiB, two passes, one lane.
const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;

/// What a login is checked against.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "proof", rename_all_fields = "camelCase")]
pub(crate) enum Proof {
    /// A secret that this server made, of 256 random bits: nobody can search that space, so a slow hash would only let
    /// strangers burn the server's processor. HMAC-SHA256 with a key that never leaves the server.
    Secret { mac: String },
    /// A password that a person chose: Argon2id, salted, so that a stolen file gives up as few as possible.
    Password { salt: String, hash: String, memory_kib: u32, passes: u32 },
}

/// The server's own key for what it must recognise or derive again.
pub(crate) struct ServerKey(hmac::Key);

impl ServerKey {
    pub(crate) fn new(bytes: &[u8]) -> ServerKey {
        ServerKey(hmac::Key::new(hmac::HMAC_SHA256, bytes))
    }

    /// Derives 32 bytes that only this server can, for `purpose` and the parts.
    pub(crate) fn derive(&self, purpose: &str, parts: &[&str]) -> [u8; 32] {
        let mut context = hmac::Context::with_key(&self.0);
        // Every part with its length before it, so that no two lists give the same bytes.
        for part in std::iter::once(&purpose).chain(parts) {
            context.update(&(part.len() as u64).to_le_bytes());
            context.update(part.as_bytes());
        }
        let mut out = [0; 32];
        out.copy_from_slice(context.sign().as_ref());
        out
    }

    /// The name under which a random token is kept.
    pub(crate) fn fingerprint(&self, token: &str) -> String {
        STANDARD_NO_PAD.encode(self.derive("token", &[token]))
    }
}

impl Proof {
    pub(crate) fn of_secret(key: &ServerKey, principal: &str, secret: &str) -> Proof {
        Proof::Secret { mac: STANDARD_NO_PAD.encode(key.derive("secret", &[principal, secret])) }
    }

    /// Takes tens of milliseconds: not on a thread that answers others.
    pub(crate) fn of_password(password: &str) -> Proof {
        let salt: [u8; 16] = chance::bytes();
        let hash = argon(password, &salt, MEMORY_KIB, PASSES).unwrap_or_default();
        Proof::Password {
            salt: STANDARD_NO_PAD.encode(salt),
            hash: STANDARD_NO_PAD.encode(hash),
            memory_kib: MEMORY_KIB,
            passes: PASSES,
        }
    }

    /// What nothing fits, at the cost of a password.
    pub(crate) fn decoy() -> Proof {
        let salt = STANDARD_NO_PAD.encode([0; 16]);
        Proof::Password { salt, hash: String::new(), memory_kib: MEMORY_KIB, passes: PASSES }
    }

    /// Returns true if `given` is the secret. Takes as long whatever differs; tens of milliseconds for a password.
    pub(crate) fn holds(&self, key: &ServerKey, principal: &str, given: &str) -> bool {
        match self {
            Proof::Secret { mac } => {
                let made = STANDARD_NO_PAD.encode(key.derive("secret", &[principal, given]));
                same(made.as_bytes(), mac.as_bytes())
            }
            Proof::Password { salt, hash, memory_kib, passes } => {
                let Ok(salt) = STANDARD_NO_PAD.decode(salt) else { return false };
                argon(given, &salt, *memory_kib, *passes)
                    .is_some_and(|made| same(STANDARD_NO_PAD.encode(made).as_bytes(), hash.as_bytes()))
            }
        }
    }

    pub(crate) fn is_slow(&self) -> bool {
        match self {
            Proof::Secret { .. } => false,
            Proof::Password { .. } => true,
        }
    }
}

/// Compares without telling by its time where the first difference is.
pub(crate) fn same(left: &[u8], right: &[u8]) -> bool {
    left.len() == right.len() && left.iter().zip(right).fold(0, |all, (l, r)| all | (l ^ r)) == 0
}

fn argon(password: &str, salt: &[u8], memory_kib: u32, passes: u32) -> Option<[u8; 32]> {
    let params = Params::new(memory_kib, passes, 1, Some(32)).ok()?;
    let mut out = [0; 32];
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params).hash_password_into(password.as_bytes(), salt, &mut out).ok()?;
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proof_recognises_its_secret_only_and_holds_none() {
        let key = ServerKey::new(b"k");
        for proof in [Proof::of_secret(&key, "p", "right"), Proof::of_password("right")] {
            assert!(proof.holds(&key, "p", "right"));
            assert!(!proof.holds(&key, "p", "wrong"));
            assert!(!proof.holds(&key, "p", ""));
            assert!(!format!("{proof:?}").contains("right"));
        }
        let secret = Proof::of_secret(&key, "p", "right");
        assert!(!secret.holds(&key, "other", "right"), "a proof belongs to its principal");
        assert!(!secret.holds(&ServerKey::new(b"other"), "p", "right"), "and to its server");
    }

    #[test]
    fn derived_values_do_not_run_into_each_other() {
        let key = ServerKey::new(b"k");
        assert_ne!(key.derive("a", &["bc"]), key.derive("ab", &["c"]));
        assert_ne!(key.derive("a", &["b", "c"]), key.derive("a", &["bc"]));
    }
}
