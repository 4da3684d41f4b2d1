//! One copy of Pillion under a root of its own, driven through its command line as a person would.

use std::{
    ffi::OsStr,
    fs,
    io::Read,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    thread::JoinHandle,
    time::Duration,
};

use serde_json::Value;

use crate::{built, until};

/// A copy of Pillion; when dropped it is stopped with all its apps, and its directories are removed.
pub struct Copy {
    root: tempfile::TempDir,
    exe: PathBuf,
    server: Option<Running>,
}

/// A command that has ended.
#[derive(Debug)]
pub struct Ran {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

/// A command that runs, its output being collected.
pub struct Running {
    child: Child,
    stdout: Option<JoinHandle<String>>,
    stderr: Option<JoinHandle<String>>,
}

impl Copy {
    /// Makes a copy with default settings and no server.
    pub fn new() -> Copy {
        let root = tempfile::Builder::new().prefix("pillion-").tempdir().expect("a temporary directory");
        let settings = root.path().join("etc");
        fs::create_dir_all(&settings).expect("the settings directory is made");
        Copy { root, exe: built("pillion"), server: None }
    }

    /// Makes a copy whose server runs.
    pub fn serving() -> Copy {
        let mut copy = Copy::new();
        copy.serve();
        copy
    }

    /// Writes the settings file; before `serve`, or followed by `system reload`.
    pub fn configure(&self, yaml: &str) {
        fs::write(self.root.path().join("etc/config.yaml"), yaml).expect("the settings are written");
    }

    /// Starts the server and waits until it answers.
    pub fn serve(&mut self) {
        self.server = Some(self.spawn(["serve"]));
        until("the server answers", Duration::from_secs(30), || (self.run(["list"]).code == 0).then_some(()));
    }

    /// Kills the server without warning, as a crash would.
    pub fn kill_server(&mut self) {
        if let Some(mut server) = self.server.take() {
            server.kill();
        }
    }

    pub fn server_pid(&self) -> Option<i32> {
        self.server.as_ref().map(Running::pid)
    }

    pub fn root(&self) -> &Path {
        self.root.path()
    }

    /// Returns the directory of its sockets and instances.
    pub fn run_dir(&self) -> PathBuf {
        // The same as the product derives from the root.
        let digest = <sha2::Sha256 as sha2::Digest>::digest(self.root.path().as_os_str().as_encoded_bytes());
        let tag: String = digest.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
        PathBuf::from(format!("/run/pillion-{tag}"))
    }

    /// Returns the name of its parent control group, its bridge and its packet filter table; none before its first server.
    pub fn cgroup_name(&self) -> Option<String> {
        let claims = fs::read_dir("/run/pillion-copies").ok()?;
        let ours = |path: &PathBuf| fs::read(path).is_ok_and(|root| root == self.root.path().as_os_str().as_encoded_bytes());
        let claim = claims.filter_map(|entry| Some(entry.ok()?.path())).find(ours)?;
        Some(format!("pillion-{}", claim.file_name()?.to_string_lossy()))
    }

    /// Runs `pillion ARGS` to its end.
    pub fn run<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> Ran {
        self.spawn(args).finish()
    }

    /// Runs `pillion ARGS` and insists on success; returns its stdout.
    ///
    /// # Panics
    /// It ends with another code than 0; the message carries what it said.
    pub fn ok<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> String {
        let args: Vec<_> = args.into_iter().map(|arg| arg.as_ref().to_owned()).collect();
        let ran = self.run(&args);
        assert!(ran.code == 0, "pillion {args:?} ended with {}:\n{}{}", ran.code, ran.stdout, ran.stderr);
        ran.stdout
    }

    /// Runs `pillion ARGS --output json` and returns the value.
    ///
    /// # Panics
    /// It fails or prints no JSON.
    pub fn json(&self, args: &[&str]) -> Value {
        let text = self.ok(args.iter().chain(&["--output", "json"]));
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("pillion {args:?} printed no JSON ({error}): {text}"))
    }

