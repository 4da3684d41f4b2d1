//! Logging in: from what somebody shows to the tokens they are given.

use std::{sync::Arc, time::Duration};

use pillion_store::{AuditEntry, Batch, Expect, Kind};
use serde::Serialize;

use crate::{
    Audience, DeviceCode, Identity, IdentityError, LoginError, Principal, PrincipalKind, chance,
    device::Answer,
    principal::Record,
    proof::{Proof, ServerKey},
    session::{self, Session},
    token::{AccessClaims, TokenType},
    unbroken::unbroken,
};

/// How long an access token is good.
pub const TOKEN_LIFETIME: Duration = Duration::from_secs(3600);

/// A token to call with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessToken {
    pub token: String,
    /// Seconds.
    pub expires_in: u64,
}

/// What an id token says; the names are OpenID Connect's and Azure's.
#[derive(Serialize)]
struct IdClaims<'a> {
    iss: &'a str,
    aud: &'a str,
    tid: &'a str,
    sub: &'a str,
    oid: &'a str,
    preferred_username: &'a str,
    upn: &'a str,
    name: &'a str,
    iat: u64,
    nbf: u64,
    exp: u64,
}

impl Identity {
    /// Checks a service principal's secret. `who` is its id or name; `address` is where the login came from.
    ///
    /// # Errors
    /// `Client` where it is wrong or there is no such principal, `Throttled` after too many failures.
    pub async fn log_in_service(&self, who: &str, secret: &str, address: &str) -> Result<Principal, LoginError> {
        self.log_in(who, secret, address, PrincipalKind::Service, LoginError::Client).await
    }

    /// Checks a user's password.
    ///
    /// # Errors
    /// `User` where it is wrong or there is no such user, `Throttled` after too many failures.
    pub async fn log_in_user(&self, who: &str, password: &str, address: &str) -> Result<Principal, LoginError> {
        self.log_in(who, password, address, PrincipalKind::User, LoginError::User).await
    }

    /// Begins a login that somebody at the machine has to approve.
    pub fn begin_device_login(&self) -> DeviceCode {
        self.inner.waiting.begin(self.now_ms())
    }

    /// Asks what became of it.
    ///
    /// # Errors
    /// `Pending`, `SlowDown`, `DeviceCode`.
    pub async fn ask_device_login(&self, device_code: &str, address: &str) -> Result<Principal, LoginError> {
        match self.inner.waiting.ask(device_code, self.now_ms()) {
            Answer::Pending => Err(LoginError::Pending),
            Answer::SlowDown => Err(LoginError::SlowDown),
            Answer::Gone => Err(LoginError::DeviceCode),
            Answer::Approved { principal } => {
                let record = self.active(&principal).ok_or(LoginError::DeviceCode)?;
                self.write_login(&record.principal, address, "device code").await?;
                Ok(record.principal.clone())
            }
        }
    }

    /// Renews a login. The refresh token stays good: programs that share one would otherwise log each other out.
    ///
    /// # Errors
    /// `Refresh`.
    pub async fn refresh(&self, token: &str) -> Result<Principal, LoginError> {
        let now_ms = self.now_ms();
        let key = self.inner.key.fingerprint(token);
        let session = self.sessions().get(&key).cloned().filter(|session| !session.is_over(now_ms));
        let session = session.ok_or(LoginError::Refresh)?;
        let record = self.active(&session.principal).ok_or(LoginError::Refresh)?;
        if session.is_stale(now_ms) {
            let used = Session { used_ms: now_ms, ..session };
            let batch = Batch::new().put(Kind::Session, &key, &used, Expect::Anything);
            self.inner.store.commit(batch).await.map_err(IdentityError::store("write a login"))?;
            self.sessions_mut().insert(key, used);
        }
        Ok(record.principal.clone())
    }

