//! Where the dynamic linker looks: the order of ld.so(8), read from its cache and configuration, never by running it.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use super::elf::{Kind, Machine, kind};

/// Built into most linkers; the multiarch directories are Debian's.
const DEFAULT: [&str; 10] = [
    "/lib/x86_64-linux-gnu",
    "/usr/lib/x86_64-linux-gnu",
    "/lib/aarch64-linux-gnu",
    "/usr/lib/aarch64-linux-gnu",
    "/lib64",
    "/usr/lib64",
    "/lib",
    "/usr/lib",
    "/usr/local/lib64",
    "/usr/local/lib",
];

/// What this host's linker knows.
#[derive(Debug, Default)]
pub(super) struct Search {
    /// Paths by library name, best first.
    cache: BTreeMap<String, Vec<PathBuf>>,
    configured: Vec<PathBuf>,
}

/// A library as found.
pub(super) struct Found {
    pub(super) path: PathBuf,
    pub(super) by: By,
}

/// Which rule found it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum By {
    /// A path that the program itself carries: it works in the image too.
    Own,
    /// The host's cache or configuration, which the image does not have.
    Host,
    /// A directory that linkers search by themselves.
    Default,
}

impl Search {
    /// Reads the host's cache and configuration; without them the default directories remain.
    pub(super) fn of_host() -> Self {
        let cache = fs::read("/etc/ld.so.cache").ok().and_then(|bytes| parse_cache(&bytes)).unwrap_or_default();
        let mut configured = Vec::new();
        read_configuration(Path::new("/etc/ld.so.conf"), &mut configured, 0);
        Self { cache, configured }
    }

    /// Finds a library that fits `wanted`; `own` are the run paths that count for what needs it, expanded.
    pub(super) fn find(&self, name: &str, wanted: Machine, own: &[PathBuf]) -> Option<Found> {
        let fits = |path: &Path| fits(path, wanted);
        if name.contains('/') {
            let path = PathBuf::from(name);
            return fits(&path).then_some(Found { path, by: By::Own });
        }
        let among = |dirs: &mut dyn Iterator<Item = &Path>| dirs.map(|dir| dir.join(name)).find(|path| fits(path));
        if let Some(path) = among(&mut own.iter().map(PathBuf::as_path)) {
            return Some(Found { path, by: By::Own });
        }
        if let Some(path) = self.cache.get(name).and_then(|paths| paths.iter().find(|path| fits(path))) {
            let by = if path.parent().is_some_and(is_default) { By::Default } else { By::Host };
            return Some(Found { path: path.clone(), by });
        }
        if let Some(path) = among(&mut DEFAULT.iter().map(Path::new)) {
            let by = if path.starts_with("/usr/local") { By::Host } else { By::Default };
            return Some(Found { path, by });
        }
        among(&mut self.configured.iter().map(PathBuf::as_path)).map(|path| Found { path, by: By::Host })
    }

    /// Returns the directories looked in, for messages.
    pub(super) fn directories(&self, own: &[PathBuf]) -> Vec<PathBuf> {
        let defaults = DEFAULT.iter().map(PathBuf::from).filter(|dir| dir.is_dir());
        let mut all: Vec<PathBuf> = own.iter().cloned().chain(defaults).chain(self.configured.iter().cloned()).collect();
        let mut seen = std::collections::BTreeSet::new();
        all.retain(|dir| seen.insert(dir.clone()));
        all
    }
}

/// Expands an object's run paths. `origin` is its directory after symbolic links, as ld.so(8) says of `$ORIGIN`.
pub(super) fn expand(lists: &[String], origin: &Path) -> Vec<PathBuf> {
    let origin = origin.to_string_lossy();
    let library_dir = if cfg!(target_pointer_width = "64") { "lib64" } else { "lib" };
    lists
        .iter()
        .flat_map(|list| list.split(':'))
        .filter(|dir| !dir.is_empty())
        .map(|dir| {
            dir.replace("${ORIGIN}", &origin)
                .replace("$ORIGIN", &origin)
                .replace("${LIB}", library_dir)
                .replace("$LIB", library_dir)
        })
        .map(PathBuf::from)
        .filter(|dir| dir.is_absolute())
        .collect()
}

fn is_default(dir: &Path) -> bool {
    DEFAULT.iter().any(|default| dir == Path::new(default)) && !dir.starts_with("/usr/local")
}

fn fits(path: &Path, wanted: Machine) -> bool {
    path.is_file() && matches!(kind(path), Ok(Kind::Elf(object)) if object.machine == wanted)
}

