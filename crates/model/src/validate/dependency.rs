//! The rules of `dependsOn`: known names, no circle, and `completed` only of what completes.

use crate::{App, Condition, Problem, ProblemCode as Code, problem::nearest};

pub(super) fn check(app: &App, problems: &mut Vec<Problem>) {
    for (name, container) in &app.containers {
        for (dependency, condition) in &container.depends_on {
            let path = format!("containers.{name}.dependsOn.{dependency}");
            let Some(target) = app.containers.get(dependency.as_str()) else {
                let problem = Problem::new(Code::DependencyUnknown, path, format!("no container is named `{dependency}`"));
                let names = app.containers.keys().map(AsRef::as_ref).filter(|other| *other != name.as_str());
                problems.push(match nearest(dependency.as_str(), names) {
                    Some(word) => problem.hint(format!("did you mean `{word}`?")),
                    None => problem,
                });
                continue;
            };
            match condition {
                Condition::Started | Condition::Healthy => {}
                Condition::Completed if target.run_once => {}
                Condition::Completed => problems.push(
                    Problem::new(
                        Code::DependencyNeverCompletes,
                        path,
                        format!("`{dependency}` keeps running, so it never completes"),
                    )
                    .hint(format!("set `runOnce: true` on `{dependency}`, or wait for `healthy`")),
                ),
            }
        }
    }
    if let Some(circle) = circle(app) {
        let message = match circle.as_slice() {
            [only] => format!("`{only}` waits for itself"),
            [first, ..] => {
                let chain: Vec<String> = circle.iter().chain([first]).map(|name| format!("`{name}`")).collect();
                format!("containers wait for each other in a circle: {}", chain.join(" → "))
            }
            [] => return,
        };
        let (first, second) = (circle[0], circle.get(1).unwrap_or(&circle[0]));
        problems.push(
            Problem::new(Code::DependencyCycle, format!("containers.{first}.dependsOn.{second}"), message)
                .hint("take one of these `dependsOn` away"),
        );
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Seen {
    Not,
    Open,
    Done,
}

/// Returns the first circle, each container before the one it waits for.
fn circle(app: &App) -> Option<Vec<&str>> {
    let mut seen = vec![Seen::Not; app.containers.len()];
    let mut chain = Vec::new();
    (0..app.containers.len()).find_map(|index| walk(app, index, &mut seen, &mut chain))
}

fn walk<'a>(app: &'a App, index: usize, seen: &mut [Seen], chain: &mut Vec<&'a str>) -> Option<Vec<&'a str>> {
    let (name, container) = app.containers.get_index(index)?;
    match seen[index] {
        Seen::Done => return None,
        Seen::Open => {
            let start = chain.iter().position(|other| *other == name.as_str())?;
            return Some(chain[start..].to_vec());
        }
        Seen::Not => {}
    }
    seen[index] = Seen::Open;
    chain.push(name.as_str());
    for dependency in container.depends_on.keys() {
        if let Some(next) = app.containers.get_index_of(dependency.as_str())
            && let Some(found) = walk(app, next, seen, chain)
        {
            return Some(found);
        }
    }
    chain.pop();
    seen[index] = Seen::Done;
    None
}