    /// Starts `pillion ARGS`.
    pub fn spawn<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> Running {
        Running::start(self.command(args).env("NO_COLOR", "1"))
    }

    /// Makes the command `pillion ARGS`.
    pub fn command<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> Command {
        let mut command = Command::new(&self.exe);
        command.args(args).env("PILLION_ROOT", self.root.path());
        command
    }

    /// Writes an app file into the copy's directory and returns its path.
    pub fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.root.path().join(name);
        fs::write(&path, text).expect("the app file is written");
        path
    }

    /// Applies an app file's text.
    pub fn apply(&self, text: &str) -> Ran {
        let file = self.file("pillion.yaml", text);
        self.run(["apply".as_ref(), "-f".as_ref(), file.as_os_str()])
    }

    /// Returns the app's own URL at the gateway, as `status` tells it.
    ///
    /// # Panics
    /// `status` names none.
    pub fn url(&self, app: &str) -> String {
        let status = self.json(&["status", app]);
        let urls = status["urls"].as_array().cloned().unwrap_or_default();
        let by_port = urls.iter().filter_map(Value::as_str).find(|url| url.starts_with("http://127.0.0.1:"));
        by_port.unwrap_or_else(|| panic!("no URL in {status:#}")).trim_end_matches('/').to_owned()
    }
}

impl Default for Copy {
    fn default() -> Self {
        Copy::new()
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        let mut stopped = self.run(["system", "stop"]);
        // Apps go on without a server; a test that failed while there was none must not leave them.
        if stopped.code != 0 && fs::read_dir(self.run_dir().join("i")).is_ok_and(|mut left| left.next().is_some()) {
            self.kill_server();
            let mut server = self.spawn(["serve"]);
            let began = std::time::Instant::now();
            while stopped.code != 0 && began.elapsed() < Duration::from_secs(20) {
                stopped = self.run(["system", "stop"]);
            }
            server.kill();
        }
        if let Some(mut server) = self.server.take() {
            server.kill();
        }
        // Empty directories and a lock; what is more than that is evidence.
        if fs::read_dir(self.run_dir().join("i")).is_ok_and(|mut left| left.next().is_none()) {
            let _ = fs::remove_dir_all(self.run_dir());
        }
        if std::thread::panicking() {
            let log = fs::read_to_string(self.root.path().join("lib/logs/serve.log")).unwrap_or_default();
            eprintln!("system stop: {stopped:?}\nserver log:\n{log}");
        }
    }
}

impl Running {
    /// Starts a command, collecting what it prints.
    ///
    /// # Panics
    /// It cannot be started.
    pub fn start(command: &mut Command) -> Running {
        let mut child =
            command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the command starts");
        let stdout = child.stdout.take().map(collect);
        let stderr = child.stderr.take().map(collect);
        Running { child, stdout, stderr }
    }

    pub fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).expect("a process id fits")
    }

    /// Waits for the end.
    pub fn finish(mut self) -> Ran {
        let status = self.child.wait().expect("a child can be waited for");
        Ran { code: code(status), stdout: joined(self.stdout.take()), stderr: joined(self.stderr.take()) }
    }

    /// Sends a signal.
    pub fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, signal).expect("the process is there");
    }

    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().is_ok_and(|status| status.is_some())
    }

    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Ran {
    /// Everything it said, talk and data.
    pub fn said(&self) -> String {
        format!("{}{}", self.stdout, self.stderr)
    }
}

fn code(status: ExitStatus) -> i32 {
    use std::os::unix::process::ExitStatusExt;
    status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0))
}

fn collect(mut from: impl Read + Send + 'static) -> JoinHandle<String> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = from.read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

fn joined(thread: Option<JoinHandle<String>>) -> String {
    thread.and_then(|thread| thread.join().ok()).unwrap_or_default()
}
