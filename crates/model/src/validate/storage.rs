//! The rules of volumes, mounts, inline files and tmpfs.

use std::collections::HashMap;

use super::syntax;
use crate::{App, Bytes, Container, Problem, ProblemCode as Code, problem::nearest};

/// Inline files are configuration; what is larger belongs into an image or a volume.
const MAX_CONTENT: usize = 1 << 20;
/// What the container's own mounts hold; a mount over them would take the container apart.
const KERNEL_DIRS: [&str; 3] = ["/proc", "/sys", "/dev"];

pub(super) fn volumes(app: &App, problems: &mut Vec<Problem>) {
    for (name, volume) in &app.volumes {
        let Some(path) = &volume.host_path else { continue };
        let at = format!("volumes.{name}.hostPath");
        if let Err(reason) = syntax::absolute(path) {
            problems.push(Problem::new(Code::InvalidValue, at, format!("{path:?} {reason}")));
        } else if path == "/" {
            problems.push(Problem::new(Code::InvalidValue, at, "the host's whole root cannot be a volume"));
        }
    }
}

pub(super) fn check(app: &App, at: &str, container: &Container, problems: &mut Vec<Problem>) {
    // Where something is mounted, and the field that says so.
    let mut taken: HashMap<&str, String> = HashMap::new();
    for (index, mount) in container.volumes.iter().enumerate() {
        let at = format!("{at}.volumes[{index}]");
        if !app.volumes.contains_key(mount.volume.as_str()) {
            let problem =
                Problem::new(Code::VolumeUnknown, format!("{at}.volume"), format!("no volume is named `{}`", mount.volume));
            problems.push(match nearest(mount.volume.as_str(), app.volumes.keys().map(AsRef::as_ref)) {
                Some(word) => problem.hint(format!("did you mean `{word}`?")),
                None => problem.hint(format!("add `volumes: {{ {}: {{}} }}` to the app", mount.volume)),
            });
        }
        target(&format!("{at}.path"), &mount.path, &mut taken, problems);
        if let Some(sub) = &mount.sub_path
            && let Err(reason) = syntax::relative(sub)
        {
            problems.push(Problem::new(Code::InvalidValue, format!("{at}.subPath"), format!("{sub:?} {reason}")));
        }
    }
    for (index, file) in container.files.iter().enumerate() {
        let at = format!("{at}.files[{index}]");
        target(&format!("{at}.path"), &file.path, &mut taken, problems);
        if let Some(mode) = &file.mode
            && u32::from_str_radix(mode, 8).map_or(true, |mode| mode > 0o777)
        {
            problems.push(Problem::new(
                Code::InvalidValue,
                format!("{at}.mode"),
                format!("{mode:?} is no file mode; write octal digits such as \"0644\""),
            ));
        }
        if file.content.len() > MAX_CONTENT {
            let message =
                format!("{} bytes are more than the {} of an inline file", file.content.len(), Bytes(MAX_CONTENT as u64));
            problems.push(Problem::new(Code::InvalidValue, format!("{at}.content"), message));
        }
    }
    for (index, tmpfs) in container.tmpfs.iter().enumerate() {
        let at = format!("{at}.tmpfs[{index}]");
        target(&format!("{at}.path"), &tmpfs.path, &mut taken, problems);
        if tmpfs.size == Some(Bytes(0)) {
            problems.push(Problem::new(Code::InvalidValue, format!("{at}.size"), "a size is above 0"));
        }
    }
}

fn target<'a>(at: &str, path: &'a str, taken: &mut HashMap<&'a str, String>, problems: &mut Vec<Problem>) {
    let within = |dir: &str| path.strip_prefix(dir).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    if let Err(reason) = syntax::absolute(path) {
        problems.push(Problem::new(Code::InvalidValue, at, format!("{path:?} {reason}")));
    } else if path == "/" {
        problems.push(Problem::new(Code::InvalidValue, at, "nothing can be mounted over the container's root"));
    } else if let Some(dir) = KERNEL_DIRS.into_iter().find(|dir| within(dir)) {
        problems.push(Problem::new(Code::InvalidValue, at, format!("nothing can be mounted in {dir}, which is the kernel's")));
    } else if let Some(first) = taken.get(path) {
        problems.push(Problem::new(Code::PathTaken, at, format!("{path} is mounted already, by {first}")));
    } else {
        taken.insert(path, at.to_owned());
    }
}
