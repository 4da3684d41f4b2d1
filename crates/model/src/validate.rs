//! The rules that an app keeps beyond its shape. Every broken rule is reported, not only the first.

mod container;
mod dependency;
mod storage;
mod syntax;

use std::collections::HashMap;

use crate::{App, Container, ContainerName, MAX_SIDECARS, Problem, ProblemCode as Code};

pub use syntax::signal_number;

/// Longest app name that leaves room for revision and random part in an instance's id (63 characters).
const MAX_APP_NAME: usize = 48;
const MAX_SCALE: u32 = 1000;
const DAY: u64 = 24 * 3600;

/// Checks every rule that spans fields or goes beyond a field's type.
///
/// # Errors
/// Every problem, in the order of the definition.
pub fn validate(app: &App) -> Result<(), Vec<Problem>> {
    let mut problems = Vec::new();
    whole(app, &mut problems);
    mains(app, &mut problems);
    ports(app, &mut problems);
    for (name, container) in &app.containers {
        let at = format!("containers.{name}");
        container::check(app, &at, container, &mut problems);
        storage::check(app, &at, container, &mut problems);
    }
    dependency::check(app, &mut problems);
    storage::volumes(app, &mut problems);
    if problems.is_empty() { Ok(()) } else { Err(problems) }
}

/// Returns what a container is called in messages.
fn called(name: &ContainerName, container: &Container) -> String {
    if container.main { format!("main `{name}`") } else { format!("sidecar `{name}`") }
}

fn whole(app: &App, problems: &mut Vec<Problem>) {
    let length = app.name.as_str().len();
    if length > MAX_APP_NAME {
        let message = format!("the name has {length} characters; an app's has at most {MAX_APP_NAME}");
        problems.push(Problem::new(Code::InvalidValue, "name", message));
    }
    if app.scale > MAX_SCALE {
        let message = format!("{} instances are more than the {MAX_SCALE} an app may have", app.scale);
        problems.push(Problem::new(Code::InvalidValue, "scale", message));
    }
    if !(1..=DAY).contains(&app.ready_within) {
        let message = format!("{} is outside 1 to {DAY} seconds", app.ready_within);
        problems.push(Problem::new(Code::InvalidValue, "readyWithin", message));
    }
    if !(1..=100).contains(&app.unhealthy_limit) {
        let message = format!("{} is outside 1 to 100 percent", app.unhealthy_limit);
        problems.push(Problem::new(Code::InvalidValue, "unhealthyLimit", message));
    }
    let mut hosts: HashMap<String, usize> = HashMap::new();
    for (index, host) in app.hosts.iter().enumerate() {
        let path = format!("hosts[{index}]");
        if let Err(reason) = syntax::host_name(host) {
            problems.push(Problem::new(Code::InvalidValue, path, format!("`{host}` is no host name: {reason}")));
        } else if let Some(first) = hosts.insert(host.to_ascii_lowercase(), index) {
            problems.push(Problem::new(Code::InvalidValue, path, format!("`{host}` stands twice, first as hosts[{first}]")));
        }
    }
    for name in app.settings.keys() {
        if let Err(reason) = syntax::env_name(name) {
            problems.push(Problem::new(
                Code::InvalidValue,
                format!("settings.{name}"),
                format!("`{name}` cannot name a setting: {reason}"),
            ));
        }
    }
}

fn mains(app: &App, problems: &mut Vec<Problem>) {
    let mains: Vec<&str> = app.containers.iter().filter(|(_, c)| c.main).map(|(name, _)| name.as_str()).collect();
    match mains.as_slice() {
        [_] => {}
        [] if app.containers.is_empty() => {
            problems.push(Problem::new(Code::NoContainer, "containers", "an app needs at least one container"));
        }
        [] => problems.push(
            Problem::new(Code::NoMain, "containers", "no container is the main one")
                .hint("set `main: true` on the container that answers the requests"),
        ),
        [first, others @ ..] => {
            for other in others {
                problems.push(
                    Problem::new(
                        Code::TwoMains,
                        format!("containers.{other}.main"),
                        format!("`{first}` is the main container already"),
                    )
                    .hint("leave `main: true` on exactly one container"),
                );
            }
        }
    }
    let sidecars = app.containers.len() - mains.len();
    if sidecars > MAX_SIDECARS {
        problems.push(
            Problem::new(
                Code::TooManySidecars,
                "containers",
                format!("{sidecars} sidecars are more than the {MAX_SIDECARS} an app may have"),
            )
            .hint("take some out, or make a second app of them"),
        );
    }
    for (name, container) in &app.containers {
        if container.main && container.run_once {
            problems.push(
                Problem::new(
                    Code::MainRunsOnce,
                    format!("containers.{name}.runOnce"),
                    "the main container cannot run once: it serves as long as the app runs",
                )
                .hint("make it a sidecar that main `dependsOn` with `completed`"),
            );
        }
        if container.essential && container.run_once {
            problems.push(
                Problem::new(
                    Code::InvalidValue,
                    format!("containers.{name}.essential"),
                    "a container that runs once cannot be essential: its end would be the instance's end",
                )
                .hint("take one of `essential` and `runOnce` away"),
            );
        }
    }
}

fn ports(app: &App, problems: &mut Vec<Problem>) {
    let mut holders: HashMap<u16, &ContainerName> = HashMap::new();
    for (name, container) in &app.containers {
        let Some(port) = container.port else { continue };
        let path = format!("containers.{name}.port");
        if port == 0 {
            problems.push(Problem::new(Code::InvalidValue, path, "0 is no port; a port is from 1 to 65535"));
        } else if let Some(holder) = holders.get(&port) {
            problems.push(
                Problem::new(Code::PortTaken, path, format!("{} wants port {port}, `{holder}` has it", called(name, container)))
                    .hint("all containers of an instance share one network: give it another port, here and in the program's own options"),
            );
        } else {
            holders.insert(port, name);
        }
    }
}
