//! What a site's containers print: streams that go on, lists, archives.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{Seek, Write},
    time::Duration,
};

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
use tokio::sync::SemaphorePermit;
use tokio_util::io::ReaderStream;

use super::{
    Scm,
    answer::{Refusal, text_stream, time},
    site::Call,
    status,
};

/// Lines of the past that a stream begins with.
const PAST: usize = 100;
/// Lines of each container in an archive.
const MOST: usize = 50_000;
/// How long a request waits for another that reads whole logs.
const TURN: Duration = Duration::from_secs(30);
/// A stream that is silent says so, which finds clients that are gone.
const SILENCE: Duration = Duration::from_secs(60);

/// `GET /api/sitecontainers/{name}/logs`: one container, line by line as they come. `follow=false` ends with the last one.
pub(super) async fn container(scm: &Scm, call: &Call) -> Result<Response, Refusal> {
    let name = call.rest.get(2).cloned().unwrap_or_default();
    let follow = call.query("follow") != Some("false");
    let instance = call.instance(call.status(scm).await?.as_ref())?;
    let container = match status::document(scm, call).await? {
        Some(document) => {
            document.definition.containers.keys().map(ToString::to_string).find(|key| key.eq_ignore_ascii_case(&name))
        }
        None => None,
    };
    let which = LogSelection {
        // A container that was removed has lines too; control knows of those that may.
        container: Some(container.unwrap_or(name)),
        instance,
        follow,
        since: None,
        tail: Some(if follow { PAST } else { MOST }),
    };
    let lines = scm.azure.control().logs(&call.app, which).await?;
    let lines = lines.map(|line| format!("{} {}\n", time(line.at_ms), line.text)).boxed();
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
    let _turn = turn(scm).await?;
    let base = call.base();
    let mut all = Vec::new();
    for ((instance, container), lines) in logs(scm, call).await? {
        let size: usize = lines.iter().map(|line| line.text.len() + 1).sum();
        all.push(json!({
            "machineName": instance,
            "lastUpdated": lines.last().map(|line| time(line.at_ms)),
            "size": size,
            "href": format!("{base}/api/sitecontainers/{container}/logs?follow=false&instance={instance}"),
            "path": format!("/home/LogFiles/{instance}_{container}.log"),
        }));
    }
    Ok(Json(all).into_response())
}

/// `GET /api/logs/docker/zip` and `/dump`: all logs, what happened, and how the site is, in one archive.
pub(super) async fn archive(scm: &Scm, call: &Call) -> Result<Response, Refusal> {
    let _turn = turn(scm).await?;
    let mut files = Vec::new();
    for ((instance, container), lines) in logs(scm, call).await? {
        let text: String = lines.iter().map(|line| format!("{} {}\n", time(line.at_ms), line.text)).collect();
        files.push((format!("LogFiles/{instance}_{container}.log"), text));
    }
    let control = scm.azure.control();
    match control.events(&call.app, false).await {
        Ok(events) => {
            let lines: Vec<String> =
                events.map(|event| format!("{} {} {}\n", time(event.at_ms), event.kind, event.text)).collect().await;
            files.push(("LogFiles/platform.log".to_owned(), lines.concat()));
        }
        Err(ControlError::AppNotFound { .. }) => {}
        Err(other) => return Err(other.into()),
    }
    if let Some(status) = call.status(scm).await? {
        let text = serde_json::to_string_pretty(&status).unwrap_or_default();
        files.push(("status.json".to_owned(), text));
    }
    let packed =
        tokio::task::spawn_blocking(move || pack(&files)).await.unwrap_or_else(|error| Err(std::io::Error::other(error)));
    let (file, size) = packed.map_err(|error| {
        tracing::error!(error = &error as &dyn std::error::Error, "the logs could not be packed");
        Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "ArchiveFailed", "the logs could not be packed")
    })?;
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

/// Waits until no other request holds whole logs in memory.
async fn turn(scm: &Scm) -> Result<SemaphorePermit<'_>, Refusal> {
    match tokio::time::timeout(TURN, scm.reading.acquire()).await {
        Ok(Ok(turn)) => Ok(turn),
        Ok(Err(_)) | Err(_) => {
            let message = "other requests are reading whole logs at this moment; try again later";
            Err(Refusal::new(StatusCode::TOO_MANY_REQUESTS, "TooManyRequests", message))
        }
    }
}

/// Reads the newest lines of every container of every instance, also of those that are gone: up to [`MOST`] of each, so
/// that one that prints much takes no room from the others.
async fn logs(scm: &Scm, call: &Call) -> Result<BTreeMap<(InstanceId, String), Vec<LogLine>>, Refusal> {
    let mut sources = BTreeSet::new();
    for one in call.status(scm).await?.iter().flat_map(|status| &status.instances) {
        sources.extend(one.status.containers.iter().map(|container| (one.status.id.clone(), container.name.to_string())));
    }
    // Those that are gone are known by their lines alone; where the control plane has forgotten them, these are all.
    let mut all: BTreeMap<(InstanceId, String), Vec<LogLine>> = BTreeMap::new();
    let mut newest = read(scm, call, None).await?;
    while let Some(line) = newest.next().await {
        all.entry((line.instance.clone(), line.container.clone())).or_default().push(line);
    }
    drop(newest);
    sources.extend(all.keys().cloned());
    for source in sources {
        let lines: Vec<LogLine> = read(scm, call, Some(&source)).await?.collect().await;
        if !lines.is_empty() {
            all.insert(source, lines);
        }
    }
    Ok(all)
}

/// Reads the newest lines of one container, or of all together.
async fn read(scm: &Scm, call: &Call, source: Option<&(InstanceId, String)>) -> Result<BoxStream<'static, LogLine>, Refusal> {
    let (instance, container) = source.cloned().unzip();
    let which = LogSelection { container, instance, follow: false, since: None, tail: Some(MOST) };
    match scm.azure.control().logs(&call.app, which).await {
        Ok(lines) => Ok(lines),
        // One that was there a moment ago may be forgotten by now.
        Err(ControlError::AppNotFound { .. } | ControlError::ContainerNotFound { .. }) => Ok(futures::stream::empty().boxed()),
        Err(other) => Err(other.into()),
    }
}

fn pack(files: &[(String, String)]) -> std::io::Result<(std::fs::File, u64)> {
    let mut archive = zip::ZipWriter::new(tempfile::tempfile()?);
    let options = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Deflated);
    for (name, text) in files {
        archive.start_file(name.as_str(), options).map_err(std::io::Error::other)?;
        archive.write_all(text.as_bytes())?;
    }
    let mut file = archive.finish().map_err(std::io::Error::other)?;
    let size = file.stream_position()?;
    file.rewind()?;
    Ok((file, size))
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
    use std::io::Read;

    use super::*;

    #[test]
    fn an_archive_holds_every_file() {
        let files = [("LogFiles/a.log".to_owned(), "one\n".repeat(1000)), ("status.json".to_owned(), "{}".to_owned())];
        let (mut file, size) = pack(&files).unwrap();
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).unwrap();
        assert_eq!(bytes.len() as u64, size);
        let mut archive = zip::ZipArchive::new(std::io::Cursor::new(bytes)).unwrap();
        for (name, text) in files {
            let mut found = String::new();
            archive.by_name(&name).unwrap().read_to_string(&mut found).unwrap();
            assert_eq!(found, text);
        }
    }

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
