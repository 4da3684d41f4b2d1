//! How a site's starts went: one log for each revision, made of what happened to it.

use std::collections::BTreeSet;

use axum::{
    Json,
    http::{HeaderValue, StatusCode},
    response::{IntoResponse, Response},
};
use futures::StreamExt;
use pillion_control::ControlError;
use pillion_model::RevisionNumber;
use pillion_store::Event;
use serde_json::{Value, json};

use super::{
    Scm,
    answer::{Refusal, text_stream, time},
    site::Call,
};

const DAY_MS: u64 = 24 * 3600 * 1000;

/// The start of one revision.
struct Startup {
    revision: RevisionNumber,
    failed: bool,
    events: Vec<Event>,
}

impl Startup {
    fn began_ms(&self) -> u64 {
        self.events.first().map_or(0, |event| event.at_ms)
    }

    fn ended_ms(&self) -> u64 {
        self.events.last().map_or(0, |event| event.at_ms)
    }

    fn outcome(&self) -> &'static str {
        if self.failed { "failure" } else { "success" }
    }

    fn file(&self) -> String {
        let day: String = time(self.began_ms()).chars().take(10).collect();
        format!("{day}_revision-{}_{}.log", self.revision, self.outcome())
    }

    fn text(&self) -> String {
        let line = |event: &Event| {
            let container = event.container.as_deref().map(|name| format!(" {name}:")).unwrap_or_default();
            format!("{} {}{container} {}\n", time(event.at_ms), event.kind, event.text)
        };
        self.events.iter().map(line).collect()
    }
}

/// `GET /api/startuplogs[?type=failure|success][&instance=…]`; `?latest=true` gives the newest itself.
pub(super) async fn list(scm: &Scm, call: &Call) -> Result<Response, Refusal> {
    let instance = call.query("instance");
    let mut all = startups(scm, call, instance).await?;
    if call.query("latest") == Some("true") {
        let day = |startup: &Startup| startup.began_ms() / DAY_MS;
        // A failure says more than a success of the same day.
        let newest = all.into_iter().max_by_key(|startup| (day(startup), startup.failed, startup.revision));
        return newest.map(shown).ok_or_else(none);
    }
    if let Some(kind) = call.query("type") {
        all.retain(|startup| startup.outcome().eq_ignore_ascii_case(kind));
    }
    all.reverse();
    let base = call.base();
    let query = instance.map(|id| format!("?instance={id}")).unwrap_or_default();
    let files: Vec<Value> = all
        .iter()
        .map(|startup| {
            json!({
                "name": startup.file(),
                "type": startup.outcome(),
                "size": startup.text().len(),
                "lastModified": time(startup.ended_ms()),
                "href": format!("{base}/api/startuplogs/{}{query}", startup.file()),
            })
        })
        .collect();
    Ok(Json(json!({ "files": files })).into_response())
}

/// `GET /api/startuplogs/{file}[?instance=…]`.
pub(super) async fn one(scm: &Scm, call: &Call) -> Result<Response, Refusal> {
    let name = call.rest.get(2).cloned().unwrap_or_default();
    let all = startups(scm, call, call.query("instance")).await?;
    all.into_iter().find(|startup| startup.file() == name).map(shown).ok_or_else(none)
}

/// `GET /api/startuplogs/summary[?instance=…]`: how many starts of each instance went well and ill in the last day.
pub(super) async fn summary(scm: &Scm, call: &Call) -> Result<Response, Refusal> {
    let status = call.status(scm).await?;
    let events = events(scm, call).await?;
    let since = scm.identity.now_ms().saturating_sub(DAY_MS);
    let facts = |id: &str| {
        let all = grouped(of_instance(events.clone(), id));
        let recent = |failed: bool| all.iter().filter(move |startup| startup.failed == failed && startup.ended_ms() >= since);
        let newest = |failed: bool| recent(failed).map(Startup::ended_ms).max().map(time);
        json!({
            "Succeeded": recent(false).count(),
            "Failed": recent(true).count(),
            "MostRecentSuccess": newest(false),
            "MostRecentFailure": newest(true),
        })
    };
    let wanted = call.instance(status.as_ref())?;
    let instances = status.iter().flat_map(|status| &status.instances).map(|one| &one.status.id);
    let summary: Vec<Value> = instances
        .filter(|id| wanted.as_ref().is_none_or(|wanted| wanted == *id))
        .map(|id| json!({ "InstanceId": id, "Startup": facts(id.as_str()) }))
        .collect();
    Ok(Json(summary).into_response())
}

