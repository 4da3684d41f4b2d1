//! Load on an app: requests without pause, each judged.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
};

use crate::{get, until};

/// Requests without pause until ended; each that was not answered with 200 has failed.
pub struct Load {
    stop: Arc<AtomicBool>,
    made: Arc<AtomicU64>,
    failures: Arc<Mutex<Vec<String>>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Load {
    /// Begins; every request is a connection of its own.
    pub fn on(url: &str) -> Load {
        let (stop, made, failures) =
            (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default(), Arc::<Mutex<Vec<String>>>::default());
        let (stops, counts, fails, url) = (stop.clone(), made.clone(), failures.clone(), url.to_owned());
        let thread = thread::spawn(move || {
            while !stops.load(Ordering::Relaxed) {
                match get(&url) {
                    Ok(answer) if answer.status == 200 => {}
                    Ok(answer) => note(&fails, format!("{}: {}", answer.status, answer.body)),
                    Err(error) => note(&fails, error),
                }
                counts.fetch_add(1, Ordering::Relaxed);
            }
        });
        Load { stop, made, failures, thread: Some(thread) }
    }

    /// Waits until `more` further requests are over, whatever became of them.
    pub fn goes_on(&self, more: u64) {
        let from = self.made.load(Ordering::Relaxed);
        until("the load goes on", std::time::Duration::from_secs(70), || {
            (self.made.load(Ordering::Relaxed) >= from + more).then_some(())
        });
    }

    /// Takes the failures so far, each as what was seen.
    pub fn take_failures(&self) -> Vec<String> {
        std::mem::take(&mut *self.failures.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Ends the load; returns how many requests were made and how many failed.
    ///
    /// # Panics
    /// The thread that makes the requests panicked.
    pub fn end(mut self) -> (u64, u64) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().expect("the load ends by itself");
        }
        let failed = self.take_failures();
        for failure in failed.iter().take(5) {
            eprintln!("a request failed: {failure}");
        }
        (self.made.load(Ordering::Relaxed), failed.len() as u64)
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

fn note(failures: &Mutex<Vec<String>>, what: String) {
    failures.lock().unwrap_or_else(PoisonError::into_inner).push(what);
}
