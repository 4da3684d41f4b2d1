//! Who a container's process is: `user[:group]` looked up in the root's own `/etc/passwd` and `/etc/group`.

use std::{fs::File, io::Read, os::fd::BorrowedFd, path::Path};

use pillion_fault::Fault;
use rustix::fs::{FileType, OFlags, fstat};

use super::tree;
use crate::{container::failed, spec::IdRange};

/// An account file longer than this is not read.
const MAX_FILE: u64 = 4 << 20;

/// A user as the container numbers it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct User {
    pub uid: u32,
    pub gid: u32,
    /// Further groups that name the user as a member.
    pub groups: Vec<u32>,
    pub home: String,
}

impl User {
    /// Adds what every program expects to an environment that lacks it: HOME, PATH and, at a terminal, TERM.
    pub fn environment(&self, env: &[String], at_terminal: bool) -> Vec<String> {
        let mut env = env.to_vec();
        let mut complete = |name: &str, value: &str| {
            if !env.iter().any(|e| e.strip_prefix(name).is_some_and(|rest| rest.starts_with('='))) {
                env.push(format!("{name}={value}"));
            }
        };
        complete("HOME", &self.home);
        complete("PATH", crate::exec::DEFAULT_PATH);
        if at_terminal {
            complete("TERM", "xterm");
        }
        env
    }
}

/// Looks `wanted` up inside `root`; empty is root.
pub(crate) fn look_up(root: BorrowedFd<'_>, wanted: &str, ids: Option<IdRange>) -> Result<User, Fault> {
    let read = |path| read(root, Path::new(path));
    let found = find(wanted, &read("/etc/passwd"), &read("/etc/group"));
    let mut user = found.ok_or_else(|| Fault::UserUnknown { user: wanted.to_owned() })?;
    if let Some(IdRange { len, .. }) = ids {
        // The kernel has no such user in this sandbox; a further group of that kind is no loss.
        let beyond =
            |id: u32| failed(format!("becoming the user `{wanted}`"), format!("id {id} is not among the sandbox's {len} ids"));
        if let Some(id) = [user.uid, user.gid].into_iter().find(|id| *id >= len) {
            return Err(beyond(id));
        }
        user.groups.retain(|id| *id < len);
    }
    Ok(user)
}

/// Reads a small regular file; anything else (a fifo would block, a link may lead anywhere) counts as empty.
fn read(root: BorrowedFd<'_>, path: &Path) -> String {
    let Ok(file) = tree::open(root, path, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY) else { return String::new() };
    let regular = fstat(&file).is_ok_and(|s| FileType::from_raw_mode(s.st_mode) == FileType::RegularFile);
    let mut text = Vec::new();
    if regular {
        let _ = File::from(file).take(MAX_FILE).read_to_end(&mut text);
    }
    String::from_utf8_lossy(&text).into_owned()
}

/// passwd(5) and group(5); a number needs no entry.
fn find(wanted: &str, passwd: &str, group: &str) -> Option<User> {
    let (user, group_wanted) = match wanted.split_once(':') {
        Some((user, group)) => (user, Some(group).filter(|g| !g.is_empty())),
        None => (wanted, None),
    };
    let user = if user.is_empty() { "0" } else { user };
    let number = user.parse::<u32>().ok();
    let entry = passwd
        .lines()
        .map(|line| line.split(':').collect::<Vec<_>>())
        .find(|fields| fields.len() >= 4 && (fields[0] == user || number.is_some() && fields[2].parse().ok() == number));
    let (name, uid, own_gid, home) = match (&entry, number) {
        (Some(fields), _) => (fields[0], fields[2].parse().ok()?, fields[3].parse().ok()?, fields.get(5).copied()),
        (None, Some(uid)) => ("", uid, 0, None),
        (None, None) => return None,
    };
    let groups: Vec<Vec<&str>> = group.lines().map(|line| line.split(':').collect()).filter(|f: &Vec<_>| f.len() >= 3).collect();
    let gid = match group_wanted {
        None => own_gid,
        Some(wanted) => match groups.iter().find(|f| f[0] == wanted) {
            Some(fields) => fields[2].parse().ok()?,
            None => wanted.parse().ok()?,
        },
    };
    // Docker's rule: a group that is named replaces the ones the user is listed in.
    let further = match group_wanted {
        Some(_) => Vec::new(),
        None => groups
            .iter()
            .filter(|f| !name.is_empty() && f.get(3).is_some_and(|members| members.split(',').any(|m| m == name)))
            .filter_map(|f| f[2].parse().ok())
            .filter(|further| *further != gid)
            .collect(),
    };
    let home = home.filter(|h| !h.is_empty()).unwrap_or(if uid == 0 { "/root" } else { "/" });
    Some(User { uid, gid, groups: further, home: home.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\nweb:x:33:33::/var/www:/bin/false\n";
    const GROUP: &str = "root:x:0:\nweb:x:33:\nlogs:x:40:root,web\n";

    #[test]
    fn a_name_gets_its_ids_its_groups_and_its_home() {
        let user = find("web", PASSWD, GROUP).expect("a user");
        assert_eq!(user, User { uid: 33, gid: 33, groups: vec![40], home: "/var/www".to_owned() });
    }

    #[test]
    fn a_number_needs_no_entry() {
        assert_eq!(find("1000:2000", "", ""), Some(User { uid: 1000, gid: 2000, groups: vec![], home: "/".to_owned() }));
        assert_eq!(find("33", PASSWD, GROUP).expect("a user").gid, 33);
    }

    #[test]
    fn nobody_asked_for_is_root() {
        assert_eq!(find("", "", ""), Some(User { uid: 0, gid: 0, groups: vec![], home: "/root".to_owned() }));
    }

    #[test]
    fn an_unknown_name_is_nobody() {
        assert_eq!(find("ghost", PASSWD, GROUP), None);
        assert_eq!(find("web:ghosts", PASSWD, GROUP), None);
    }
}
