//! [`Identity`]: the handle that everybody shares.

use std::{
    collections::HashMap,
    path::Path,
    sync::{Arc, RwLock},
    time::{SystemTime, UNIX_EPOCH},
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use pillion_store::{Batch, Document, Expect, Kind, Store};
use tokio::sync::{Mutex, Semaphore};

use crate::{
    Audience, AuthError, Caller, Certificates, IdentityError, chance,
    device::Waiting,
    principal::{self, Record},
    proof::{ServerKey, same},
    session::Session,
    signing::Ring,
    throttle::Throttle,
    token::{self, AccessClaims, TokenType},
};

/// Tells the time in milliseconds since the epoch.
pub type Clock = Arc<dyn Fn() -> u64 + Send + Sync>;

/// Slow hashes computed at once; further logins wait for their turn.
const HASHES: usize = 2;

/// Answers who somebody is; cheap to clone.
#[derive(Clone)]
pub struct Identity {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) store: Store,
    pub(crate) clock: Clock,
    pub(crate) tenant: String,
    pub(crate) subscription: String,
    pub(crate) certificates: Certificates,
    pub(crate) key: ServerKey,
    pub(crate) ring: Ring,
    pub(crate) principals: RwLock<HashMap<String, Arc<Record>>>,
    pub(crate) sessions: RwLock<HashMap<String, Session>>,
    pub(crate) throttle: Throttle,
    pub(crate) waiting: Waiting,
    pub(crate) hashes: Arc<Semaphore>,
    /// Held from looking at what is there until the change of it is stored.
    pub(crate) changing: Mutex<()>,
}

/// What `publishingcredentials/list` shows of a site or slot, and what its SCM pages accept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublishingCredential {
    /// `$shop`, or `$shop__staging` for a slot.
    pub user: String,
    pub password: String,
}

impl Identity {
    /// Reads what is stored, making at the first start what is missing: ids, keys, the certificate authority.
    ///
    /// # Errors
    /// The store or the files in `keys` cannot be read or written.
    pub async fn open(store: Store, keys: &Path) -> Result<Identity, IdentityError> {
        Identity::open_at(store, keys, Arc::new(wall_clock)).await
    }

    /// As [`Identity::open`], with another clock.
    pub async fn open_at(store: Store, keys: &Path, clock: Clock) -> Result<Identity, IdentityError> {
        let now_ms = clock();
        let certificates = Certificates::new(keys);
        certificates.authority(now_ms)?;
        let tenant = setting(&store, Kind::Setting, "tenant", chance::new_id).await?;
        let subscription = setting(&store, Kind::Setting, "subscription", chance::new_id).await?;
        let key = setting(&store, Kind::ServerKey, "server", chance::secret).await?;
        let ring = Ring::open(&store, now_ms).await?;
        let principals = principal::load(&store).await?;
        let sessions: Vec<Document<Session>> =
            store.documents(Kind::Session).await.map_err(IdentityError::store("read the logins"))?;
        Ok(Identity {
            inner: Arc::new(Inner {
                clock,
                tenant,
                subscription,
                certificates,
                key: ServerKey::new(key.as_bytes()),
                ring,
                principals: RwLock::new(principals.into_iter().map(|p| (p.principal.id.clone(), Arc::new(p))).collect()),
                sessions: RwLock::new(sessions.into_iter().map(|session| (session.key, session.body)).collect()),
                throttle: Throttle::default(),
                waiting: Waiting::default(),
                hashes: Arc::new(Semaphore::new(HASHES)),
                changing: Mutex::new(()),
                store,
            }),
        })
    }

    /// The id of the only tenant there is.
    pub fn tenant(&self) -> &str {
        &self.inner.tenant
    }

    /// The id of the only subscription there is.
    pub fn subscription(&self) -> &str {
        &self.inner.subscription
    }

    /// The machine's own certificates.
    pub fn certificates(&self) -> &Certificates {
        &self.inner.certificates
    }

    /// The time that tokens are judged by, in milliseconds since the epoch.
    pub fn now_ms(&self) -> u64 {
        (self.inner.clock)()
    }

