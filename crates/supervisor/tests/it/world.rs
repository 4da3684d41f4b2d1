//! What a test works in: an instance directory, a busybox image, a supervisor process; all gone when it ends.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use pillion_runtime::{
    sandbox,
    spec::{self as runtime, IdRange, Limits, NetworkSpec, RootSpec, SandboxSpec},
};
use pillion_supervisor::{
    Client, SPEC_FILE,
    protocol::Request,
    spec::{ContainerSpec, InstanceSpec, LogLimits, RestartPolicy},
    status::{ContainerPhase, ContainerStatus, Event, InstancePhase, InstanceStatus},
};

static COUNT: AtomicU32 = AtomicU32::new(0);

/// Nothing here takes longer on a machine that does five other things.
pub const PATIENCE: Duration = Duration::from_secs(30);

pub struct World {
    pub dir: PathBuf,
    pub spec: InstanceSpec,
    child: Option<Child>,
}

impl World {
    /// An instance of these containers, not started.
    pub fn new(containers: Vec<ContainerSpec>) -> Self {
        let id = format!("pillion-st-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let dir = Path::new("/run").join(&id);
        busybox(&dir.join("image"));
        let mut spec = InstanceSpec {
            id: id.clone(),
            generation: 1,
            labels: serde_json::json!({ "for": "a test" }),
            sandbox: SandboxSpec {
                dir: dir.join("sandbox"),
                hostname: "box".into(),
                ids: Some(IdRange { start: 1_700_000_000, len: 65_536 }),
                network: NetworkSpec::None,
                cgroup: id.into(),
                host_names: Vec::new(),
            },
            containers,
            log_dir: dir.join("logs"),
            log_limits: LogLimits { file_bytes: 1 << 20, files: 3 },
            gate_owner: (12_345, 12_345),
            gate: None,
        };
        place(&mut spec, &dir);
        Self { dir, spec, child: None }
    }

    /// Starts the supervisor and waits until it says that it is up.
    pub fn start(&mut self) {
        use std::io::Read as _;
        fs::write(self.dir.join(SPEC_FILE), serde_json::to_vec(&self.spec).expect("JSON")).expect("written");
        let mut child = Command::new(env!("CARGO_BIN_EXE_pillion-supervisor"))
            .arg(pillion_supervisor::VERB)
            .arg(&self.dir)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a supervisor");
        let mut said = [0; 3];
        child.stdout.take().expect("its output").read_exact(&mut said).expect("a supervisor that comes up");
        assert_eq!(&said, pillion_supervisor::UP.as_bytes());
        self.child = Some(child);
    }

    pub fn started(containers: Vec<ContainerSpec>) -> Self {
        let mut world = Self::new(containers);
        world.start();
        world
    }

    pub async fn client(&self) -> Client {
        Client::connect(&self.dir).await.expect("a supervisor that listens")
    }

    pub async fn request(&self, request: Request) {
        self.client().await.request(&request).await.expect("a request that is taken");
    }

    /// Moves to a changed spec.
    pub async fn update(&mut self, change: impl FnOnce(&mut InstanceSpec)) {
        self.spec.generation += 1;
        change(&mut self.spec);
        place(&mut self.spec, &self.dir);
        self.request(Request::Update { spec: Box::new(self.spec.clone()) }).await;
    }

    /// Runs a shell line in a container to its end.
    pub async fn exec(&self, container: &str, line: &str) {
        let argv = vec!["sh".into(), "-c".into(), line.into()];
        let exec = runtime::ExecSpec { argv, env: Vec::new(), cwd: None, user: None, terminal: false };
        let mut session = self.client().await.exec(container, exec, None).await.expect("a session");
        while session.output.recv().await.is_some() {}
    }

    /// Waits for a state and returns it with every event until then.
    pub async fn until(&self, what: impl Fn(&InstanceStatus) -> bool) -> (InstanceStatus, Vec<Event>) {
        let mut last = None;
        let wait = async {
            let mut watch = self.client().await.watch(0).await.expect("a watch");
            let mut events = Vec::new();
            loop {
                let (status, news) = watch.next().await.expect("a state").expect("a supervisor that lives");
                events.extend(news);
                if what(&status) {
                    return (status, events);
                }
                last = Some(status);
            }
        };
        match tokio::time::timeout(PATIENCE, wait).await {
            Ok(found) => found,
            Err(_) => panic!("it did not come to that; last: {last:#?}"),
        }
    }

    pub async fn until_ready(&self) -> InstanceStatus {
        self.until(|status| match &status.phase {
            InstancePhase::Failed { diagnosis } => panic!("it failed: {diagnosis:?}"),
            phase => *phase == InstancePhase::Ready,
        })
        .await
        .0
    }

    /// Stops in order; afterwards nothing may be left.
    pub async fn stop(mut self) {
        self.request(Request::Stop).await;
        let status = self.child.take().expect("a supervisor").wait().expect("its end");
        assert!(status.success(), "the supervisor ended with {status}");
        self.assert_nothing_left();
    }

    pub fn assert_nothing_left(&self) {
        assert!(!self.spec.sandbox.dir.exists(), "the sandbox's directory is left");
        assert!(self.pids().is_empty());
        let mounts = fs::read_to_string("/proc/self/mounts").expect("mounts");
        assert!(!mounts.contains(&self.spec.id), "a mount is left");
        for controller in fs::read_dir("/sys/fs/cgroup").expect("cgroups").flatten() {
            assert!(!controller.path().join(&self.spec.sandbox.cgroup).exists(), "a cgroup is left");
        }
    }

    /// Processes of the instance's containers.
    pub fn pids(&self) -> Vec<i32> {
        pillion_runtime::cgroup::Cgroup::at(&self.spec.sandbox.cgroup).expect("cgroups").pids()
    }

    pub fn kill_supervisor(&mut self) {
        let mut child = self.child.take().expect("a supervisor");
        child.kill().expect("killed");
        child.wait().expect("its end");
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
        let _ = sandbox::remove(&self.spec.sandbox);
        let _ = fs::remove_dir_all(&self.dir);
    }
}

/// A container that runs a shell line.
pub fn shell(name: &str, line: &str) -> ContainerSpec {
    ContainerSpec {
        run: runtime::ContainerSpec {
            name: name.into(),
            root: RootSpec { layers: Vec::new(), scratch: PathBuf::new(), read_only: false },
            argv: vec!["sh".into(), "-c".into(), line.into()],
            env: vec!["PATH=/bin".into()],
            cwd: "/".into(),
            user: String::new(),
            mounts: Vec::new(),
            limits: Limits::default(),
            rlimits: Vec::new(),
            shm_size: 1 << 20,
            terminal: false,
        },
        main: false,
        port: None,
        depends_on: Vec::new(),
        startup: None,
        readiness: None,
        liveness: None,
        restart: RestartPolicy::Always,
        essential: false,
        stop_signal: 15,
        stop_grace_ms: 2_000,
    }
}

/// A shell that does its work and then waits for SIGTERM, upon which it ends at once.
pub fn waiting(name: &str, line: &str) -> ContainerSpec {
    shell(name, &format!("trap 'exit 0' TERM; {line}\nwhile :; do sleep 100 & wait $!; done"))
}

/// A main that serves 200s on a port.
pub fn web(port: u16) -> ContainerSpec {
    let mut spec = shell("web", &format!("mkdir -p /www; echo hello > /www/index.html; exec httpd -f -p {port} -h /www"));
    spec.main = true;
    spec.essential = true;
    spec.port = Some(port);
    spec
}

pub fn container<'a>(status: &'a InstanceStatus, name: &str) -> &'a ContainerStatus {
    status.containers.iter().find(|c| c.name == name).expect("a container of that name")
}

