//! [`Identity`]: the handle that everybody shares.

use std::{path::Path, sync::Arc};

use pillion_store::Store;

use crate::{Audience, AuthError, Caller, IdentityError};

/// Answers who somebody is; cheap to clone.
#[derive(Clone)]
pub struct Identity {
    inner: Arc<Inner>,
}

struct Inner {
    tenant: String,
    subscription: String,
}

/// What `publishingcredentials/list` shows of a site or slot, and what its SCM pages accept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublishingCredential {
    /// `$shop`, or `$shop__staging` for a slot.
    pub user: String,
    pub password: String,
}

impl Identity {
    /// Reads what is stored, making at the first start what is missing: ids, keys.
    ///
    /// # Errors
    /// The store or the key files cannot be read or written.
    pub async fn open(_store: Store, _keys: &Path) -> Result<Identity, IdentityError> {
        let nil = "00000000-0000-0000-0000-000000000000".to_owned();
        Ok(Identity { inner: Arc::new(Inner { tenant: nil.clone(), subscription: nil }) })
    }

    /// The id of the only tenant there is.
    pub fn tenant(&self) -> &str {
        &self.inner.tenant
    }

    /// The id of the only subscription there is.
    pub fn subscription(&self) -> &str {
        &self.inner.subscription
    }

    /// Checks an access token (without `Bearer`): signature, audience, expiry, and that its principal still is one.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn authenticate(&self, _bearer: &str, _audience: Audience) -> Result<Caller, AuthError> {
        Err(AuthError::Invalid)
    }

    /// Returns a site's publishing credential. It is derived, so nothing is stored: `name` is the site's, with
    /// `__` and the slot's for a slot; `epoch` is whatever changes when the password must (time of creation, resets).
    pub fn publishing(&self, name: &str, _epoch: &str) -> PublishingCredential {
        PublishingCredential { user: format!("${name}"), password: String::new() }
    }
}
