//! Killing processes of one copy: which ones there are, and a seeded hand that chooses among them.

use std::{collections::BTreeMap, fs, path::Path, time::Duration};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal},
};

use crate::Copy;

/// Chance that can be repeated: the same seed chooses the same.
pub struct Dice {
    state: u64,
}

impl From<u64> for Dice {
    fn from(seed: u64) -> Dice {
        Dice { state: seed }
    }
}

impl Dice {
    /// Takes the seed from `PILLION_SEED` or the clock, and says it, so that a failure can be repeated.
    pub fn seeded(test: &str) -> Dice {
        let given = std::env::var("PILLION_SEED").ok().and_then(|text| text.parse().ok());
        let clock =
            || std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(1, |since| since.subsec_nanos().into());
        let seed = given.unwrap_or_else(clock);
        eprintln!("{test}: PILLION_SEED={seed}");
        Dice { state: seed }
    }

    /// Returns a number below `bound`, which is not 0 (splitmix64).
    pub fn below(&mut self, bound: u64) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }

    /// Returns one of them.
    pub fn one<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len() as u64) as usize]
    }

    /// Waits a while below `most`: the moment of a kill is chance.
    pub fn linger(&mut self, most: Duration) {
        std::thread::sleep(Duration::from_micros(self.below(most.as_micros() as u64 + 1)));
    }
}

/// What a process of a copy is there for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    Server,
    Gateway,
    Supervisor,
    Warden,
    Helper,
    /// Runs in a container.
    Contained,
}

/// A process of a copy.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Process {
    pub role: Role,
    pub pid: i32,
    /// The instance it belongs to.
    pub instance: Option<String>,
}

/// Returns how long a process has lived, to a hundredth of a second (proc_pid_stat(5), `starttime`); none if it is gone.
pub fn age(pid: i32) -> Option<Duration> {
    const TICKS_A_SECOND: f64 = 100.0;
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name before the last `)` may hold spaces; the start is the 20th field after it.
    let began: f64 = stat.rsplit_once(')')?.1.split_whitespace().nth(19)?.parse().ok()?;
    let up: f64 = fs::read_to_string("/proc/uptime").ok()?.split_whitespace().next()?.parse().ok()?;
    Duration::try_from_secs_f64(up - began / TICKS_A_SECOND).ok()
}

/// Finds every process that belongs to a copy, by its arguments, its parents and its control group.
pub fn processes(copy: &Copy) -> Vec<Process> {
    let run = copy.run_dir();
    let runs = run.join("i");
    let group = copy.cgroup_name();
    let all: BTreeMap<i32, Seen> = pids().filter_map(|pid| Some((pid, Seen::of(pid)?))).collect();
    let mut found: Vec<Process> =
        all.iter().filter_map(|(pid, seen)| classify(&all, *pid, seen, copy, &run, &runs, group.as_deref())).collect();
    found.sort();
    found
}

/// The processes of one role.
pub fn of_role(copy: &Copy, role: Role) -> Vec<Process> {
    processes(copy).into_iter().filter(|process| process.role == role).collect()
}

/// Kills a process and waits for its end; returns whether it was there.
pub fn kill(pid: i32) -> bool {
    let Some(pid) = Pid::from_raw(pid) else { return false };
    let Ok(process) = pidfd_open(pid, PidfdFlags::empty()) else { return false };
    if pidfd_send_signal(&process, Signal::KILL).is_err() {
        return false;
    }
    let mut gone = [PollFd::new(&process, PollFlags::IN)];
    let _ = poll(&mut gone, Some(&Timespec { tv_sec: 10, tv_nsec: 0 }));
    true
}

/// Kills the next helper that any supervisor of these starts; returns its role, or none if none came in time.
pub fn kill_next_helper(supervisors: impl Fn() -> Vec<i32>, within: Duration, mut moment: impl FnMut()) -> Option<String> {
    let deadline = std::time::Instant::now() + within;
    while std::time::Instant::now() < deadline {
        for parent in supervisors() {
            let children = fs::read_to_string(format!("/proc/{parent}/task/{parent}/children")).unwrap_or_default();
            for pid in children.split_whitespace().filter_map(|word| word.parse().ok()) {
                let Some(process) = Pid::from_raw(pid).and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok()) else {
                    continue;
                };
                let words = words(pid);
                if words.get(1).is_none_or(|verb| verb != "__runtime") {
                    continue;
                }
                moment();
                if pidfd_send_signal(&process, Signal::KILL).is_ok() {
                    return Some(words.get(2).cloned().unwrap_or_default());
                }
            }
        }
        std::thread::yield_now();
    }
    None
}

struct Seen {
    parent: i32,
    name: String,
    words: Vec<String>,
    groups: String,
}

impl Seen {
    fn of(pid: i32) -> Option<Seen> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let (head, tail) = stat.rsplit_once(')')?;
        let mut fields = tail.split_whitespace();
        let state = fields.next()?;
        if state == "Z" {
            // Its parent will reap it; nothing of it runs.
            return None;
        }
        Some(Seen {
            parent: fields.next()?.parse().ok()?,
            name: head.split_once('(')?.1.to_owned(),
            words: words(pid),
            groups: fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?,
        })
    }
}

fn classify(
    all: &BTreeMap<i32, Seen>,
    pid: i32,
    seen: &Seen,
    copy: &Copy,
    run: &Path,
    runs: &Path,
    group: Option<&str>,
) -> Option<Process> {
    // First, because what runs in a container may have any name and arguments.
    let mark = group.map(|group| format!("/{group}/"));
    if let Some((_, below)) = mark.and_then(|mark| seen.groups.lines().find_map(|line| line.split_once(&mark))) {
        return Some(Process { role: Role::Contained, pid, instance: below.split('/').next().map(str::to_owned) });
    }
    let verb = seen.words.get(1).map(String::as_str).unwrap_or_default();
    let named =
        || seen.words.iter().find_map(|word| Some(Path::new(word).strip_prefix(runs).ok()?.to_string_lossy().into_owned()));
    let (role, instance) = match verb {
        "serve" => (environment_names(pid, copy.root()).then_some(Role::Server)?, None),
        "gateway" => (seen.words.iter().any(|word| Path::new(word).starts_with(run)).then_some(Role::Gateway)?, None),
        "supervise" => {
            let instance = named()?;
            (if seen.name == "pillion-warden" { Role::Warden } else { Role::Supervisor }, Some(instance))
        }
        "__runtime" => {
            let parent = all.get(&seen.parent)?;
            let instance = parent
                .words
                .iter()
                .find_map(|word| Some(Path::new(word).strip_prefix(runs).ok()?.to_string_lossy().into_owned()))?;
            (Role::Helper, Some(instance))
        }
        _ => return None,
    };
    Some(Process { role, pid, instance })
}

fn environment_names(pid: i32, root: &Path) -> bool {
    let wanted = format!("PILLION_ROOT={}", root.display());
    fs::read(format!("/proc/{pid}/environ")).is_ok_and(|text| text.split(|byte| *byte == 0).any(|one| one == wanted.as_bytes()))
}

fn words(pid: i32) -> Vec<String> {
    let text = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    text.split(|byte| *byte == 0).filter(|word| !word.is_empty()).map(|word| String::from_utf8_lossy(word).into_owned()).collect()
}

fn pids() -> impl Iterator<Item = i32> {
    fs::read_dir("/proc").into_iter().flatten().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
}
