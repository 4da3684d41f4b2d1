//! Logging in: from what somebody shows to the tokens they are given.

use std::{sync::Arc, time::Duration};

use pillion_store::{AuditEntry, Batch, Expect, Kind};
use serde::Serialize;

use crate::{
    Audience, DeviceCode, Identity, IdentityError, LoginError, Principal, PrincipalKind, chance,
    device::Answer,
    principal::Record,
    proof::Proof,
    session::{self, Session},
    token::{AccessClaims, TokenType},
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
        self.inner.store.commit(batch).await.map_err(IdentityError::store("write a login"))?;
        let mut sessions = self.sessions_mut();
        sessions.retain(|key, _| !pushed.contains(key));
        sessions.insert(key, session);
        Ok(token)
    }

    async fn log_in(
        &self,
        who: &str,
        given: &str,
        address: &str,
        kind: PrincipalKind,
        wrong: LoginError,
    ) -> Result<Principal, LoginError> {
        let now_ms = self.now_ms();
        if let Some(wait_ms) = self.inner.throttle.wait_ms(who, address, now_ms) {
            return Err(LoginError::Throttled { seconds: wait_ms.div_ceil(1000) });
        }
        let record = self.active(who).filter(|record| record.principal.kind == kind);
        if self.holds(record.clone(), given, kind).await
            && let Some(record) = record
        {
            self.inner.throttle.succeeded(who, address);
            self.write_login(&record.principal, address, "secret").await?;
            return Ok(record.principal.clone());
        }
        self.inner.throttle.failed(who, address, now_ms);
        let shown: String = who.chars().filter(|letter| !letter.is_control()).take(64).collect();
        let entry = AuditEntry {
            at_ms: now_ms,
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

    async fn holds(&self, record: Option<Arc<Record>>, given: &str, kind: PrincipalKind) -> bool {
        let proof = record.as_ref().and_then(|record| record.proof.clone());
        let id = record.map(|record| record.principal.id.clone()).unwrap_or_default();
        // A name that is unknown costs as much time as a password that is wrong: time tells no names.
        let decoy = || match kind {
            PrincipalKind::Service => Proof::of_secret(&self.inner.key, "", ""),
            PrincipalKind::User => Proof::decoy(),
        };
        let known = proof.is_some();
        let proof = proof.unwrap_or_else(decoy);
        if !proof.is_slow() {
            return proof.holds(&self.inner.key, &id, given) && known;
        }
        let Ok(_turn) = self.inner.hashes.acquire().await else { return false };
        let (inner, given) = (self.inner.clone(), given.to_owned());
        let holds = tokio::task::spawn_blocking(move || proof.holds(&inner.key, &id, &given)).await;
        holds.unwrap_or(false) && known
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