    /// Makes an access token.
    ///
    /// # Errors
    /// There is no key to sign with, which only a damaged state has.
    pub fn issue(&self, principal: &Principal, audience: Audience) -> Result<AccessToken, IdentityError> {
        let now = self.now_ms() / 1000;
        let claims = AccessClaims {
            iss: self.issuer(),
            aud: audience.word().to_owned(),
            tid: self.tenant().to_owned(),
            sub: principal.id.clone(),
            oid: principal.id.clone(),
            appid: principal.id.clone(),
            iat: now,
            nbf: now,
            exp: now + TOKEN_LIFETIME.as_secs(),
            jti: chance::new_id(),
        };
        let key = self.inner.ring.newest().ok_or_else(|| IdentityError::Key("newest".to_owned()))?;
        Ok(AccessToken { token: key.sign(TokenType::Access, &claims), expires_in: TOKEN_LIFETIME.as_secs() })
    }

    /// Makes an id token for a client program.
    ///
    /// # Errors
    /// As [`Identity::issue`].
    pub fn issue_id(&self, principal: &Principal, issuer: &str, client: &str) -> Result<String, IdentityError> {
        let now = self.now_ms() / 1000;
        let claims = IdClaims {
            iss: issuer,
            aud: client,
            tid: self.tenant(),
            sub: &principal.id,
            oid: &principal.id,
            preferred_username: &principal.name,
            upn: &principal.name,
            name: &principal.name,
            iat: now,
            nbf: now,
            exp: now + TOKEN_LIFETIME.as_secs(),
        };
        let key = self.inner.ring.newest().ok_or_else(|| IdentityError::Key("newest".to_owned()))?;
        Ok(key.sign(TokenType::Id, &claims))
    }

    /// Begins a login that can be renewed; returns the refresh token, of which only a fingerprint is kept.
    ///
    /// # Errors
    /// The store cannot be written.
    pub async fn begin_session(&self, principal: &Principal) -> Result<String, IdentityError> {
        let now_ms = self.now_ms();
        let token = chance::secret();
        let key = self.inner.key.fingerprint(&token);
        let session = Session { principal: principal.id.clone(), began_ms: now_ms, used_ms: now_ms };
        let pushed = session::surplus(&self.sessions(), &principal.id);
        let batch = Batch::new().put(Kind::Session, &key, &session, Expect::Absent);
        let batch = pushed.iter().fold(batch, |batch, key| batch.delete(Kind::Session, key, Expect::Anything));
        let identity = self.clone();
        unbroken(async move {
            identity.inner.store.commit(batch).await.map_err(IdentityError::store("write a login"))?;
            let mut sessions = identity.sessions_mut();
            sessions.retain(|key, _| !pushed.contains(key));
            sessions.insert(key, session);
            Ok(token)
        })
        .await
    }

    async fn log_in(
        &self,
        who: &str,
        given: &str,
        address: &str,
        kind: PrincipalKind,
        wrong: LoginError,
    ) -> Result<Principal, LoginError> {
        // Who has to wait anyway need not queue for it.
        self.brake(who, address)?;
        let found = match kind {
            PrincipalKind::Service => self.try_secret(who, given, address),
            PrincipalKind::User => self.try_password(who, given, address).await?,
        };
        if let Some(record) = found {
            self.write_login(&record.principal, address, "secret").await?;
            return Ok(record.principal.clone());
        }
        let shown: String = who.chars().filter(|letter| !letter.is_control()).take(64).collect();
        let entry = AuditEntry {
            at_ms: self.now_ms(),
            principal: String::new(),
            caller: shown,
            action: "login".to_owned(),
            target: String::new(),
            status: 401,
            correlation: String::new(),
            detail: format!("A login from {address} was refused."),
        };
        self.write(Batch::new().audit(entry)).await?;
        Err(wrong)
    }

    fn brake(&self, who: &str, address: &str) -> Result<(), LoginError> {
        match self.inner.throttle.wait_ms(who, address, self.now_ms()) {
            Some(wait_ms) => Err(LoginError::Throttled { seconds: wait_ms.div_ceil(1000) }),
            None => Ok(()),
        }
    }