async fn startups(scm: &Scm, call: &Call, instance: Option<&str>) -> Result<Vec<Startup>, Refusal> {
    let events = events(scm, call).await?;
    Ok(grouped(match instance {
        Some(id) => of_instance(events, id),
        None => events,
    }))
}

async fn events(scm: &Scm, call: &Call) -> Result<Vec<Event>, Refusal> {
    match scm.azure.control().events(&call.app, false).await {
        Ok(events) => Ok(events.collect().await),
        Err(ControlError::AppNotFound { .. }) => Ok(Vec::new()),
        Err(other) => Err(other.into()),
    }
}

/// Keeps what happened to one instance, and to its revisions as a whole.
fn of_instance(mut events: Vec<Event>, id: &str) -> Vec<Event> {
    let its = |event: &Event| event.instance.as_ref().is_some_and(|one| one.as_str() == id);
    let revisions: BTreeSet<_> = events.iter().filter(|event| its(event)).filter_map(|event| event.revision).collect();
    events.retain(|event| {
        its(event) || (event.instance.is_none() && event.revision.is_some_and(|revision| revisions.contains(&revision)))
    });
    events
}

/// Groups events by revision, oldest first; a revision whose start has not ended yet is left out.
fn grouped(events: Vec<Event>) -> Vec<Startup> {
    let mut all: Vec<Startup> = Vec::new();
    for event in events {
        let Some(revision) = event.revision else { continue };
        match all.iter_mut().find(|startup| startup.revision == revision) {
            Some(startup) => startup.events.push(event),
            None => all.push(Startup { revision, failed: false, events: vec![event] }),
        }
    }
    for startup in &mut all {
        let ready = startup.events.iter().any(|event| matches!(event.kind.as_str(), "ready" | "deployed"));
        startup.failed = !ready && startup.events.iter().any(|event| event.kind == "failed" || event.kind == "refused");
    }
    all.retain(|startup| {
        startup.failed || startup.events.iter().any(|event| matches!(event.kind.as_str(), "ready" | "deployed"))
    });
    all.sort_by_key(|startup| startup.revision);
    all
}

/// The log itself; `az` tells of what the headers say.
fn shown(startup: Startup) -> Response {
    let (text, file, outcome) = (startup.text(), startup.file(), startup.outcome());
    let mut response = text_stream(futures::stream::once(async { text }).boxed());
    let headers = response.headers_mut();
    headers.insert("x-startuplog-outcome", HeaderValue::from_static(outcome));
    if let Ok(file) = HeaderValue::try_from(file) {
        headers.insert("x-startuplog-filename", file);
    }
    response
}

fn none() -> Refusal {
    Refusal::new(StatusCode::NOT_FOUND, "StartupLogNotFound", "there is no such log of a start")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn starts_are_told_by_revision_and_by_how_they_went() {
        let event = |serial: u64, revision: u64, kind: &str| Event {
            serial,
            at_ms: serial,
            app: "shop".parse().unwrap(),
            revision: Some(revision),
            instance: None,
            container: None,
            kind: kind.into(),
            text: "t".into(),
        };
        let events = vec![
            event(1, 1, "applied"),
            event(2, 1, "failed"),
            event(3, 2, "applied"),
            event(4, 2, "ready"),
            event(5, 3, "applied"),
        ];
        let all = grouped(events);
        let told: Vec<_> = all.iter().map(|startup| (startup.revision, startup.failed)).collect();
        assert_eq!(told, [(1, true), (2, false)], "the third has not ended yet");
        assert_eq!(all[0].file(), "1970-01-01_revision-1_failure.log");
    }

    #[test]
    fn the_starts_of_one_instance_are_told_apart() {
        let event = |serial: u64, revision: u64, instance: Option<&str>, kind: &str| Event {
            serial,
            at_ms: serial,
            app: "shop".parse().unwrap(),
            revision: Some(revision),
            instance: instance.map(|id| id.parse().unwrap()),
            container: None,
            kind: kind.into(),
            text: "t".into(),
        };
        let events = vec![
            event(1, 1, None, "applied"),
            event(2, 1, Some("a"), "ready"),
            event(3, 1, Some("b"), "failed"),
            event(4, 2, None, "applied"),
            event(5, 2, Some("b"), "ready"),
        ];
        let told = |id| {
            let all = grouped(of_instance(events.clone(), id));
            all.iter().map(|startup| (startup.revision, startup.failed, startup.events.len())).collect::<Vec<_>>()
        };
        assert_eq!(told("a"), [(1, false, 2)]);
        assert_eq!(told("b"), [(1, true, 2), (2, false, 2)]);
        assert_eq!(told("c"), []);
    }
}
