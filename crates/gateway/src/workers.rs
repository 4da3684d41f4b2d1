//! The threads that carry requests: one runtime each, so that a request and its instance's connection meet on one core.
//!
//! Measured against one runtime over all cores: without stealing, waking a request's other half is a push to a local
//! queue instead of a wake-up of another core. What stealing would balance is balanced when a client connects.

use std::{
    cell::Cell,
    io,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use tokio::{runtime, sync::watch};

/// Pools have this many parts; a worker beyond shares one.
pub const MOST: usize = 64;

thread_local!(static NUMBER: Cell<usize> = const { Cell::new(0) });

/// Returns the number of the worker that runs this; 0 elsewhere.
pub fn current() -> usize {
    NUMBER.with(Cell::get) % MOST
}

/// The running workers, until [`Workers::end`].
pub struct Workers {
    workers: Vec<Worker>,
    end: watch::Sender<bool>,
}

struct Worker {
    runtime: runtime::Handle,
    connections: Arc<AtomicUsize>,
    thread: Mutex<Option<std::thread::JoinHandle<()>>>,
}

/// A connection's place on a worker, counted until dropped.
pub struct Seat {
    runtime: runtime::Handle,
    connections: Arc<AtomicUsize>,
}

impl Workers {
    /// Starts this many threads.
    ///
    /// # Errors
    ///
    /// When the system gives no thread or no event queue.
    pub fn start(count: usize) -> io::Result<Self> {
        let mut workers = Self { workers: Vec::new(), end: watch::Sender::new(false) };
        for number in 0..count.max(1) {
            let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
            let handle = runtime.handle().clone();
            let mut end = workers.end.subscribe();
            let thread = std::thread::Builder::new().name(format!("gateway-{number}")).spawn(move || {
                NUMBER.with(|mine| mine.set(number));
                // An error would mean that nobody is left to end this thread.
                runtime.block_on(async { drop(end.wait_for(|end| *end).await) });
            })?;
            workers.workers.push(Worker { runtime: handle, connections: Arc::default(), thread: Mutex::new(Some(thread)) });
        }
        Ok(workers)
    }

    /// Takes a seat on the worker with the fewest connections.
    pub fn seat(&self) -> Option<Seat> {
        let worker = self.workers.iter().min_by_key(|worker| worker.connections.load(Relaxed))?;
        worker.connections.fetch_add(1, Relaxed);
        Some(Seat { runtime: worker.runtime.clone(), connections: worker.connections.clone() })
    }

    /// Ends the threads; what runs on them is cut. Not by drop: the tasks there hold what holds this.
    pub fn end(&self) {
        self.end.send_replace(true);
        for worker in &self.workers {
            let thread = worker.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
            if let Some(thread) = thread {
                // A worker that panicked is gone already.
                let _ = thread.join();
            }
        }
    }
}

impl Seat {
    pub fn runtime(&self) -> &runtime::Handle {
        &self.runtime
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.connections.fetch_sub(1, Relaxed);
    }
}
