//! The rules of one container: image, command, environment, probes, limits, stop.

use super::syntax;
use crate::{App, Bytes, Check, Container, EnvValue, HttpCheck, Probe, Problem, ProblemCode as Code, problem::nearest};

/// Less memory than this does not even start a process.
const MIN_MEMORY: Bytes = Bytes(4 << 20);
/// The kernel's smallest quota is 1 ms of a period of 100 ms.
const MIN_CPU: f64 = 0.01;
const MAX_CPU: f64 = 4096.0;
const DAY: f64 = 24.0 * 3600.0;

pub(super) fn check(app: &App, at: &str, container: &Container, problems: &mut Vec<Problem>) {
    let mut invalid = |field: &str, message: String| {
        problems.push(Problem::new(Code::InvalidValue, format!("{at}.{field}"), message));
    };
    if container.image.is_empty() || container.image.contains(|c: char| c.is_whitespace() || c.is_control()) {
        invalid("image", format!("{:?} is no image name; write [REGISTRY/]NAME[:TAG]", container.image));
    }
    for (field, words) in [("entrypoint", &container.entrypoint), ("command", &container.command)] {
        let Some(words) = words else { continue };
        if words.iter().any(|word| word.contains('\0')) {
            invalid(field, "a word of a command cannot hold a zero byte".to_owned());
        }
        if field == "entrypoint" && words.first().is_some_and(String::is_empty) {
            invalid(field, "the program's name is empty".to_owned());
        }
    }
    if let Some(dir) = &container.working_dir
        && let Err(reason) = syntax::absolute(dir)
    {
        invalid("workingDir", format!("{dir:?} {reason}"));
    }
    if let Some(user) = &container.user
        && (user.is_empty()
            || user.contains(char::is_whitespace)
            || user.split(':').count() > 2
            || user.split(':').any(str::is_empty))
    {
        invalid("user", format!("{user:?} is no user; write a name or number, or USER:GROUP"));
    }
    limits(at, container, problems);
    environment(app, at, container, problems);
    for (field, probe) in [("probe", &container.probe), ("startup", &container.startup), ("liveness", &container.liveness)] {
        if let Some(probe) = probe {
            check_probe(&format!("{at}.{field}"), container, probe, problems);
        }
    }
}

fn limits(at: &str, container: &Container, problems: &mut Vec<Problem>) {
    let mut invalid = |field: String, message: String| {
        problems.push(Problem::new(Code::InvalidValue, format!("{at}.{field}"), message));
    };
    let resources = &container.resources;
    if let Some(memory) = resources.memory.filter(|memory| *memory < MIN_MEMORY) {
        invalid("resources.memory".into(), format!("{memory} is too little to start a program; {MIN_MEMORY} is the least"));
    }
    if let Some(cpu) = resources.cpu.filter(|cpu| !(MIN_CPU..=MAX_CPU).contains(cpu)) {
        invalid("resources.cpu".into(), format!("{cpu} is outside {MIN_CPU} to {MAX_CPU} CPUs"));
    }
    if resources.pids == Some(0) {
        invalid("resources.pids".into(), "a container needs at least 1 process".into());
    }
    if container.shm_size == Some(Bytes(0)) {
        invalid("shmSize".into(), "/dev/shm needs a size above 0".into());
    }
    for (name, limit) in &container.ulimits {
        if !syntax::ULIMITS.contains(&name.as_str()) {
            let word = nearest(name, syntax::ULIMITS.iter().copied());
            let hint =
                word.map_or_else(|| format!("known: {}", syntax::ULIMITS.join(", ")), |word| format!("did you mean `{word}`?"));
            invalid(format!("ulimits.{name}"), format!("`{name}` is no limit; {hint}"));
        } else if limit.soft > limit.hard {
            invalid(format!("ulimits.{name}"), format!("the soft limit {} is above the hard limit {}", limit.soft, limit.hard));
        }
    }
    if let Some(signal) = &container.stop.signal
        && syntax::signal_number(signal).is_none()
    {
        invalid(
            "stop.signal".into(),
            format!("`{signal}` is no signal; write a name such as SIGTERM or SIGRTMIN+3, or a number from 1 to 64"),
        );
    }
    if let Some(grace) = container.stop.grace.filter(|grace| !(0.0..=DAY).contains(grace)) {
        invalid("stop.grace".into(), format!("{grace} is outside 0 to {DAY} seconds"));
    }
}

