//! Programs into the tree, with all the shared libraries that they and those need.

use std::{
    collections::{BTreeSet, VecDeque},
    fs,
    path::{Path, PathBuf},
};

use super::{
    PackError,
    elf::{Kind, Machine, Object, kind},
    search::{By, Search, expand},
    tree::{Entry, Tree, read},
};

/// glibc loads these by name at run time, to look up users and hosts; no header mentions them.
const NAME_SERVICE: [&str; 3] = ["libnss_files.so.2", "libnss_dns.so.2", "libresolv.so.2"];

/// What was found on the way.
#[derive(Debug, Default)]
pub(super) struct Closure {
    pub(super) libraries: BTreeSet<PathBuf>,
    pub(super) warnings: Vec<String>,
    pub(super) machine: Option<Machine>,
}

/// An object whose needs are to be met.
struct Waiting {
    /// Where it is on this host.
    path: PathBuf,
    object: Object,
    /// DT_RPATH of what loads it: it counts for what is loaded in turn.
    inherited: Vec<PathBuf>,
    need: Need,
}

/// What a missing library means.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Need {
    /// The program was asked for: packing fails.
    Must,
    /// It merely lies in an added directory (a plug-in, a build for another system): a warning.
    May,
}

struct Collector<'a> {
    tree: &'a mut Tree,
    /// Files of this host that are in the tree at places of their own.
    added: BTreeSet<PathBuf>,
    search: Search,
    seen: BTreeSet<PathBuf>,
    waiting: VecDeque<Waiting>,
    found: Closure,
    /// Where glibc is, a directory that the image's linker surely searches, and for which machine.
    libc: Option<(PathBuf, Machine)>,
    /// Libraries outside such directories, to be linked into one.
    strays: Vec<(String, PathBuf)>,
}

/// Adds programs and everything that they, and ELF files already in the tree, need. `entrypoint` is what the image starts.
pub(super) fn add_programs(tree: &mut Tree, programs: &[PathBuf], entrypoint: Option<&str>) -> Result<Closure, PackError> {
    let started = entrypoint.and_then(|path| match tree.get(Path::new(path)) {
        Some(Entry::File { source, .. }) => Some(source.clone()),
        Some(Entry::Directory { .. } | Entry::Link { .. } | Entry::Inline { .. }) | None => None,
    });
    let added: BTreeSet<PathBuf> = tree.host_files().map(|(_, source)| source.to_owned()).collect();
    let mut collector = Collector {
        tree,
        added: added.clone(),
        search: Search::of_host(),
        seen: BTreeSet::new(),
        waiting: VecDeque::new(),
        found: Closure::default(),
        libc: None,
        strays: Vec::new(),
    };
    for program in programs {
        let program = std::path::absolute(program).map_err(|source| PackError::Read { path: program.clone(), source })?;
        collector.program(&program, 0)?;
    }
    for file in added {
        let need = if Some(&file) == started.as_ref() { Need::Must } else { Need::May };
        collector.added_file(&file, need);
    }
    collector.run()?;
    collector.name_service()?;
    collector.link_strays()?;
    Ok(collector.found)
}

