//! Where expressions are evaluated: off the async threads, few at a time, with a deadline and one budget for a whole deployment.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use pillion_arm::ArmError;
use pillion_arm_template::{Budget, Error};
use tokio::sync::{Mutex, Semaphore};

use super::request::refusal;

/// Evaluations that run at one time in this server.
const AT_ONCE: usize = 2;

/// The few places that all deployments share.
#[derive(Debug, Clone)]
pub(crate) struct Benches {
    free: Arc<Semaphore>,
    within: Duration,
}

impl Benches {
    pub(crate) fn new(within: Duration) -> Benches {
        Benches { free: Arc::new(Semaphore::new(AT_ONCE)), within }
    }
}

/// One deployment's evaluations; its nested deployments share it.
#[derive(Clone)]
pub(crate) struct Worker {
    benches: Benches,
    budget: Arc<Mutex<Budget>>,
}

impl Worker {
    pub(crate) fn new(benches: &Benches) -> Worker {
        Worker { benches: benches.clone(), budget: Arc::new(Mutex::new(Budget::new())) }
    }

    /// Returns a worker whose evaluations cost this one nothing, with as much left as this one has.
    pub(crate) async fn apart(&self) -> Worker {
        let budget = self.budget.lock().await.clone();
        Worker { benches: self.benches.clone(), budget: Arc::new(Mutex::new(budget)) }
    }

    /// Runs `work` on a blocking thread. It may take as long as the deadline says, waiting for a place not counted.
    ///
    /// # Errors
    /// The refusal of the template language as 400.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Budget) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, ArmError> {
        self.attempt(work).await?.map_err(refusal)
    }

    /// As [`Worker::run`], with the language's own error.
    pub(crate) async fn attempt<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Budget) -> Result<T, Error> + Send + 'static,
    ) -> Result<Result<T, Error>, ArmError> {
        let lost = || ArmError::new(500, "InternalServerError", "The evaluation of the template ended unexpectedly.");
        let mut budget = self.budget.clone().lock_owned().await;
        let place = self.benches.free.clone().acquire_owned().await.map_err(|_| lost())?;
        let deadline = Instant::now() + self.benches.within;
        let worked = tokio::task::spawn_blocking(move || {
            let _place = place;
            *budget = budget.clone().until(deadline);
            work(&mut budget)
        });
        worked.await.map_err(|_| lost())
    }
}
