//! A real registry (Debian's `docker-registry`) on a free loopback port.

use std::{
    fs,
    net::{Ipv4Addr, TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    time::Duration,
};

use crate::{Part, part, until};

/// Whom it lets in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Users {
    /// Everybody.
    Anyone,
    /// One user, by HTTP basic authentication.
    One { name: &'static str, password: &'static str },
}

/// A registry that lives as long as this value.
pub struct Registry {
    port: u16,
    child: Child,
    dir: tempfile::TempDir,
}

impl Registry {
    /// Starts one and waits until it listens.
    ///
    /// # Panics
    /// It does not start.
    pub fn start(users: Users) -> Registry {
        let dir = tempfile::tempdir().expect("a temporary directory");
        // Another process may take the port in between; then the registry ends and the next port is tried.
        for _ in 0..10 {
            let port = free_port();
            let config = dir.path().join("config.yml");
            fs::write(&config, configuration(dir.path(), port, users)).expect("the registry's configuration is written");
            let log = fs::File::create(dir.path().join("registry.log")).expect("the registry's log is made");
            let mut child = Command::new(part(Part::Registry))
                .args(["serve".as_ref(), config.as_os_str()])
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(log)
                .spawn()
                .expect("the registry starts");
            let listens = until("the registry listens or ends", Duration::from_secs(30), || {
                if child.try_wait().is_ok_and(|status| status.is_some()) {
                    return Some(false);
                }
                TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok().then_some(true)
            });
            if listens {
                return Registry { port, child, dir };
            }
        }
        panic!("the registry did not start: {}", fs::read_to_string(dir.path().join("registry.log")).unwrap_or_default());
    }

    /// Returns `127.0.0.1:PORT`.
    pub fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Returns the directory its blobs are in, for tests that damage them.
    pub fn storage(&self) -> std::path::PathBuf {
        self.dir.path().join("data")
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Returns a loopback port that was free a moment ago.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a loopback port is free");
    listener.local_addr().expect("a bound socket has an address").port()
}

fn configuration(dir: &std::path::Path, port: u16, users: Users) -> String {
    let auth = match users {
        Users::Anyone => String::new(),
        Users::One { name, password } => {
            let file = dir.join("htpasswd");
            let made = Command::new(part(Part::Htpasswd)).args(["-Bbn", name, password]).output().expect("htpasswd runs");
            fs::write(&file, made.stdout).expect("the password file is written");
            format!("auth:\n  htpasswd:\n    realm: test\n    path: {}\n", file.display())
        }
    };
    format!(
        "version: 0.1\nlog:\n  level: warn\nstorage:\n  filesystem:\n    rootdirectory: {}\n  delete:\n    enabled: true\nhttp:\n  addr: 127.0.0.1:{port}\n{auth}",
        dir.join("data").display()
    )
}
