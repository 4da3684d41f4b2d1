//! nginx: the peer's front end, as a proxy with keep-alive upstream and an access log.

use std::{
    fs,
    net::{Ipv4Addr, TcpStream},
    process::{Child, Command, Stdio},
    time::Duration,
};

use pillion_e2e::until;

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
    pub fn answering(port: u16) -> Outcome<Nginx> {
        Nginx::start(port, "", "return 200 'hello from the app behind the front end';")
    }

    fn start(port: u16, upstream: &str, location: &str) -> Outcome<Nginx> {
        let dir = tempfile::Builder::new().prefix("bench-nginx-").tempdir().map_err(|error| error.to_string())?;
        let place = dir.path().display();
        let conf = format!(
            "daemon off; worker_processes auto; pid {place}/pid; error_log {place}/error.log crit;\n\
             events {{ worker_connections 4096; }}\n\
             http {{ access_log {place}/access.log combined; keepalive_requests 1000000; {upstream}\n\
             server {{ listen 127.0.0.1:{port} reuseport; location / {{ {location} }} }} }}\n"
        );
        let file = dir.path().join("nginx.conf");
        fs::write(&file, conf).map_err(|error| error.to_string())?;
        let child = Command::new("nginx")
            .arg("-p")
            .arg(dir.path())
            .arg("-c")
            .arg(&file)
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| format!("nginx: {error}"))?;
        until("nginx listens", Duration::from_secs(10), || TcpStream::connect((Ipv4Addr::LOCALHOST, port)).ok());
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
