//! What words and paths may look like.

/// The limits of setrlimit(2), as the app file names them.
pub(super) const ULIMITS: [&str; 16] = [
    "as",
    "core",
    "cpu",
    "data",
    "fsize",
    "locks",
    "memlock",
    "msgqueue",
    "nice",
    "nofile",
    "nproc",
    "rss",
    "rtprio",
    "rttime",
    "sigpending",
    "stack",
];

/// Numbers of signal(7) on x86-64 and arm64.
const SIGNALS: [(&str, i32); 34] = [
    ("HUP", 1),
    ("INT", 2),
    ("QUIT", 3),
    ("ILL", 4),
    ("TRAP", 5),
    ("ABRT", 6),
    ("IOT", 6),
    ("BUS", 7),
    ("FPE", 8),
    ("KILL", 9),
    ("USR1", 10),
    ("SEGV", 11),
    ("USR2", 12),
    ("PIPE", 13),
    ("ALRM", 14),
    ("TERM", 15),
    ("STKFLT", 16),
    ("CHLD", 17),
    ("CONT", 18),
    ("STOP", 19),
    ("TSTP", 20),
    ("TTIN", 21),
    ("TTOU", 22),
    ("URG", 23),
    ("XCPU", 24),
    ("XFSZ", 25),
    ("VTALRM", 26),
    ("PROF", 27),
    ("WINCH", 28),
    ("IO", 29),
    ("POLL", 29),
    ("PWR", 30),
    ("SYS", 31),
    ("UNUSED", 31),
];

/// The first real-time signal that the C library leaves to programs, and the last.
const REAL_TIME: (i32, i32) = (34, 64);

/// Returns the number of a signal given as `SIGTERM`, `TERM`, `15`, `SIGRTMIN+3` or `SIGRTMAX-1`.
pub fn signal_number(text: &str) -> Option<i32> {
    if let Ok(number) = text.parse::<i32>() {
        return (1..=REAL_TIME.1).contains(&number).then_some(number);
    }
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    if let Some((_, number)) = SIGNALS.iter().find(|(known, _)| *known == name) {
        return Some(*number);
    }
    let offset = |rest: &str, sign: char| match rest {
        "" => Some(0),
        rest => rest.strip_prefix(sign)?.parse::<u8>().ok().map(i32::from),
    };
    let number = match (name.strip_prefix("RTMIN"), name.strip_prefix("RTMAX")) {
        (Some(rest), _) => REAL_TIME.0 + offset(rest, '+')?,
        (None, Some(rest)) => REAL_TIME.1 - offset(rest, '-')?,
        (None, None) => return None,
    };
    (REAL_TIME.0..=REAL_TIME.1).contains(&number).then_some(number)
}

/// A path from the root without `.`, `..`, doubled slashes or a slash at its end.
pub(super) fn absolute(path: &str) -> Result<(), &'static str> {
    if !path.starts_with('/') {
        return Err("is not a path from the root; it begins with `/`");
    }
    if path == "/" { Ok(()) } else { parts(&path[1..]) }
}

/// A path below something else, which cannot climb out of it; a leading `/` is that something's root, as App Service writes it.
pub(super) fn relative(path: &str) -> Result<(), &'static str> {
    parts(path.strip_prefix('/').unwrap_or(path))
}

fn parts(path: &str) -> Result<(), &'static str> {
    for part in path.split('/') {
        match part {
            "" => return Err("is empty, ends in a slash or has two in a row"),
            "." | ".." => return Err("holds `.` or `..`"),
            part if part.contains('\0') => return Err("holds a zero byte"),
            _ => {}
        }
    }
    Ok(())
}

/// Anything the kernel can pass on, which is more than shells can name.
pub(super) fn env_name(name: &str) -> Result<(), &'static str> {
    if name.is_empty() {
        return Err("it is empty");
    }
    if name.contains('=') {
        return Err("it holds `=`");
    }
    if name.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Err("it holds a space or a control character");
    }
    Ok(())
}

/// A DNS name (RFC 1123); capitals are read as small letters.
pub(super) fn host_name(host: &str) -> Result<(), &'static str> {
    if host.len() > 253 {
        return Err("it has more than 253 characters");
    }
    if host.contains(':') || host.contains('/') {
        return Err("write the name alone, with no port, scheme or path");
    }
    for label in host.split('.') {
        let inner = |b: u8| b.is_ascii_alphanumeric();
        let bytes = label.as_bytes();
        let ok = (1..=63).contains(&bytes.len())
            && bytes.iter().all(|&b| inner(b) || b == b'-')
            && inner(bytes[0])
            && inner(bytes[bytes.len() - 1]);
        if !ok {
            return Err("between its dots stand 1 to 63 letters, digits and inner hyphens");
        }
    }
    Ok(())
}

/// A token of RFC 9110 §5.6.2, which header names are.
pub(super) fn is_token(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_have_names_numbers_and_real_time_offsets() {
        for (text, number) in [("SIGTERM", 15), ("term", 15), ("9", 9), ("SIGRTMIN", 34), ("SIGRTMIN+3", 37), ("RTMAX-1", 63)] {
            assert_eq!(signal_number(text), Some(number), "{text}");
        }
        for text in ["", "SIG", "0", "65", "-1", "SIGRTMIN+31", "SIGRTMIN-1", "RTMAX+1", "TERMINATE"] {
            assert_eq!(signal_number(text), None, "{text}");
        }
    }
}