pub fn pid(status: &InstanceStatus, name: &str) -> i32 {
    match container(status, name).phase {
        ContainerPhase::Running { pid, .. } => pid,
        ref other => panic!("`{name}` does not run: {other:?}"),
    }
}

/// Fills in where things lie.
fn place(spec: &mut InstanceSpec, dir: &Path) {
    spec.sandbox.host_names = spec.containers.iter().map(|c| c.run.name.clone()).collect();
    for c in &mut spec.containers {
        c.run.root.layers = vec![dir.join("image")];
        c.run.root.scratch = dir.join("scratch").join(&c.run.name);
    }
}

/// A root with one static program and its names.
fn busybox(image: &Path) {
    let bin = image.join("bin");
    fs::create_dir_all(&bin).expect("a directory");
    for dir in ["proc", "sys", "dev", "etc", "tmp", "run"] {
        fs::create_dir_all(image.join(dir)).expect("a directory");
    }
    fs::copy("/usr/bin/busybox", bin.join("busybox")).expect("busybox (apt-get install busybox-static)");
    for name in [
        "sh", "cat", "ls", "echo", "sleep", "true", "false", "httpd", "nc", "dd", "head", "tr", "wc", "stty", "seq", "mkdir",
        "touch", "grep", "yes", "tail", "rm", "id", "kill", "readlink", "printf",
    ] {
        std::os::unix::fs::symlink("busybox", bin.join(name)).expect("a link");
    }
}
