//! Paths and names that end up in a container: the same rules as the app file's, said of App Service's fields.

/// What the container's own mounts hold.
const KERNEL_DIRS: [&str; 3] = ["/proc", "/sys", "/dev"];

/// Where something may be mounted.
pub(super) fn mount(path: &str) -> Result<(), String> {
    let Some(rest) = path.strip_prefix('/') else { return Err(format!("'{path}' does not begin with '/'")) };
    if rest.is_empty() {
        return Err("nothing can be mounted over the container's root".to_owned());
    }
    parts(path, rest)?;
    let within = |dir: &str| path.strip_prefix(dir).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    match KERNEL_DIRS.into_iter().find(|dir| within(dir)) {
        Some(dir) => Err(format!("nothing can be mounted in {dir}, which is the kernel's")),
        None => Ok(()),
    }
}

/// A path inside a volume; a leading slash is the volume's root, and a trailing one says nothing.
pub(super) fn sub(path: &str) -> Result<(), String> {
    let rest = path.trim_start_matches('/').trim_end_matches('/');
    if rest.is_empty() { Ok(()) } else { parts(path, rest) }
}

fn parts(path: &str, rest: &str) -> Result<(), String> {
    for part in rest.split('/') {
        if part.is_empty() {
            return Err(format!("'{path}' ends in a slash or has two in a row"));
        }
        if part == "." || part == ".." {
            return Err(format!("'{path}' holds '.' or '..'"));
        }
        if part.contains(char::is_control) {
            return Err(format!("'{path}' holds a control character"));
        }
    }
    Ok(())
}

/// What the kernel can pass on as a variable's name.
pub(super) fn variable(name: &str) -> Result<(), &'static str> {
    if name.is_empty() {
        Err("it is empty")
    } else if name.contains('=') {
        Err("it holds '='")
    } else if name.contains(|c: char| c.is_whitespace() || c.is_control()) {
        Err("it holds a space or a control character")
    } else {
        Ok(())
    }
}
