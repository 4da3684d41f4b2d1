//! Making, listing and revoking principals, approving logins, and what has to be done now and then.

use std::sync::Arc;

use pillion_store::{AuditEntry, AuditRecord, Batch, Expect, Kind};

use crate::{
    Caller, Created, Identity, IdentityError, NewPrincipal, Principal, PrincipalError, Scope, chance,
    principal::{self, Record},
    proof::Proof,
    unbroken::unbroken,
};

impl Identity {
    /// Makes a principal; the secret is shown this once.
    ///
    /// # Errors
    /// The name or password is none, or the name is taken.
    pub async fn create(&self, by: &Caller, new: NewPrincipal) -> Result<Created, PrincipalError> {
        principal::check(&new)?;
        let (identity, by) = (self.clone(), by.clone());
        unbroken(async move { identity.create_checked(&by, new).await }).await
    }

    /// Lists all principals, revoked ones too, by name.
    pub fn principals(&self) -> Vec<Principal> {
        let principals = self.inner.principals.read().unwrap_or_else(|poisoned| poisoned.into_inner());
        let mut all: Vec<Principal> = principals.values().map(|record| record.principal.clone()).collect();
        all.sort_by(|a, b| (&a.name, a.created_ms).cmp(&(&b.name, b.created_ms)));
        all
    }

    /// Revokes a principal: its secret, its tokens and its logins are worth nothing from now on. Its record stays, so that
    /// the audit log's ids go on having a name.
    ///
    /// # Errors
    /// There is none such, or it was revoked before.
    pub async fn revoke(&self, by: &Caller, who: &str) -> Result<Principal, PrincipalError> {
        let (identity, by, who) = (self.clone(), by.clone(), who.to_owned());
        unbroken(async move { identity.revoke_unbroken(&by, &who).await }).await
    }

    /// Lets a login that waits with this code be one of `who`.
    ///
    /// # Errors
    /// There is no such principal, or no such login waits.
    pub async fn approve(&self, by: &Caller, user_code: &str, who: &str) -> Result<Principal, PrincipalError> {
        let record = self.active(who).ok_or_else(|| PrincipalError::Unknown(who.to_owned()))?;
        let principal = record.principal.clone();
        if !self.inner.waiting.approve(user_code, &principal.id, self.now_ms()) {
            return Err(PrincipalError::Code(user_code.to_owned()));
        }
        let entry =
            self.entry(by, "principals/approve", &principal, format!("A waiting login became one of {}.", principal.name));
        self.write(Batch::new().audit(entry)).await?;
        Ok(principal)
    }

    /// Makes a new key for tokens where that is due, and forgets logins that are over. For a timer.
    ///
    /// # Errors
    /// The store cannot be written.
    pub async fn maintain(&self) -> Result<(), IdentityError> {
        let now_ms = self.now_ms();
        if self.inner.ring.is_due(now_ms) {
            self.rotate_token_key().await?;
        }
        let over: Vec<String> =
            self.sessions().iter().filter(|(_, session)| session.is_over(now_ms)).map(|(key, _)| key.clone()).collect();
        if !over.is_empty() {
            let batch = over.iter().fold(Batch::new(), |batch, key| batch.delete(Kind::Session, key, Expect::Anything));
            self.inner.store.commit(batch).await.map_err(IdentityError::store("forget old logins"))?;
            self.sessions_mut().retain(|key, _| !over.contains(key));
        }
        Ok(())
    }

    /// Makes a new key for tokens; tokens signed with the one before stay good until they end.
    ///
    /// # Errors
    /// The store cannot be written.
    pub async fn rotate_token_key(&self) -> Result<(), IdentityError> {
        let inner = self.inner.clone();
        unbroken(async move {
            let _one = inner.changing.lock().await;
            inner.ring.rotate(&inner.store, (inner.clock)()).await
        })
        .await
    }

    /// Writes down what somebody did to the resource `target` where no change of the store goes with it.
    ///
    /// # Errors
    /// The store cannot be written.
    pub async fn note(&self, by: &Caller, action: &str, target: &str, status: u16, detail: String) -> Result<(), IdentityError> {
        let entry = AuditEntry {
            at_ms: self.now_ms(),
            principal: by.principal.clone(),
            caller: by.display_name.clone(),
            action: action.to_owned(),
            target: Scope::of_path(target).as_str().to_owned(),
            status,
            correlation: String::new(),
            detail,
        };
        self.write(Batch::new().audit(entry)).await
    }