/// Reads the cache that ldconfig(8) writes, in its present form (glibc 2.2 and later: `glibc-ld.so.cache1.1`).
/// Entries for special hardware are left out: the plain one always exists and runs everywhere.
fn parse_cache(bytes: &[u8]) -> Option<BTreeMap<String, Vec<PathBuf>>> {
    const MAGIC: &[u8] = b"glibc-ld.so.cache1.1";
    const HEADER: usize = 48;
    const ENTRY: usize = 24;
    // Older caches put the old form before this one; offsets count from here.
    let start = bytes.windows(MAGIC.len()).position(|window| window == MAGIC)?;
    let bytes = &bytes[start..];
    let number = |at: usize| Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?) as usize);
    let text = |at: usize| {
        let rest = bytes.get(at..)?;
        let end = rest.iter().position(|&b| b == 0)?;
        std::str::from_utf8(&rest[..end]).ok()
    };
    let mut all: BTreeMap<String, Vec<PathBuf>> = BTreeMap::new();
    for index in 0..number(MAGIC.len())? {
        let at = HEADER + index * ENTRY;
        let (Some(name), Some(path)) = (number(at + 4).and_then(text), number(at + 8).and_then(text)) else { break };
        let plain = number(at + 16) == Some(0) && number(at + 20) == Some(0);
        if plain {
            all.entry(name.to_owned()).or_default().push(PathBuf::from(path));
        }
    }
    Some(all)
}

fn read_configuration(path: &Path, into: &mut Vec<PathBuf>, depth: usize) {
    let Ok(text) = fs::read_to_string(path) else { return };
    for line in text.lines() {
        let line = line.split('#').next().unwrap_or_default().trim();
        if let Some(pattern) = line.strip_prefix("include").filter(|rest| rest.starts_with(char::is_whitespace)) {
            if depth < 4 {
                included(Path::new(pattern.trim()), path).iter().for_each(|file| read_configuration(file, into, depth + 1));
            }
        } else if line.starts_with('/') {
            into.push(PathBuf::from(line));
        }
    }
}

/// Returns the files a pattern names; `*` stands only in the last part, as everywhere in practice.
fn included(pattern: &Path, from: &Path) -> Vec<PathBuf> {
    let pattern = from.parent().unwrap_or(Path::new("/")).join(pattern);
    let (Some(dir), Some(name)) = (pattern.parent(), pattern.file_name().and_then(|name| name.to_str())) else {
        return Vec::new();
    };
    let Some((before, after)) = name.split_once('*') else { return vec![pattern] };
    let Ok(list) = fs::read_dir(dir) else { return Vec::new() };
    let matches = |name: &str| name.len() >= before.len() + after.len() && name.starts_with(before) && name.ends_with(after);
    let mut files: Vec<PathBuf> = list
        .filter_map(Result::ok)
        .filter(|item| item.file_name().to_str().is_some_and(matches))
        .map(|item| item.path())
        .collect();
    files.sort();
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cache_of_this_host_is_understood() {
        let bytes = fs::read("/etc/ld.so.cache").expect("a Debian-like host has one");
        let cache = parse_cache(&bytes).expect("the present form");
        let libc = &cache["libc.so.6"];
        assert!(libc.iter().any(|path| path.is_file()), "{libc:?}");
        assert!(cache.values().flatten().all(|path| path.is_absolute()));
    }

    #[test]
    fn a_broken_cache_is_no_cache() {
        assert_eq!(parse_cache(b"nonsense"), None);
        let mut cut = b"glibc-ld.so.cache1.1".to_vec();
        assert_eq!(parse_cache(&cut), None);
        cut.extend_from_slice(&u32::MAX.to_ne_bytes());
        assert_eq!(parse_cache(&cut), Some(BTreeMap::new()));
    }

    #[test]
    fn configuration_is_read_with_what_it_includes() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let conf = dir.path().join("ld.so.conf");
        fs::create_dir(dir.path().join("d")).expect("made");
        fs::write(&conf, "# first\n/opt/a\ninclude d/*.conf\n").expect("written");
        fs::write(dir.path().join("d/x.conf"), "/opt/b # here\n").expect("written");
        fs::write(dir.path().join("d/y.txt"), "/opt/c\n").expect("written");
        let mut found = Vec::new();
        read_configuration(&conf, &mut found, 0);
        assert_eq!(found, [PathBuf::from("/opt/a"), PathBuf::from("/opt/b")]);
    }

    #[test]
    fn origin_is_the_directory_of_the_object() {
        let lists = ["$ORIGIN/../lib:${ORIGIN}/x".to_owned(), "relative:/abs".to_owned()];
        let wanted: Vec<PathBuf> = ["/opt/app/bin/../lib", "/opt/app/bin/x", "/abs"].iter().map(PathBuf::from).collect();
        assert_eq!(expand(&lists, Path::new("/opt/app/bin")), wanted);
    }
}
