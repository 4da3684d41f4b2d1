//! What a site's containers print: streams that go on, lists, archives.

use std::time::Duration;

use axum::{
    Json,
    body::Body,
    http::{
        HeaderValue, StatusCode,
        header::{CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_TYPE},
    },
    response::{IntoResponse, Response},
};
use futures::{StreamExt, stream::BoxStream};
use pillion_control::{ControlError, LogSelection};
use pillion_engine::LogLine;
use pillion_model::InstanceId;
use serde_json::json;
use tokio_util::io::ReaderStream;

use super::{
    Scm,
    answer::{Refusal, text_stream, time},
    site::Call,
    status,
};
use crate::container_logs::{self, MOST, Source};

/// Lines of the past that a stream begins with.
const PAST: usize = 100;
/// A stream that is silent says so, which finds clients that are gone.
const SILENCE: Duration = Duration::from_secs(60);

/// `GET /api/sitecontainers/{name}/logs`: one container, line by line as they come. `follow=false` ends with the last one, and
/// so does an instance that has ended, whose lines are there as long as its log is kept.
pub(super) async fn container(scm: &Scm, call: &Call) -> Result<Response, Refusal> {
    let name = call.rest.get(2).cloned().unwrap_or_default();
    let (instance, ended) = match call.instance(call.status(scm).await?.as_ref()) {
        Ok(instance) => (instance, false),
        Err(refusal) => match call.query("instance").and_then(|id| id.parse::<InstanceId>().ok()) {
            Some(id) => (Some(id), true),
            None => return Err(refusal),
        },
    };
    let follow = !ended && call.query("follow") != Some("false");
    let container = match status::document(scm, call).await? {
        Some(document) => {
            document.definition.containers.keys().map(ToString::to_string).find(|key| key.eq_ignore_ascii_case(&name))
        }
        None => None,
    };
    let which = LogSelection {
        // A container that was removed has lines too; control knows of those that have.
        container: Some(container.unwrap_or(name)),
        instance: instance.clone(),
        follow,
        since: None,
        tail: Some(if follow { PAST } else { MOST }),
    };
    let mut lines = scm.azure.control().logs(&call.app, which).await?.peekable();
    if let (true, Some(instance)) = (ended, instance)
        && std::pin::Pin::new(&mut lines).peek().await.is_none()
    {
        let message = format!("the site has no instance `{instance}`, and no log of it");
        return Err(Refusal::new(StatusCode::NOT_FOUND, "InstanceNotFound", message));
    }
    let lines = lines.map(|line| container_logs::line(&line)).boxed();
    Ok(text_stream(if follow { never_silent(lines) } else { lines }))
}

/// `GET /logstream[/p]`: every container, and what happens to the site.
pub(super) async fn stream(scm: &Scm, call: &Call) -> Result<Response, Refusal> {
    let instance = call.instance(call.status(scm).await?.as_ref())?;
    let which = LogSelection { container: None, instance, follow: true, since: None, tail: Some(PAST) };
    let control = scm.azure.control();
    let lines = match control.logs(&call.app, which).await {
        Ok(lines) => lines.map(|line| format!("{} {} | {}\n", time(line.at_ms), line.container, line.text)).boxed(),
        // No container yet: `az` insists on a stream.
        Err(ControlError::AppNotFound { .. }) => {
            let text = format!("{} no container of this site has run yet\n", time(scm.identity.now_ms()));
            return Ok(text_stream(never_silent(
                futures::stream::once(async { text }).chain(futures::stream::pending()).boxed(),
            )));
        }
        Err(other) => return Err(other.into()),
    };
    let since = scm.identity.now_ms();
    let events = control.events(&call.app, true).await?;
    let events = events
        .filter(move |event| std::future::ready(event.at_ms >= since))
        .map(|event| format!("{} [platform] {}\n", time(event.at_ms), event.text));
    Ok(text_stream(never_silent(futures::stream::select(lines, events).boxed())))
}

/// `GET /api/logs/docker`: where each container's log is.
pub(super) async fn list(scm: &Scm, call: &Call) -> Result<Response, Refusal> {
    let base = call.base();
    let listed: Vec<_> = files(scm, call)
        .await?
        .into_iter()
        .map(|log| {
            let (instance, container) = &log.source;
            json!({
                "machineName": instance,
                "lastUpdated": time(log.changed_ms),
                "size": log.text.len(),
                "href": format!("{base}/api/sitecontainers/{container}/logs?follow=false&instance={instance}"),
                "path": format!("/home/LogFiles/{}", container_logs::file_name(&log.source)),
            })
        })
        .collect();
    Ok(Json(listed).into_response())
}

/// One container's log as a file.
pub(super) struct LogFile {
    pub(super) source: Source,
    pub(super) text: String,
    pub(super) changed_ms: u64,
}

impl LogFile {
    fn of(source: Source, lines: &[LogLine]) -> Option<LogFile> {
        let changed_ms = lines.last()?.at_ms;
        Some(LogFile { source, text: container_logs::text(lines), changed_ms })
    }
}

/// Reads every log there is.
pub(super) async fn files(scm: &Scm, call: &Call) -> Result<Vec<LogFile>, Refusal> {
    let _turn = container_logs::turn().await?;
    let all = container_logs::all(scm.azure.control(), &call.app).await?;
    Ok(all.into_iter().filter_map(|(source, lines)| LogFile::of(source, &lines)).collect())
}

/// Reads the log that a file's name stands for.
pub(super) async fn file(scm: &Scm, call: &Call, name: &str) -> Result<Option<LogFile>, Refusal> {
    let Some(source) = container_logs::source_of(name) else { return Ok(None) };
    let _turn = container_logs::turn().await?;
    let lines: Vec<LogLine> = container_logs::read(scm.azure.control(), &call.app, Some(&source)).await?.collect().await;
    Ok(LogFile::of(source, &lines))
}

/// `GET /api/logs/docker/zip` and `/dump`: all logs, what happened, and how the site is, in one archive.
pub(super) async fn archive(scm: &Scm, call: &Call) -> Result<Response, Refusal> {
    let (file, size) = container_logs::archive(scm.azure.control(), &call.app).await?;
    let body = Body::from_stream(ReaderStream::new(tokio::fs::File::from_std(file)));
    let mut response = body.into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/zip"));
    headers.insert(CONTENT_LENGTH, HeaderValue::from(size));
    let name = format!("attachment; filename=\"{}-logs.zip\"", call.name);
    if let Ok(name) = HeaderValue::try_from(name) {
        headers.insert(CONTENT_DISPOSITION, name);
    }
    Ok(response)
}

fn never_silent(lines: BoxStream<'static, String>) -> BoxStream<'static, String> {
    let told = futures::stream::unfold(lines, |mut lines| async {
        match tokio::time::timeout(SILENCE, lines.next()).await {
            Ok(line) => line.map(|line| (line, lines)),
            Err(_) => Some(("No new trace in the past minute.\n".to_owned(), lines)),
        }
    });
    told.boxed()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_silent_stream_says_so_and_goes_on() {
        let (tell, told) = futures::channel::mpsc::unbounded();
        let mut lines = never_silent(told.boxed());
        assert!(lines.next().await.unwrap().starts_with("No new trace"));
        tell.unbounded_send("a\n".to_owned()).unwrap();
        assert_eq!(lines.next().await.unwrap(), "a\n");
        drop(tell);
        assert_eq!(lines.next().await, None);
    }
}
