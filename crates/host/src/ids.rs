//! Each app's range of 65,536 host ids, kept in `<state>/ids.json` and reserved in `/etc/subuid` and `/etc/subgid`.
//!
//! Instances of one app share its range so that they share the files of persistent volumes; two apps never do.

use std::{
    collections::BTreeMap,
    fs, io,
    io::Write,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use pillion_model::AppName;
use pillion_runtime::spec::IdRange;

const BLOCK: u32 = 65_536;
/// The user name our lines in `/etc/subuid` carry.
const OWNER: &str = "pillion";

#[derive(Debug)]
pub(crate) struct IdRanges {
    file: PathBuf,
    first: u32,
    held: BTreeMap<AppName, u32>,
    /// `/etc/subuid` and `/etc/subgid`; elsewhere in tests.
    sub_files: [PathBuf; 2],
}

impl IdRanges {
    /// Reads what was handed out before.
    ///
    /// # Errors
    /// The file cannot be read, or is not what this module writes.
    pub(crate) fn open(state: &Path, first: u32) -> io::Result<Self> {
        Self::open_with(state, first, ["/etc/subuid".into(), "/etc/subgid".into()])
    }

    fn open_with(state: &Path, first: u32, sub_files: [PathBuf; 2]) -> io::Result<Self> {
        let file = state.join("ids.json");
        let held = match fs::read(&file) {
            Ok(bytes) => serde_json::from_slice(&bytes)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => BTreeMap::new(),
            Err(error) => return Err(error),
        };
        Ok(IdRanges { file, first, held, sub_files })
    }

    /// Returns the app's range; a new one is on disk before it is returned.
    ///
    /// # Errors
    /// No block is free, or the reservation cannot be written.
    pub(crate) fn take(&mut self, app: &AppName) -> io::Result<IdRange> {
        if let Some(start) = self.held.get(app) {
            return Ok(IdRange { start: *start, len: BLOCK });
        }
        let reserved = self.reserved_by_others()?;
        let start = (0..)
            .map_while(|n: u32| n.checked_mul(BLOCK)?.checked_add(self.first))
            .take_while(|start| start.checked_add(BLOCK).is_some())
            .find(|start| {
                let overlaps = |from: u64, len: u64| from < u64::from(start + BLOCK) && u64::from(*start) < from + len;
                !self.held.values().any(|held| held == start) && !reserved.iter().any(|&(from, len)| overlaps(from, len))
            })
            .ok_or_else(|| io::Error::other("no free block of 65,536 ids is left"))?;
        self.held.insert(app.clone(), start);
        self.save().and_then(|()| self.reserve(start)).inspect_err(|_| {
            self.held.remove(app);
        })?;
        Ok(IdRange { start, len: BLOCK })
    }

    pub(crate) fn release(&mut self, app: &AppName) -> io::Result<()> {
        let Some(start) = self.held.remove(app) else { return Ok(()) };
        self.save()?;
        let line = line(start);
        for file in &self.sub_files {
            rewrite(file, |text| text.lines().filter(|l| *l != line).map(|l| format!("{l}\n")).collect())?;
        }
        Ok(())
    }

    fn save(&self) -> io::Result<()> {
        replace_file(&self.file, &serde_json::to_vec_pretty(&self.held)?, 0o600)
    }

    fn reserve(&self, start: u32) -> io::Result<()> {
        let line = line(start);
        for file in &self.sub_files {
            rewrite(file, |text| {
                if text.lines().any(|l| l == line) {
                    return text.to_owned();
                }
                let gap = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
                format!("{text}{gap}{line}\n")
            })?;
        }
        Ok(())
    }

    /// Blocks somebody else has, from the sub id files; lines that are ours are judged by `held`.
    fn reserved_by_others(&self) -> io::Result<Vec<(u64, u64)>> {
        let mut found = Vec::new();
        for file in &self.sub_files {
            let text = match fs::read_to_string(file) {
                Ok(text) => text,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            found.extend(text.lines().filter_map(|line| {
                let mut parts = line.split(':').skip(1);
                Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
            }));
        }
        Ok(found)
    }
}

fn line(start: u32) -> String {
    format!("{OWNER}:{start}:{BLOCK}")
}

/// Changes a file under a lock that other copies of Pillion take too; readers see the old or the new text, whole.
fn rewrite(path: &Path, change: impl Fn(&str) -> String) -> io::Result<()> {
    let lock_file = path.with_extension("pillion-lock");
    let _lock = loop {
        let lock = fs::File::create(&lock_file)?;
        lock.lock()?;
        // Whoever held it before removed the name: then this is a lock that nobody else will find.
        if fs::metadata(&lock_file).is_ok_and(|named| lock.metadata().is_ok_and(|ours| named.ino() == ours.ino())) {
            break lock;
        }
    };
    let old = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(error),
    };
    let new = change(&old);
    if new != old {
        replace_file(path, new.as_bytes(), 0o644)?;
    }
    fs::remove_file(lock_file)
}

/// Writes a file so that after a crash it is either the old or the new one.
pub(crate) fn replace_file(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    let fresh = path.with_extension("new");
    let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(&fresh)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(&fresh, path)?;
    match path.parent() {
        Some(parent) => fs::File::open(parent)?.sync_all(),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(name: &str) -> AppName {
        name.parse().expect("valid name")
    }

    #[test]
    fn ranges_survive_reopening_avoid_other_peoples_and_are_given_back() {
        let dir = tempfile::tempdir().expect("temp dir");
        let subs = || [dir.path().join("subuid"), dir.path().join("subgid")];
        fs::write(dir.path().join("subuid"), "alice:100000:65536").expect("write");
        let mut ranges = IdRanges::open_with(dir.path(), 65_536, subs()).expect("open");
        let shop = ranges.take(&name("shop")).expect("range");
        // 65536.. and 131072.. overlap alice's 100000..165536.
        assert_eq!(shop, IdRange { start: 196_608, len: 65_536 });
        let blog = ranges.take(&name("blog")).expect("range");
        assert_eq!(blog.start, 262_144);

        let mut again = IdRanges::open_with(dir.path(), 65_536, subs()).expect("open");
        assert_eq!(again.take(&name("shop")).expect("range"), shop);
        again.release(&name("shop")).expect("release");
        again.release(&name("blog")).expect("release");
        assert_eq!(fs::read_to_string(dir.path().join("subuid")).expect("read"), "alice:100000:65536\n");
        assert_eq!(fs::read_to_string(dir.path().join("subgid")).expect("read"), "");
    }
}
