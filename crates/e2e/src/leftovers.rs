//! Everything on the machine that belongs to one copy, as values to be compared before and after.

use std::{
    collections::BTreeSet,
    fmt, fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use crate::{Copy, chaos, until};

/// What of a copy is on the machine.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Leftovers {
    /// Role and number of each process.
    pub processes: BTreeSet<String>,
    /// Mount points below its directories, pinned namespaces among them.
    pub mounts: BTreeSet<String>,
    /// Control groups in every hierarchy.
    pub cgroups: BTreeSet<String>,
    /// Its bridge and what is attached to it.
    pub links: BTreeSet<String>,
    /// Packet filter tables and the addresses in their sets.
    pub rules: BTreeSet<String>,
    /// Files and directories below its run and state directories, images and the database's own files aside.
    pub files: BTreeSet<String>,
    /// Lines of `/etc/subuid` and `/etc/subgid` for its apps.
    pub ids: BTreeSet<String>,
}

impl Leftovers {
    /// Looks at the machine.
    pub fn of(copy: &Copy) -> Leftovers {
        let run = copy.run_dir();
        let mut found = Leftovers {
            processes: chaos::processes(copy)
                .into_iter()
                .map(|p| format!("{:?} {} {}", p.role, p.pid, p.instance.unwrap_or_default()))
                .collect(),
            mounts: mounts()
                .into_iter()
                .filter(|at| at.starts_with(&run) || at.starts_with(copy.root()))
                .map(|at| at.display().to_string())
                .collect(),
            ids: ids(copy),
            ..Leftovers::default()
        };
        files(&run, &mut found.files);
        files(&copy.root().join("lib"), &mut found.files);
        if let Some(name) = copy.cgroup_name() {
            found.cgroups = cgroups(&name);
            found.links = links(&name);
            found.rules = rules(&name);
        }
        found
    }

    /// Nothing that the kernel keeps: what is left are files at most.
    pub fn is_quiet(&self) -> bool {
        let kernel = [&self.processes, &self.mounts, &self.cgroups, &self.links, &self.rules];
        kernel.iter().all(|kind| kind.is_empty())
    }

    /// Waits until the machine looks like this again.
    ///
    /// # Panics
    /// It does not within 20 seconds; the message carries the difference.
    pub fn again(&self, copy: &Copy, when: &str) {
        self.again_but(copy, when, |_| {});
    }

    /// Waits until the machine looks like this again but for what `strip` takes away.
    ///
    /// # Panics
    /// It does not within 20 seconds; the message carries the difference.
    pub fn again_but(&self, copy: &Copy, when: &str, strip: impl Fn(&mut Leftovers)) {
        let look = || {
            let mut now = Leftovers::of(copy);
            strip(&mut now);
            now
        };
        let mut wanted = self.clone();
        strip(&mut wanted);
        let began = std::time::Instant::now();
        let mut last = look();
        until(&format!("{when}: as before"), Duration::from_secs(25), || {
            last = look();
            // Past the deadline the difference says more than the fact.
            assert!(last == wanted || began.elapsed() < Duration::from_secs(20), "{when}:{}", Difference(&wanted, &last));
            (last == wanted).then_some(())
        });
    }
}

struct Difference<'a>(&'a Leftovers, &'a Leftovers);

impl fmt::Display for Difference<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Difference(before, after) = self;
        let kinds = [
            ("process", &before.processes, &after.processes),
            ("mount", &before.mounts, &after.mounts),
            ("cgroup", &before.cgroups, &after.cgroups),
            ("link", &before.links, &after.links),
            ("rule", &before.rules, &after.rules),
            ("file", &before.files, &after.files),
            ("id range", &before.ids, &after.ids),
        ];
        for (kind, before, after) in kinds {
            after.difference(before).try_for_each(|new| write!(f, "\n  left behind: {kind} {new}"))?;
            before.difference(after).try_for_each(|gone| write!(f, "\n  missing: {kind} {gone}"))?;
        }
        Ok(())
    }
}

fn mounts() -> Vec<PathBuf> {
    let text = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    text.lines().filter_map(|line| line.split(' ').nth(4)).map(PathBuf::from).collect()
}

/// Every mount point of a control group hierarchy, and below each the groups that belong to `name`.
fn cgroups(name: &str) -> BTreeSet<String> {
    let text = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let mut found = BTreeSet::new();
    for line in text.lines().filter(|line| line.contains(" - cgroup")) {
        let Some(point) = line.split(' ').nth(4) else { continue };
        groups_below(Path::new(point), name, 0, &mut found);
    }
    found
}

/// A copy's group may lie below the group that its server was started in, so the search goes a few levels down.
fn groups_below(dir: &Path, name: &str, depth: usize, found: &mut BTreeSet<String>) {
    for entry in
        fs::read_dir(dir).into_iter().flatten().flatten().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
    {
        if entry.file_name() == name {
            found.insert(entry.path().display().to_string());
            directories(&entry.path(), found);
        } else if depth < 3 {
            groups_below(&entry.path(), name, depth + 1, found);
        }
    }
}

fn directories(dir: &Path, found: &mut BTreeSet<String>) {
    for entry in
        fs::read_dir(dir).into_iter().flatten().flatten().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
    {
        found.insert(entry.path().display().to_string());
        directories(&entry.path(), found);
    }
}

fn links(bridge: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for entry in fs::read_dir("/sys/class/net").into_iter().flatten().flatten() {
        let master = fs::read_link(entry.path().join("master")).ok();
        let of_bridge = master.is_some_and(|master| master.file_name().is_some_and(|name| name == bridge));
        if entry.file_name() == bridge || of_bridge {
            found.insert(entry.file_name().to_string_lossy().into_owned());
        }
    }
    found
}

/// Lines that name the copy's table, bridge or, within its table, anything at all.
fn rules(bridge: &str) -> BTreeSet<String> {
    let output = Command::new("nft").args(["list", "ruleset"]).output().expect("nft, of Debian's nftables, runs");
    let text = String::from_utf8_lossy(&output.stdout);
    let mut within = false;
    let mut found = BTreeSet::new();
    for line in text.lines() {
        if line.starts_with("table ") {
            within = line.split_whitespace().any(|word| word == bridge);
        }
        // Counters change with every packet.
        if (within && !line.contains("counter")) || line.contains(&format!("\"{bridge}\"")) {
            found.insert(line.trim().to_owned());
        }
    }
    found
}

fn files(dir: &Path, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with("state.db") || name == "images" {
            continue;
        }
        found.insert(path.display().to_string());
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            files(&path, found);
        }
    }
}

fn ids(copy: &Copy) -> BTreeSet<String> {
    // The copy's own list says which blocks are its apps'; a line without an app in the list is another copy's.
    let held = fs::read_to_string(copy.root().join("lib/ids.json")).unwrap_or_default();
    let starts: Vec<&str> = held.split(|c: char| !c.is_ascii_digit()).filter(|word| word.len() >= 9).collect();
    let lines = |file: &str| {
        let text = fs::read_to_string(file).unwrap_or_default();
        let ours = |line: &&str| line.split(':').nth(1).is_some_and(|start| starts.contains(&start));
        text.lines().filter(ours).map(|line| format!("{file}: {line}")).collect::<Vec<_>>()
    };
    ["/etc/subuid", "/etc/subgid"].into_iter().flat_map(lines).collect()
}