fn environment(app: &App, at: &str, container: &Container, problems: &mut Vec<Problem>) {
    for (name, value) in &container.env {
        let path = format!("{at}.env.{name}");
        if let Err(reason) = syntax::env_name(name) {
            problems.push(Problem::new(Code::InvalidValue, path.clone(), format!("{name:?} cannot name a variable: {reason}")));
        }
        match value {
            EnvValue::Literal(text) if text.contains('\0') => {
                problems.push(Problem::new(Code::InvalidValue, path, "a variable's value cannot hold a zero byte"));
            }
            EnvValue::Literal(_) | EnvValue::FromInstance { .. } => {}
            EnvValue::FromSetting { from_setting } => {
                if app.settings.contains_key(from_setting) {
                    continue;
                }
                let problem = Problem::new(
                    Code::SettingUnknown,
                    format!("{path}.fromSetting"),
                    format!("variable `{name}` takes its value from setting `{from_setting}`, which does not exist"),
                );
                let hint = match nearest(from_setting, app.settings.keys().map(String::as_str)) {
                    Some(word) => format!("did you mean `{word}`?"),
                    None => format!("add it to `settings:`, or write the value itself as `{name}: …`"),
                };
                problems.push(problem.hint(hint));
            }
        }
    }
}

fn check_probe(at: &str, container: &Container, probe: &Probe, problems: &mut Vec<Problem>) {
    match &probe.check {
        Check::Http(http) => check_http(at, container, http, problems),
        Check::Tcp(0) => {
            problems.push(Problem::new(Code::InvalidValue, format!("{at}.tcp"), "0 is no port; a port is from 1 to 65535"))
        }
        Check::Tcp(_) | Check::None(_) => {}
        Check::Exec(words) if words.first().is_none_or(String::is_empty) => {
            problems.push(Problem::new(Code::InvalidValue, format!("{at}.exec"), "the command is empty"));
        }
        Check::Exec(_) => {}
    }
    for (field, value) in [("interval", probe.interval), ("timeout", probe.timeout), ("within", probe.within)] {
        if let Some(seconds) = value.filter(|seconds| !(*seconds > 0.0 && *seconds <= DAY)) {
            let message = format!("{seconds} is no time to wait; write more than 0 and at most {DAY} seconds");
            problems.push(Problem::new(Code::InvalidValue, format!("{at}.{field}"), message));
        }
    }
    if probe.failures == Some(0) {
        problems.push(Problem::new(Code::InvalidValue, format!("{at}.failures"), "at least 1 failure makes a probe fail"));
    }
}

fn check_http(at: &str, container: &Container, http: &HttpCheck, problems: &mut Vec<Problem>) {
    let at = format!("{at}.http");
    if !http.path.starts_with('/') || http.path.contains(|c: char| c.is_whitespace() || c.is_control()) {
        let message = format!("{:?} is no path; it begins with `/` and holds no spaces", http.path);
        problems.push(Problem::new(Code::InvalidValue, format!("{at}.path"), message));
    }
    if http.port == Some(0) {
        problems.push(Problem::new(Code::InvalidValue, format!("{at}.port"), "0 is no port; a port is from 1 to 65535"));
    }
    // Main's port is found out where it is not declared; nobody looks for a sidecar's.
    if http.port.is_none() && container.port.is_none() && !container.main {
        problems.push(
            Problem::new(Code::PortMissing, at.clone(), "the probe has no port to ask")
                .hint("set `port:` on this container, or `port:` in `http:`"),
        );
    }
    if let Err(error) = http.status_ranges() {
        problems.push(Problem::new(Code::InvalidValue, format!("{at}.statuses"), error.to_string()));
    }
    for (name, value) in &http.headers {
        if !syntax::is_token(name) || value.contains(|c: char| c.is_control() && c != '\t') {
            problems.push(Problem::new(Code::InvalidValue, format!("{at}.headers.{name}"), "this is no HTTP header"));
        }
    }
}
