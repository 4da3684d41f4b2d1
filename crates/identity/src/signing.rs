//! The keys that tokens are signed with: the newest signs, the one before verifies until its tokens have ended.

use std::sync::{Arc, RwLock};

use pillion_store::{Batch, Document, Expect, Kind, Store};

use crate::{
    IdentityError, chance,
    login::TOKEN_LIFETIME,
    token::{SigningKey, StoredKey},
};

const DAY_MS: u64 = 24 * 3600 * 1000;
/// A key signs for so long.
const SIGNS_MS: u64 = 30 * DAY_MS;
/// A key verifies for so long after a newer one took over: as long as its last token lives, and some more.
const OVERLAP_MS: u64 = 2 * TOKEN_LIFETIME.as_millis() as u64;

/// All keys there are, newest last.
pub(crate) struct Ring(RwLock<Vec<Arc<SigningKey>>>);

impl Ring {
    pub(crate) async fn open(store: &Store, now_ms: u64) -> Result<Ring, IdentityError> {
        let stored: Vec<Document<StoredKey>> =
            store.documents(Kind::SigningKey).await.map_err(IdentityError::store("read the keys for tokens"))?;
        let opened = stored.into_iter().map(|key| {
            let opened = key.body.open(&key.key).map(Arc::new);
            opened.ok_or(IdentityError::Key(key.key))
        });
        let mut keys = opened.collect::<Result<Vec<_>, _>>()?;
        keys.sort_by_key(|key| key.created_ms);
        let ring = Ring(RwLock::new(keys));
        if ring.newest().is_none() {
            ring.rotate(store, now_ms).await?;
        }
        Ok(ring)
    }

    pub(crate) fn newest(&self) -> Option<Arc<SigningKey>> {
        self.keys().last().cloned()
    }

    pub(crate) fn find(&self, id: &str) -> Option<Arc<SigningKey>> {
        self.keys().iter().find(|key| key.id == id).cloned()
    }

    pub(crate) fn is_due(&self, now_ms: u64) -> bool {
        self.keys().last().is_none_or(|key| now_ms.saturating_sub(key.created_ms) > SIGNS_MS)
    }

    /// Makes a new key, durable before it signs, and removes those whose tokens have all ended.
    pub(crate) async fn rotate(&self, store: &Store, now_ms: u64) -> Result<(), IdentityError> {
        // Keys are told apart in time by when they were made: never two at once, whatever the clock does.
        let made = self.newest().map_or(now_ms, |newest| now_ms.max(newest.created_ms + 1));
        let (id, key) = (chance::new_id(), StoredKey::generate(made));
        let opened = Arc::new(key.open(&id).ok_or_else(|| IdentityError::Key(id.clone()))?);
        let gone = expired(&self.keys(), now_ms);
        let batch = Batch::new().put(Kind::SigningKey, &id, &key, Expect::Absent);
        let batch = gone.iter().fold(batch, |batch, id| batch.delete(Kind::SigningKey, id, Expect::Anything));
        store.commit(batch).await.map_err(IdentityError::store("write a key for tokens"))?;
        let mut keys = self.0.write().unwrap_or_else(|poisoned| poisoned.into_inner());
        keys.retain(|key| !gone.contains(&key.id));
        keys.push(opened);
        Ok(())
    }

    fn keys(&self) -> std::sync::RwLockReadGuard<'_, Vec<Arc<SigningKey>>> {
        self.0.read().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

/// Returns the keys that a newer one replaced so long ago that no token of theirs lives.
fn expired(keys: &[Arc<SigningKey>], now_ms: u64) -> Vec<String> {
    keys.windows(2).filter(|pair| now_ms.saturating_sub(pair[1].created_ms) > OVERLAP_MS).map(|pair| pair[0].id.clone()).collect()
}
