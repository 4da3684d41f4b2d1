//! The log lines of many containers as one stream, ordered by time where they are read from files.

use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
};

use futures::{StreamExt, stream::BoxStream};
use pillion_engine::{LogLine, LogQuery, Stream};
use pillion_fault::Diagnosis;
use pillion_model::{AppName, InstanceId};
use pillion_supervisor::logs::{self, Line};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use crate::{HostEngine, HostSettings, faults::internal, instance_dir};

/// Directories of gone instances that are kept per app, so that the log of what just crashed can still be read.
const KEPT_INSTANCES: usize = 5;
const QUEUE: usize = 256;

/// One container's log.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Source {
    dir: PathBuf,
    instance: InstanceId,
    container: String,
}

/// Returns the lines a query asks for; with `follow` it goes on with lines to come, of later containers and instances too.
pub(crate) async fn stream(engine: &HostEngine, query: LogQuery) -> Result<BoxStream<'static, LogLine>, Diagnosis> {
    let failed = |error: io::Error| internal("reading logs", error);
    let sources = sources(engine.settings(), &query);
    if !query.follow {
        let lines = crate::adopt::blocking(move || read_all(&sources, &query)).await.and_then(|lines| lines).map_err(failed)?;
        return Ok(futures::stream::iter(lines).boxed());
    }
    let (sender, receiver) = mpsc::channel(QUEUE);
    tokio::spawn(follow_all(engine.clone(), query, sources, sender));
    Ok(ReceiverStream::new(receiver).boxed())
}

/// Removes the logs of all but the newest instances that are gone.
pub(crate) fn keep_newest(settings: &HostSettings, app: &AppName) {
    let mut dirs: Vec<_> = instances(&instance_dir::app_logs(settings, app))
        .into_iter()
        .filter(|(id, _)| !instance_dir::runs(settings).join(id.as_str()).exists())
        .filter_map(|(_, dir)| Some((fs::metadata(&dir).and_then(|meta| meta.modified()).ok()?, dir)))
        .collect();
    dirs.sort_by_key(|(modified, _)| std::cmp::Reverse(*modified));
    for (_, dir) in dirs.into_iter().skip(KEPT_INSTANCES) {
        if let Err(error) = instance_dir::remove_tree(&dir) {
            tracing::warn!(directory = %dir.display(), %error, "old logs could not be removed");
        }
    }
}

fn read_all(sources: &[Source], query: &LogQuery) -> io::Result<Vec<LogLine>> {
    let mut lines = Vec::new();
    for source in sources {
        let read = logs::read(&source.dir, &source.container, query.since, query.tail)?;
        lines.extend(read.into_iter().map(|line| (line.at_us, translate(source, line))));
    }
    // Stable: lines of one container keep their order even where the clock stood still.
    lines.sort_by_key(|(at, _)| *at);
    let excess = query.tail.map_or(0, |tail| lines.len().saturating_sub(tail));
    Ok(lines.into_iter().skip(excess).map(|(_, line)| line).collect())
}

async fn follow_all(engine: HostEngine, query: LogQuery, first: Vec<Source>, sender: mpsc::Sender<LogLine>) {
    let mut observed = engine.inner.facts.watch();
    let mut known = BTreeSet::new();
    let mut fresh = first;
    // Only what was there at the beginning is cut to a tail; what comes later is wanted whole.
    let mut tail = query.tail;
    let mut followers = tokio::task::JoinSet::new();
    loop {
        for source in fresh {
            if known.insert(source.clone()) {
                followers.spawn(follow_one(source, query.since, tail, sender.clone()));
            }
        }
        tail = None;
        tokio::select! {
            // Both are safe to drop: a closed channel stays closed and a missed change is seen by the next look.
            () = sender.closed() => return,
            changed = observed.changed() => if changed.is_err() { return },
        }
        fresh = sources(engine.settings(), &query);
    }
}

async fn follow_one(source: Source, since: Option<std::time::SystemTime>, tail: Option<usize>, sender: mpsc::Sender<LogLine>) {
    let mut lines = match logs::follow(&source.dir, &source.container, since, tail) {
        Ok(lines) => lines,
        Err(error) => return tracing::warn!(container = source.container, %error, "a log cannot be followed"),
    };
    while let Some(line) = lines.next().await {
        if sender.send(translate(&source, line)).await.is_err() {
            return;
        }
    }
}

fn translate(source: &Source, line: Line) -> LogLine {
    LogLine {
        instance: source.instance.clone(),
        container: source.container.clone(),
        at_ms: u64::try_from(line.at_us / 1000).unwrap_or(0),
        stream: match line.stream {
            logs::Stream::Stdout => Stream::Stdout,
            logs::Stream::Stderr => Stream::Stderr,
        },
        text: String::from_utf8_lossy(&line.text).into_owned(),
    }
}

fn sources(settings: &HostSettings, query: &LogQuery) -> Vec<Source> {
    let apps = match &query.app {
        Some(app) => vec![instance_dir::app_logs(settings, app)],
        None => children(&settings.state.join("logs")),
    };
    let mut sources = Vec::new();
    for (id, dir) in apps.iter().flat_map(|app| instances(app)) {
        if query.instance.as_ref().is_some_and(|wanted| *wanted != id) {
            continue;
        }
        let files =
            children(&dir).into_iter().filter_map(|file| Some(file.file_name()?.to_str()?.strip_suffix(".log")?.to_owned()));
        // The supervisor's own words are for whoever debugs Pillion, not part of the app's log.
        for container in files.filter(|name| name != "supervisor") {
            if query.container.as_ref().is_none_or(|wanted| *wanted == container) {
                sources.push(Source { dir: dir.clone(), instance: id.clone(), container });
            }
        }
    }
    sources.sort();
    sources
}

fn instances(app_logs: &Path) -> Vec<(InstanceId, PathBuf)> {
    children(app_logs).into_iter().filter_map(|dir| Some((dir.file_name()?.to_str()?.parse().ok()?, dir))).collect()
}

fn children(dir: &Path) -> Vec<PathBuf> {
    fs::read_dir(dir).map(|entries| entries.filter_map(|entry| Some(entry.ok()?.path())).collect()).unwrap_or_default()
}
