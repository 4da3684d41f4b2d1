//! What a test works in: a sandbox, a busybox image, and containers; all gone when it ends.

use std::{
    fs,
    io::Read,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
};

use pillion_fault::{Exit, Fault};
use pillion_runtime::{
    container::{Running, Stdio},
    helper::Launcher,
    sandbox::{self, Sandbox},
    spec::{ContainerSpec, IdRange, Limits, NetworkSpec, RootSpec, SandboxSpec},
};

static COUNT: AtomicU32 = AtomicU32::new(0);

/// Ids far from those of anybody else on a test machine.
pub const IDS: IdRange = IdRange { start: 1_800_000_000, len: 65_536 };

const APPLETS: &[&str] = &[
    "sh", "cat", "ls", "echo", "sleep", "id", "true", "false", "grep", "mount", "umount", "mknod", "dd", "touch", "kill",
    "hostname", "stat", "tty", "stty", "env", "pwd", "mkdir", "ln", "head", "tail", "wc", "chmod", "rm", "readlink", "ulimit",
    "printf", "test", "seq", "tr", "unshare", "ps", "df", "date", "cp", "chown",
];

pub struct World {
    pub dir: PathBuf,
    pub image: PathBuf,
    sandbox: Option<Sandbox>,
    spec: SandboxSpec,
}

pub fn launcher() -> Launcher {
    Launcher::new(env!("CARGO_BIN_EXE_pillion-runtime-door"))
}

/// How a container ended and what it printed.
#[derive(Debug)]
pub struct Run {
    pub exit: Exit,
    pub stdout: String,
    pub stderr: String,
}

impl World {
    pub fn new() -> Self {
        Self::with_ids(Some(IDS))
    }

    pub fn with_ids(ids: Option<IdRange>) -> Self {
        let name = format!("pillion-ct-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let dir = Path::new("/run").join(&name);
        let image = dir.join("image");
        fs::create_dir_all(dir.join("sandbox")).expect("a directory");
        busybox(&image);
        let spec = SandboxSpec {
            dir: dir.join("sandbox"),
            hostname: "box".into(),
            ids,
            network: NetworkSpec::None,
            cgroup: PathBuf::from(&name),
            host_names: vec!["web".into()],
        };
        let sandbox = Sandbox::create(&launcher(), &spec).expect("a sandbox");
        Self { dir, image, sandbox: Some(sandbox), spec }
    }

    pub fn sandbox(&self) -> &SandboxSpec {
        &self.spec
    }

    pub fn container(&self, name: &str, argv: &[&str]) -> ContainerSpec {
        ContainerSpec {
            name: name.into(),
            root: RootSpec { layers: vec![self.image.clone()], scratch: self.dir.join("scratch").join(name), read_only: false },
            argv: argv.iter().map(|a| (*a).to_owned()).collect(),
            env: vec!["PATH=/bin:/usr/bin".into()],
            cwd: "/".into(),
            user: String::new(),
            mounts: vec![],
            limits: Limits::default(),
            rlimits: vec![],
            shm_size: 8 << 20,
            terminal: false,
        }
    }

    /// A container that runs a shell line.
    pub fn shell(&self, line: &str) -> ContainerSpec {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        self.container(&format!("c{}", NUMBER.fetch_add(1, Ordering::Relaxed)), &["sh", "-c", line])
    }

    /// Runs a shell line to its end.
    pub async fn run_shell(&self, line: &str) -> Run {
        self.run(&self.shell(line)).await
    }

    /// Runs a container to its end and removes it.
    pub async fn run(&self, container: &ContainerSpec) -> Run {
        self.try_run(container).await.expect("a container that starts")
    }

    /// As [`World::run`]; a container that does not start is a fault.
    pub async fn try_run(&self, container: &ContainerSpec) -> Result<Run, Fault> {
        let (stdio, pipes) = Stdio::pipes().expect("pipes");
        let created = launcher().create(&self.spec, container, stdio).await.map_err(Fault::from)?;
        drop(pipes.stdin);
        let running = created.start().await.map_err(Fault::from)?;
        let (stdout, stderr) = (read_all(pipes.stdout), read_all(pipes.stderr));
        let exit = running.wait().await.expect("an exit");
        let run = Run { exit, stdout: stdout.await.expect("stdout"), stderr: stderr.await.expect("stderr") };
        running.remove().await.expect("a removed container");
        Ok(run)
    }

    /// Starts a container that stays.
    pub async fn start(&self, container: &ContainerSpec) -> Running {
        let created = launcher().create(&self.spec, container, Stdio::null().expect("null")).await.expect("a container");
        created.start().await.expect("a started container")
    }
}

impl Drop for World {
    fn drop(&mut self) {
        drop(self.sandbox.take());
        let removed = sandbox::remove(&self.spec);
        let cleaned = fs::remove_dir_all(&self.dir);
        if !std::thread::panicking() {
            removed.expect("a removed sandbox");
            cleaned.expect("a removed directory");
        }
    }
}

/// Reads a pipe to its end beside the test.
pub fn read_all(pipe: OwnedFd) -> tokio::task::JoinHandle<String> {
    tokio::task::spawn_blocking(move || {
        let mut bytes = Vec::new();
        let _ = fs::File::from(pipe).read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

/// Makes an image of one layer: busybox and nothing else.
fn busybox(image: &Path) {
    let bin = image.join("bin");
    fs::create_dir_all(&bin).expect("a directory");
    fs::create_dir_all(image.join("etc")).expect("a directory");
    fs::create_dir_all(image.join("tmp")).expect("a directory");
    fs::copy("/usr/bin/busybox", bin.join("busybox"))
        .or_else(|_| fs::copy("/bin/busybox", bin.join("busybox")))
        .expect("apt-get install busybox-static");
    for applet in APPLETS {
        std::os::unix::fs::symlink("busybox", bin.join(applet)).expect("a link");
    }
    fs::write(image.join("etc/passwd"), "root:x:0:0:root:/root:/bin/sh\nweb:x:1000:1000::/home/web:/bin/sh\n").expect("a file");
    fs::write(image.join("etc/group"), "root:x:0:\nweb:x:1000:\nlogs:x:40:web\n").expect("a file");
}
