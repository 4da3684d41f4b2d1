//! What a test works in: a bridge, a directory and control groups of its own, all gone when it ends.

use std::{
    fs,
    net::Ipv4Addr,
    os::{fd::AsFd, unix::process::CommandExt},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    thread,
    time::{Duration, Instant},
};

use pillion_runtime::{
    cgroup::Cgroup,
    helper::Launcher,
    network::{self, BridgeSpec},
    sandbox::{self, Namespace, Sandbox},
    spec::{IdRange, NetworkSpec, SandboxSpec},
};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

static COUNT: AtomicU32 = AtomicU32::new(0);

/// Ids far from those of anybody else on a test machine.
pub const IDS: IdRange = IdRange { start: 1_700_000_000, len: 65_536 };

pub struct World {
    pub name: String,
    pub bridge: BridgeSpec,
    pub dir: PathBuf,
    sandboxes: Vec<SandboxSpec>,
}

impl World {
    /// Makes the bridge and an empty directory.
    pub fn new() -> Self {
        let number = std::process::id().wrapping_mul(3).wrapping_add(COUNT.fetch_add(1, Ordering::Relaxed));
        let name = format!("pt{:x}", number & 0xff_ffff);
        let [_, _, high, low] = number.to_be_bytes();
        let net = Ipv4Addr::new(10, 192 | (high & 63), low, 0);
        let gateway = Ipv4Addr::from_bits(net.to_bits() | 1);
        let bridge = BridgeSpec { name: name.clone(), subnet: (net, 24), gateway };
        network::ensure_bridge(&bridge).expect("a bridge");
        let dir = Path::new("/run").join(format!("pillion-test-{name}"));
        fs::create_dir_all(&dir).expect("a directory");
        Self { name, bridge, dir, sandboxes: Vec::new() }
    }

    pub fn address(&self, host: u8) -> Ipv4Addr {
        Ipv4Addr::from_bits(self.bridge.subnet.0.to_bits() | u32::from(host))
    }

    /// The spec of a sandbox that is not made yet but will be removed at the end.
    pub fn spec(&mut self, id: &str, host: u8, ids: Option<IdRange>) -> SandboxSpec {
        let dir = self.dir.join(id);
        fs::create_dir_all(&dir).expect("a directory");
        let spec = SandboxSpec {
            dir,
            hostname: format!("{id}-host"),
            ids,
            network: NetworkSpec::Bridged {
                bridge: self.name.clone(),
                address: self.address(host),
                prefix: 24,
                gateway: self.bridge.gateway,
                nameservers: vec!["192.0.2.53".into()],
                search: vec![],
            },
            cgroup: Path::new(&format!("pillion-test-{}", self.name)).join(id),
            host_names: vec!["web".into(), "cache".into()],
        };
        self.sandboxes.push(spec.clone());
        spec
    }

    pub fn sandbox(&mut self, id: &str, host: u8) -> Sandbox {
        let spec = self.spec(id, host, Some(IDS));
        Sandbox::create(&launcher(), &spec).expect("a sandbox")
    }

    /// Everything on this host that bears the name of this world or is in its directory.
    pub fn traces(&self) -> Vec<String> {
        let mut traces = Vec::new();
        let marks = [self.name.clone(), format!("pillion-test-{}", self.name)];
        let mounts = fs::read_to_string("/proc/self/mountinfo").expect("mounts");
        let below = format!("{}/", self.dir.display());
        traces.extend(mounts.lines().filter(|line| line.contains(&below)).map(str::to_owned));
        let links = fs::read_dir("/sys/class/net").expect("links").flatten();
        traces.extend(links.map(|link| link.file_name().to_string_lossy().into_owned()).filter(|link| {
            marks.contains(link)
                || fs::read_link(format!("/sys/class/net/{link}/master")).is_ok_and(|to| to.ends_with(&self.name))
        }));
        traces.extend(cgroup_dirs(&marks[1]));
        if network::has_rules(&self.name).expect("tables") {
            traces.push(format!("nft table {}", self.name));
        }
        traces.extend(fs::read_dir(&self.dir).into_iter().flatten().flatten().map(|entry| entry.path().display().to_string()));
        traces
    }
}

impl Drop for World {
    fn drop(&mut self) {
        for spec in &self.sandboxes {
            sandbox::remove(spec).expect("the sandbox is removable");
        }
        network::teardown(&self.name).expect("the bridge is removable");
        let parent = Cgroup::at(Path::new(&format!("pillion-test-{}", self.name))).expect("control groups");
        parent.remove(Duration::from_secs(10)).expect("the control group is removable");
        fs::remove_dir_all(&self.dir).expect("the directory is removable");
    }
}

pub fn launcher() -> Launcher {
    Launcher::new(env!("CARGO_BIN_EXE_pillion-runtime-door"))
}

/// Runs `work` on a thread inside a sandbox's network namespace.
pub fn inside<T: Send + 'static>(sandbox: &Sandbox, work: impl FnOnce() -> T + Send + 'static) -> T {
    in_netns(&sandbox.namespace(Namespace::Net).expect("a network namespace"), work)
}

pub fn in_netns<T: Send + 'static>(pin: &Path, work: impl FnOnce() -> T + Send + 'static) -> T {
    let netns = fs::File::open(pin).expect("a namespace");
    let thread = thread::spawn(move || {
        move_into_link_name_space(netns.as_fd(), Some(LinkNameSpaceType::Network)).expect("setns");
        work()
    });
    thread.join().expect("the work inside succeeds")
}

/// Starts a shell script whose process is in `cgroup` from its first instruction on.
pub fn start_in(cgroup: &Cgroup, script: &str) -> Running {
    let mut command = Command::new("/bin/sh");
    // It waits for a line until it was moved.
    command.arg("-c").arg(format!("read go; {script}")).stdin(Stdio::piped()).stdout(Stdio::null()).process_group(0);
    let mut child = command.spawn().expect("a shell");
    cgroup.add(child.id() as i32).expect("moved");
    std::io::Write::write_all(&mut child.stdin.take().expect("a pipe"), b"go\n").expect("the shell reads");
    Running(child)
}

/// A child that is killed and reaped when dropped.
pub struct Running(pub Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Awaits a condition for which the kernel has no event.
pub fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !condition() {
        assert!(Instant::now() < deadline, "not within 20 s: {what}");
        thread::sleep(Duration::from_millis(2));
    }
}

fn cgroup_dirs(name: &str) -> Vec<String> {
    let mut roots = vec![PathBuf::from("/sys/fs/cgroup")];
    roots.extend(fs::read_dir("/sys/fs/cgroup").into_iter().flatten().flatten().map(|entry| entry.path()));
    roots.iter().map(|root| root.join(name)).filter(|path| path.exists()).map(|path| path.display().to_string()).collect()
}