    /// Reads up to `limit` audit records, newest first, about `target` (normalised) and what is below it; all where it is
    /// empty.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn audit(
        &self,
        target: &str,
        since_ms: u64,
        before: Option<u64>,
        limit: u32,
    ) -> Result<Vec<AuditRecord>, IdentityError> {
        let read = self.inner.store.audit(target, since_ms, before, limit).await;
        read.map_err(IdentityError::store("read the audit log"))
    }

    async fn create_checked(&self, by: &Caller, new: NewPrincipal) -> Result<Created, PrincipalError> {
        let id = chance::new_id();
        let (proof, secret) = match new.password {
            Some(password) => (self.password_proof(password).await, None),
            None => {
                let secret = chance::secret();
                (Proof::of_secret(&self.inner.key, &id, &secret), Some(secret))
            }
        };
        let _one = self.inner.changing.lock().await;
        if self.active(&new.name).is_some() {
            return Err(PrincipalError::Taken(new.name));
        }
        let now_ms = self.now_ms();
        let principal =
            Principal { id, name: new.name, kind: new.kind, grants: new.grants, created_ms: now_ms, revoked_ms: None };
        let roles: Vec<String> = principal.grants.iter().map(|grant| format!("{} at {}", grant.role, grant.scope)).collect();
        let detail = format!("{} was made, {}.", principal.name, roles.join(", "));
        self.store_record(by, Record { principal: principal.clone(), proof: Some(proof) }, "principals/create", detail, &[])
            .await?;
        Ok(Created { principal, secret })
    }

    async fn revoke_unbroken(&self, by: &Caller, who: &str) -> Result<Principal, PrincipalError> {
        let _one = self.inner.changing.lock().await;
        let Some(found) = self.active(who) else {
            let past = self.principals().into_iter().any(|p| p.id.eq_ignore_ascii_case(who) || p.name.eq_ignore_ascii_case(who));
            return Err(if past { PrincipalError::Revoked(who.to_owned()) } else { PrincipalError::Unknown(who.to_owned()) });
        };
        let principal = Principal { revoked_ms: Some(self.now_ms()), ..found.principal.clone() };
        let of_principal = |session: &crate::session::Session| session.principal == principal.id;
        let ended: Vec<String> =
            self.sessions().iter().filter(|(_, session)| of_principal(session)).map(|(key, _)| key.clone()).collect();
        let detail = format!("{} was revoked.", principal.name);
        self.store_record(by, Record { principal: principal.clone(), proof: None }, "principals/revoke", detail, &ended).await?;
        self.sessions_mut().retain(|key, _| !ended.contains(key));
        Ok(principal)
    }

    async fn password_proof(&self, password: String) -> Proof {
        let turn = self.inner.hashes.clone().acquire_owned().await;
        let made = tokio::task::spawn_blocking(move || {
            let proof = Proof::of_password(&password);
            drop(turn);
            proof
        });
        // Only a runtime on its way out cancels it; then nobody is told of this principal either.
        made.await.unwrap_or_else(|_| Proof::decoy())
    }

    async fn store_record(
        &self,
        by: &Caller,
        record: Record,
        action: &str,
        detail: String,
        ended: &[String],
    ) -> Result<(), IdentityError> {
        let id = record.principal.id.clone();
        let entry = self.entry(by, action, &record.principal, detail);
        let batch = Batch::new().put(Kind::Principal, &id, &record, Expect::Anything).audit(entry);
        let batch = ended.iter().fold(batch, |batch, key| batch.delete(Kind::Session, key, Expect::Anything));
        self.inner.store.commit(batch).await.map_err(IdentityError::store("write a principal"))?;
        let mut principals = self.inner.principals.write().unwrap_or_else(|poisoned| poisoned.into_inner());
        principals.insert(id, Arc::new(record));
        Ok(())
    }

    fn entry(&self, by: &Caller, action: &str, target: &Principal, detail: String) -> AuditEntry {
        AuditEntry {
            at_ms: self.now_ms(),
            principal: by.principal.clone(),
            caller: by.display_name.clone(),
            action: action.to_owned(),
            target: format!("/principals/{}", target.id),
            status: 200,
            correlation: String::new(),
            detail,
        }
    }
}
