//! Work that runs to its end even where whoever asked for it hangs up half-way.

use std::future::Future;

/// Runs `work` as a task of its own and waits for it. Dropping the wait drops nothing of the work: a change that is
/// stored is always also made in memory.
pub(crate) async fn unbroken<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> T {
    match tokio::spawn(work).await {
        Ok(done) => done,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // Only a runtime on its way out cancels the task, and that drops this wait too.
            Err(_) => std::future::pending().await,
        },
    }
}
