//! nginx: the peer's front end, as a proxy with keep-alive upstream and an access log.
//!
//! Each runs in a session of its own, as a service does: the kernel shares processor time out by session (autogroup), so
//! one that sat in the load generator's session would be scheduled otherwise than the gateway, which has its own.

use std::{
    fs,
    net::TcpStream,
    process::{Child, Command, Stdio},
    time::Duration,
};

use pillion_e2e::until;

use super::namespace::Namespace;
use crate::run::Outcome;

/// A running nginx; ends when dropped.
pub struct Nginx {
    child: Child,
    dir: tempfile::TempDir,
}

impl Nginx {
    /// Starts one that proxies from a loopback port to `upstream`, `host:port`.
    ///
    /// # Errors
    /// It does not start.
    pub fn proxy(port: u16, upstream: &str) -> Outcome<Nginx> {
        Nginx::start(
            None,
            port,
            &format!("upstream app {{ server {upstream} max_fails=0; keepalive 64; }}"),
            "proxy_pass http://app; proxy_http_version 1.1; proxy_set_header Connection ''; proxy_set_header Host $host; \
             proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for; proxy_connect_timeout 2s;",
        )
    }

    /// Starts one that answers a few bytes itself: the program behind both front ends.
    ///
    /// # Errors
    /// It does not start.
    pub fn answering(namespace: &Namespace, port: u16) -> Outcome<Nginx> {
        Nginx::start(Some(namespace), port, "", "return 200 'hello from the app behind the front end';")
    }

    fn start(namespace: Option<&Namespace>, port: u16, upstream: &str, location: &str) -> Outcome<Nginx> {
        let dir = tempfile::Builder::new().prefix("bench-nginx-").tempdir().map_err(|error| error.to_string())?;
        let place = dir.path().display();
        // In a namespace on all its addresses: one front end comes over its loopback, the other over its veth.
        let (address, reached) = match namespace {
            Some(namespace) => ("0.0.0.0", namespace.address()),
            None => ("127.0.0.1", "127.0.0.1"),
        };
        let conf = format!(
            "daemon off; worker_processes auto; pid {place}/pid; error_log {place}/error.log crit;\n\
             events {{ worker_connections 4096; }}\n\
             http {{ access_log {place}/access.log combined; keepalive_requests 1000000; {upstream}\n\
             server {{ listen {address}:{port} reuseport; location / {{ {location} }} }} }}\n"
        );
        let file = dir.path().join("nginx.conf");
        fs::write(&file, conf).map_err(|error| error.to_string())?;
        let mut command = Command::new("setsid");
        if let Some(namespace) = namespace {
            command.args(["ip", "netns", "exec", namespace.name()]);
        }
        let child = command
            .args(["nginx", "-p"])
            .arg(dir.path())
            .arg("-c")
            .arg(&file)
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| format!("nginx: {error}"))?;
        until("nginx listens", Duration::from_secs(10), || TcpStream::connect((reached, port)).ok());
        Ok(Nginx { child, dir })
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        // SIGTERM takes its workers along.
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        let _ = self.child.wait();
        let _ = &self.dir;
    }
}