    /// Checks an access token (without `Bearer`): signature, audience, expiry, and that its principal still is one. What
    /// the principal may do is looked up now, so a change of roles holds at once.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn authenticate(&self, bearer: &str, audience: Audience) -> Result<Caller, AuthError> {
        let mut found = None;
        let claims: AccessClaims = token::verify(bearer, TokenType::Access, |id| {
            found = self.inner.ring.find(id);
            found.as_deref()
        })?;
        if claims.iss != self.issuer() || claims.tid != self.inner.tenant {
            return Err(AuthError::Invalid);
        }
        let now = self.now_ms() / 1000;
        if claims.exp <= now {
            return Err(AuthError::Expired);
        }
        if claims.aud != audience.word() {
            return Err(AuthError::Audience);
        }
        let record = self.record(&claims.sub).filter(|record| record.principal.revoked_ms.is_none());
        let record = record.ok_or(AuthError::Unknown(claims.sub))?;
        Ok(Caller {
            principal: record.principal.id.clone(),
            display_name: record.principal.name.clone(),
            grants: record.principal.grants.clone(),
        })
    }

    /// Returns a site's publishing credential. It is derived, so nothing is stored: `name` is the site's, with
    /// `__` and the slot's for a slot; `epoch` is whatever changes when the password must (time of creation, resets).
    pub fn publishing(&self, name: &str, epoch: &str) -> PublishingCredential {
        let name = name.to_ascii_lowercase();
        let password = URL_SAFE_NO_PAD.encode(self.inner.key.derive("publishing", &[&name, epoch]));
        // A leading dash would read as an option.
        PublishingCredential { user: format!("${name}"), password: format!("p{password}") }
    }

    /// Checks a publishing credential given for a site, slowing down who guesses. `address` is where it came from. Returns
    /// the user's own name: what the client wrote may have anything before a `\`.
    ///
    /// # Errors
    /// `Credentials` or `Throttled`.
    pub fn check_publishing(&self, name: &str, epoch: &str, given: (&str, &str), address: &str) -> Result<String, AuthError> {
        let right = self.publishing(name, epoch);
        let now_ms = self.now_ms();
        if let Some(wait_ms) = self.inner.throttle.wait_ms(&right.user, address, now_ms) {
            return Err(AuthError::Throttled { seconds: wait_ms.div_ceil(1000) });
        }
        let (user, password) = given;
        // `shop\$shop` is how FTP programs write it.
        let user = user.rsplit('\\').next().unwrap_or(user);
        if user.eq_ignore_ascii_case(&right.user) && same(password.as_bytes(), right.password.as_bytes()) {
            self.inner.throttle.succeeded(&right.user, address);
            return Ok(right.user);
        }
        self.inner.throttle.failed(&right.user, address, now_ms);
        Err(AuthError::Credentials)
    }

    /// Derives a seed for a key of the server's own that is the same at every start.
    pub fn seed(&self, purpose: &str) -> [u8; 32] {
        self.inner.key.derive("seed", &[purpose])
    }

    pub(crate) fn issuer(&self) -> String {
        format!("pillion/{}", self.inner.tenant)
    }

    pub(crate) fn record(&self, id: &str) -> Option<Arc<Record>> {
        self.inner.principals.read().unwrap_or_else(|poisoned| poisoned.into_inner()).get(id).cloned()
    }
}

impl Audience {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Audience::Arm => "arm",
            Audience::Scm => "scm",
        }
    }
}

fn wall_clock() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// Reads a value that is made once, at the first start.
async fn setting(store: &Store, kind: Kind, key: &str, make: fn() -> String) -> Result<String, IdentityError> {
    let found: Option<Document<String>> =
        store.document(kind, key).await.map_err(IdentityError::store("read the server's own values"))?;
    if let Some(found) = found {
        return Ok(found.body);
    }
    let made = make();
    let batch = Batch::new().put(kind, key, &made, Expect::Absent);
    store.commit(batch).await.map_err(IdentityError::store("write the server's own values"))?;
    Ok(made)
}
