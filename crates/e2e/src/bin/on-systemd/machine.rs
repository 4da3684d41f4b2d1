//! The machine: systemd, its journal, its processes, its power.

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::OnceLock,
    time::Duration,
};

use pillion_e2e::{Ran, Running, until};

/// Where what is to be installed lies.
pub const PAYLOAD: &str = "/payload";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Power {
    Reboot,
    Cut,
    Off,
}

/// Ends this boot.
pub fn turn(power: Power) {
    match power {
        Power::Reboot => {
            ok("systemctl", &["reboot"]);
        }
        // At once: no process is told, nothing is written back.
        Power::Cut => fs::write("/proc/sysrq-trigger", "b").expect("the kernel takes the order"),
        Power::Off => {
            console("vm-done");
            // Nothing of this machine is looked at any more.
            ok("systemctl", &["poweroff", "--force", "--force"]);
        }
    }
}

/// Writes a line where the outside reads; a new one, since systemd sends the terminal commands that end without.
pub fn console(line: &str) {
    let mut console = fs::OpenOptions::new().write(true).open("/dev/console").expect("there is a console");
    console.write_all(format!("\n{line}\n").as_bytes()).expect("the console takes a line");
}

/// Runs a command to its end.
pub fn run(program: &str, args: &[&str]) -> Ran {
    Running::start(Command::new(program).args(args).env("NO_COLOR", "1")).finish()
}

/// Runs a command that has to succeed; returns its stdout.
pub fn ok(program: &str, args: &[&str]) -> String {
    let ran = run(program, args);
    assert!(ran.code == 0, "{program} {args:?} ended with {}:\n{}", ran.code, ran.said());
    ran.stdout
}

pub fn pillion(args: &[&str]) -> Ran {
    run("/usr/local/bin/pillion", args)
}

pub fn systemctl(args: &[&str]) -> String {
    ok("systemctl", args)
}

/// A property of the service.
pub fn property(name: &str) -> String {
    systemctl(&["show", "pillion", "--value", "--property", name]).trim().to_owned()
}

/// The server's process id, as systemd knows it.
pub fn main_pid() -> i32 {
    property("MainPID").parse().expect("a process id")
}

/// What the service has said since the machine was booted.
pub fn journal() -> String {
    ok("journalctl", &["--boot", "--unit", "pillion", "--output", "cat", "--no-pager"])
}

pub fn systemd_version() -> u32 {
    static VERSION: OnceLock<u32> = OnceLock::new();
    *VERSION.get_or_init(|| {
        let text = ok("systemctl", &["--version"]);
        text.split_whitespace().nth(1).and_then(|word| word.parse().ok()).unwrap_or_else(|| panic!("no version in {text}"))
    })
}

/// Whether this systemd starts services in a leaf of their own group (`DelegateSubgroup=`).
pub fn knows_leaves() -> bool {
    systemd_version() >= 254
}

/// The directory of a process's control group.
pub fn group(pid: i64) -> PathBuf {
    let text = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_else(|error| panic!("process {pid}: {error}"));
    let path = text.lines().find_map(|line| line.strip_prefix("0::/")).unwrap_or_else(|| panic!("no unified group in {text}"));
    PathBuf::from("/sys/fs/cgroup").join(path)
}

/// The processes of the installed programs.
pub fn own_processes() -> Vec<i32> {
    let pids = fs::read_dir("/proc").expect("processes").flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let ours = ["/usr/local/bin/pillion", "/usr/local/bin/pillion-supervisor"].map(Path::new);
    let is_ours = |pid: &i32| fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|exe| ours.contains(&exe.as_path()));
    let mut pids: Vec<i32> = pids.filter(is_ours).collect();
    pids.sort_unstable();
    pids
}

/// When the machine was booted, in seconds since 1970.
pub fn booted_at() -> u64 {
    let text = fs::read_to_string("/proc/stat").expect("the kernel's figures");
    let time = text.lines().find_map(|line| line.strip_prefix("btime ")).and_then(|word| word.parse().ok());
    time.expect("the time of the boot")
}

/// Starts the registry and waits until it can be asked.
pub fn start_registry() {
    systemctl(&["start", "registry"]);
    until("the registry listens", Duration::from_secs(30), || {
        std::net::TcpStream::connect(("127.0.0.1", 5000)).is_ok().then_some(())
    });
}

/// For people: the state of everything when a check has failed.
pub fn show_what_happened() {
    let asked: &[&[&str]] = &[
        &["systemctl", "status", "--no-pager", "--lines", "0", "pillion"],
        &["journalctl", "--boot", "--no-pager", "--lines", "60", "--output", "short-monotonic"],
        &["journalctl", "--boot", "-1", "--no-pager", "--lines", "60", "--output", "short-monotonic"],
        &["/usr/local/bin/pillion", "system", "info"],
        &["/usr/local/bin/pillion", "status", "shop"],
        &["ps", "-ef"],
    ];
    for words in asked {
        let output = Command::new(words[0]).args(&words[1..]).stdin(Stdio::null()).output();
        let said = output.map(|output| [output.stdout, output.stderr].concat()).unwrap_or_default();
        console(&format!("-- {}\n{}", words.join(" "), String::from_utf8_lossy(&said)));
    }
}