    /// Tries a service principal's secret, which is quick, and counts how it went.
    fn try_secret(&self, who: &str, given: &str, address: &str) -> Option<Arc<Record>> {
        let record = self.active_as(who, PrincipalKind::Service);
        let id = record.as_ref().map(|record| record.principal.id.clone()).unwrap_or_default();
        let proof = record.as_ref().and_then(|record| record.proof.clone());
        let known = proof.is_some();
        // A name that is unknown costs as much time as a secret that is wrong: time tells no names.
        let proof = proof.unwrap_or_else(|| Proof::of_secret(&self.inner.key, "", ""));
        let holds = proof.holds(&self.inner.key, &id, given) && known;
        self.count(holds, who, address);
        record.filter(|_| holds)
    }

    /// Tries a user's password, which is slow on purpose, and counts how it went.
    async fn try_password(&self, who: &str, given: &str, address: &str) -> Result<Option<Arc<Record>>, LoginError> {
        // Only a closed semaphore refuses, and this one is never closed.
        let Ok(turn) = self.inner.hashes.clone().acquire_owned().await else { return Ok(None) };
        // Those before in the queue were counted meanwhile: guessing at once is no quicker than one after the other.
        self.brake(who, address)?;
        let identity = self.clone();
        let (who, given, address) = (who.to_owned(), given.to_owned(), address.to_owned());
        let tried = tokio::task::spawn_blocking(move || {
            let record = identity.active_as(&who, PrincipalKind::User);
            let holds = holds_slowly(&identity.inner.key, record.as_deref(), &given);
            identity.count(holds, &who, &address);
            // Not before the attempt is counted, and not when the client hangs up: the job goes on without it.
            drop(turn);
            record.filter(|_| holds)
        });
        Ok(tried.await.unwrap_or(None))
    }

    fn count(&self, holds: bool, who: &str, address: &str) {
        if holds {
            self.inner.throttle.succeeded(who, address);
        } else {
            self.inner.throttle.failed(who, address, self.now_ms());
        }
    }

    fn active_as(&self, who: &str, kind: PrincipalKind) -> Option<Arc<Record>> {
        self.active(who).filter(|record| record.principal.kind == kind)
    }

    async fn write_login(&self, principal: &Principal, address: &str, by: &str) -> Result<(), IdentityError> {
        let entry = AuditEntry {
            at_ms: self.now_ms(),
            principal: principal.id.clone(),
            caller: principal.name.clone(),
            action: "login".to_owned(),
            target: String::new(),
            status: 200,
            correlation: String::new(),
            detail: format!("{} logged in from {address} by {by}.", principal.name),
        };
        self.write(Batch::new().audit(entry)).await
    }

    pub(crate) async fn write(&self, batch: Batch) -> Result<(), IdentityError> {
        self.inner.store.commit(batch).await.map(drop).map_err(IdentityError::store("write who did what"))
    }

    /// Finds somebody not revoked, by id or name.
    pub(crate) fn active(&self, who: &str) -> Option<Arc<Record>> {
        let principals = self.inner.principals.read().unwrap_or_else(|poisoned| poisoned.into_inner());
        let live = |record: &&Arc<Record>| record.principal.revoked_ms.is_none();
        let by_id = principals.get(&who.to_ascii_lowercase()).filter(live);
        by_id.or_else(|| principals.values().filter(live).find(|record| record.principal.name.eq_ignore_ascii_case(who))).cloned()
    }

    pub(crate) fn sessions(&self) -> std::sync::RwLockReadGuard<'_, std::collections::HashMap<String, Session>> {
        self.inner.sessions.read().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    pub(crate) fn sessions_mut(&self) -> std::sync::RwLockWriteGuard<'_, std::collections::HashMap<String, Session>> {
        self.inner.sessions.write().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

/// Tells whether this is the user's secret, always at the cost of one slow hash: time tells neither which names there are
/// nor whose secret the server made.
fn holds_slowly(key: &ServerKey, record: Option<&Record>, given: &str) -> bool {
    let known = record.and_then(|record| Some((&record.principal.id, record.proof.as_ref()?)));
    let Some((id, proof)) = known else {
        Proof::decoy().holds(key, "", given);
        return false;
    };
    if !proof.is_slow() {
        Proof::decoy().holds(key, id, given);
    }
    proof.holds(key, id, given)
}
