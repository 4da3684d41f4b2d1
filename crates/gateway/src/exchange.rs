//! One request and its answer, from its arrival until the last byte: what the log line and the counters need.

use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Instant,
};

use http::{HeaderValue, Method, Uri, header};
use hyper::Request;

use crate::{access_log::Line, instance::Lease, listen::Connection, routes::App};

/// Counted, logged and released when dropped, whichever way the exchange ends.
pub struct Exchange {
    pub connection: Arc<Connection>,
    method: Method,
    target: Uri,
    host: Option<HeaderValue>,
    agent: Option<HeaderValue>,
    started: Instant,
    /// Reading the clock costs as much as parsing a header, so this is noted once.
    ended: Option<Instant>,
    app: Option<Arc<App>>,
    pub lease: Option<Lease>,
    pub status: u16,
    pub bytes: u64,
    pub code: &'static str,
}

impl Exchange {
    pub fn new<B>(connection: Arc<Connection>, request: &Request<B>) -> Self {
        connection.begin_request();
        Self {
            connection,
            method: request.method().clone(),
            target: request.uri().clone(),
            host: request.headers().get(header::HOST).cloned(),
            agent: request.headers().get(header::USER_AGENT).cloned(),
            started: Instant::now(),
            ended: None,
            app: None,
            lease: None,
            status: 0,
            bytes: 0,
            code: "",
        }
    }

    pub fn set_app(&mut self, app: Arc<App>) {
        match &self.app {
            Some(old) if Arc::ptr_eq(&old.counters, &app.counters) => {}
            Some(old) => {
                old.counters.active.fetch_sub(1, Relaxed);
                app.counters.active.fetch_add(1, Relaxed);
            }
            None => {
                app.counters.active.fetch_add(1, Relaxed);
            }
        }
        self.app = Some(app);
    }

    /// Notes that the last byte went on, now unless noted before.
    pub fn end(&mut self) -> Instant {
        *self.ended.get_or_insert_with(Instant::now)
    }

    pub fn app(&self) -> Option<&Arc<App>> {
        self.app.as_ref()
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        let now = self.end();
        let took_usec = now.saturating_duration_since(self.started).as_micros() as u64;
        self.connection.end_request(now);
        if let Some(app) = &self.app {
            app.counters.active.fetch_sub(1, Relaxed);
            app.counters.finished(self.status, took_usec);
        }
        self.connection.gateway.log.write(&Line {
            app: self.app.as_ref().map_or("", |app| &app.counters.app),
            instance: self.lease.as_ref().map_or("", |lease| &lease.instance.name),
            peer: self.connection.peer.forwarded_for.as_bytes(),
            method: self.method.as_str(),
            host: self.host.as_ref().map_or(b"", |value| value.as_bytes()),
            target: self.target.path_and_query().map_or("", |target| target.as_str()),
            agent: self.agent.as_ref().map_or(b"", |value| value.as_bytes()),
            status: self.status,
            bytes: self.bytes,
            took_usec,
            code: self.code,
        });
    }
}