impl Collector<'_> {
    fn program(&mut self, path: &Path, depth: usize) -> Result<(), PackError> {
        self.tree.add_host_path(path)?;
        match kind(path).map_err(|source| PackError::Elf { path: path.to_owned(), source })? {
            Kind::Elf(object) => {
                self.found.machine.get_or_insert(object.machine);
                self.push(path, *object, Vec::new(), Need::Must);
                Ok(())
            }
            Kind::Script { interpreter } if depth < 4 => self.program(&interpreter, depth + 1),
            Kind::Script { .. } => Err(PackError::Loop { path: path.to_owned() }),
            Kind::Other => Err(PackError::Unfit { path: path.to_owned(), reason: "it is neither an ELF program nor a script" }),
        }
    }

    fn added_file(&mut self, source: &Path, need: Need) {
        match kind(source) {
            Ok(Kind::Elf(object)) => {
                if need == Need::Must {
                    self.found.machine.get_or_insert(object.machine);
                }
                self.push(source, *object, Vec::new(), need);
            }
            Ok(Kind::Script { .. } | Kind::Other) => {}
            // Test data may look like ELF; it is packed as it is.
            Err(error) => self.found.warnings.push(format!("{} was packed without its libraries: {error}", source.display())),
        }
    }

    fn push(&mut self, path: &Path, object: Object, inherited: Vec<PathBuf>, need: Need) {
        // One object under two names is loaded once.
        let real = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        if self.seen.insert(real) {
            self.waiting.push_back(Waiting { path: path.to_owned(), object, inherited, need });
        }
    }

    fn run(&mut self) -> Result<(), PackError> {
        while let Some(Waiting { path, object, inherited, need }) = self.waiting.pop_front() {
            if let Some(interpreter) = &object.interpreter
                && self.tree.get(interpreter).is_none()
            {
                if need == Need::May && !interpreter.is_file() {
                    // A program for another system among what was added: nothing of this host could serve it.
                    let warning = format!("{} needs {}, which this host does not have", path.display(), interpreter.display());
                    self.found.warnings.push(warning);
                    continue;
                }
                self.tree.add_host_path(interpreter)?;
                self.found.libraries.insert(interpreter.clone());
            }
            let real = read(&path, fs::canonicalize)?;
            let origin = real.parent().unwrap_or(Path::new("/"));
            let runpath = expand(&object.runpath, origin);
            // DT_RUNPATH silences DT_RPATH, and counts only for the object's own needs (ld.so(8)).
            let rpath = if runpath.is_empty() { expand(&object.rpath, origin) } else { Vec::new() };
            let passed_on: Vec<PathBuf> = rpath.iter().chain(&inherited).cloned().collect();
            let own: Vec<PathBuf> = if runpath.is_empty() { passed_on.clone() } else { runpath };
            for name in &object.needed {
                self.library(name, &path, object.machine, &own, &passed_on, need)?;
            }
        }
        Ok(())
    }

    fn library(
        &mut self,
        name: &str,
        program: &Path,
        machine: Machine,
        own: &[PathBuf],
        passed_on: &[PathBuf],
        need: Need,
    ) -> Result<(), PackError> {
        let Some(found) = self.search.find(name, machine, own) else {
            return self.missing(name, program, own, need);
        };
        let real = read(&found.path, fs::canonicalize)?;
        if !self.added.contains(&real) && self.tree.get(&found.path).is_none() {
            self.tree.add_host_path(&found.path)?;
        }
        self.found.libraries.insert(found.path.clone());
        if name == "libc.so.6" && self.libc.is_none() {
            self.libc = found.path.parent().map(|dir| (dir.to_owned(), machine));
        }
        if found.by == By::Host {
            self.strays.push((name.to_owned(), found.path.clone()));
        }
        match kind(&found.path) {
            Ok(Kind::Elf(object)) => self.push(&found.path, *object, passed_on.to_vec(), need),
            Ok(Kind::Script { .. } | Kind::Other) => {}
            Err(source) => return Err(PackError::Elf { path: found.path, source }),
        }
        Ok(())
    }

    fn missing(&mut self, name: &str, program: &Path, own: &[PathBuf], need: Need) -> Result<(), PackError> {
        // It may be among what was added, where only the image's own settings lead.
        if self.tree.entries().any(|(path, _)| path.file_name().is_some_and(|file| file == name)) {
            return Ok(());
        }
        match need {
            Need::Must => Err(PackError::LibraryMissing {
                program: program.to_owned(),
                library: name.to_owned(),
                searched: self.search.directories(own),
            }),
            Need::May => {
                self.found.warnings.push(format!("{} needs {name}, which this host does not have", program.display()));
                Ok(())
            }
        }
    }

    fn name_service(&mut self) -> Result<(), PackError> {
        let Some((dir, machine)) = self.libc.clone() else { return Ok(()) };
        for name in NAME_SERVICE {
            if dir.join(name).is_file() {
                self.library(name, &dir.join("libc.so.6"), machine, std::slice::from_ref(&dir), &[], Need::May)?;
            }
        }
        self.run()
    }

    /// The image has no linker cache, so what only the cache knew is linked to where the linker looks by itself.
    fn link_strays(&mut self) -> Result<(), PackError> {
        let Some((dir, _)) = self.libc.clone() else { return Ok(()) };
        for (name, path) in std::mem::take(&mut self.strays) {
            self.tree.put_missing(&dir.join(name), Entry::Link { target: path })?;
        }
        Ok(())
    }
}
