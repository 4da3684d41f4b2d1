//! An identity service of its own, with a clock that the test moves.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use pillion_identity::{Caller, Created, Grant, Identity, NewPrincipal, PrincipalKind, Role, Scope};
use pillion_store::Store;

/// 2026-01-01.
pub const BEGIN_MS: u64 = 1_767_225_600_000;
pub const HOUR_MS: u64 = 3_600_000;

pub struct World {
    pub identity: Identity,
    pub directory: tempfile::TempDir,
    now: Arc<AtomicU64>,
}

impl World {
    pub async fn new() -> World {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let now = Arc::new(AtomicU64::new(BEGIN_MS));
        let identity = open(&directory, &now).await;
        World { identity, directory, now }
    }

    /// Closes and opens again, as a restart does.
    pub async fn restarted(self) -> World {
        let World { identity, directory, now } = self;
        drop(identity);
        let identity = open(&directory, &now).await;
        World { identity, directory, now }
    }

    pub fn keys(&self) -> PathBuf {
        self.directory.path().join("keys")
    }

    pub fn wait(&self, ms: u64) {
        self.now.fetch_add(ms, Ordering::Relaxed);
    }

    pub async fn service(&self, name: &str) -> Created {
        self.create(name, PrincipalKind::Service, None).await
    }

    pub async fn user(&self, name: &str, password: &str) -> Created {
        self.create(name, PrincipalKind::User, Some(password.to_owned())).await
    }

    async fn create(&self, name: &str, kind: PrincipalKind, password: Option<String>) -> Created {
        let grants = vec![Grant { role: Role::Owner, scope: Scope::root() }];
        let new = NewPrincipal { name: name.to_owned(), kind, password, grants };
        self.identity.create(&Caller::machine(), new).await.expect("the principal is made")
    }
}

async fn open(directory: &tempfile::TempDir, now: &Arc<AtomicU64>) -> Identity {
    let store = Store::open(directory.path()).expect("the store opens");
    let now = now.clone();
    let clock = Arc::new(move || now.load(Ordering::Relaxed));
    Identity::open_at(store, &directory.path().join("keys"), clock).await.expect("identities are kept")
}
