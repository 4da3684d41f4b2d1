//! A thread that owns one connection and does jobs on it, one after another.

use std::{path::Path, thread};

use rusqlite::{Connection, OpenFlags};
use tokio::sync::{mpsc, oneshot};

use crate::StoreError;

type Job = Box<dyn FnOnce(&mut Connection) + Send>;

/// Jobs that may wait; a caller beyond that waits itself.
const QUEUE: usize = 256;

/// Sends jobs to the thread; the thread ends when the last of these is dropped.
#[derive(Clone)]
pub(crate) struct Worker {
    jobs: mpsc::Sender<Job>,
}

impl Worker {
    pub(crate) fn spawn(name: &str, mut connection: Connection) -> Result<Worker, std::io::Error> {
        let (jobs, mut queue) = mpsc::channel::<Job>(QUEUE);
        thread::Builder::new().name(name.to_owned()).spawn(move || {
            while let Some(job) = queue.blocking_recv() {
                job(&mut connection);
            }
        })?;
        Ok(Worker { jobs })
    }

    /// Runs `job` on the thread. A caller that goes away does not undo it.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce(&mut Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (done, answer) = oneshot::channel();
        let job: Job = Box::new(move |connection| drop(done.send(job(connection))));
        self.jobs.send(job).await.map_err(|_| StoreError::Closed)?;
        answer.await.map_err(|_| StoreError::Closed)?
    }
}

pub(crate) fn open(path: &Path) -> Result<Connection, StoreError> {
    let doing = "open the state";
    let database = |source| StoreError::Database { doing, source };
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX)
        .map_err(database)?;
    connection.busy_timeout(std::time::Duration::from_secs(10)).map_err(database)?;
    connection.pragma_update(None, "journal_mode", "WAL").map_err(database)?;
    connection.pragma_update(None, "synchronous", "FULL").map_err(database)?;
    connection.pragma_update(None, "foreign_keys", true).map_err(database)?;
    // A value that was overwritten or deleted must not stay readable in free pages.
    connection.pragma_update(None, "secure_delete", true).map_err(database)?;
    Ok(connection)
}
