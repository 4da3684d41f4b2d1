//! What an app's containers have printed, read as a whole: for the sites' own pages and for the resource manager.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    io::{self, Seek, Write},
    time::Duration,
};

use futures::{StreamExt, stream::BoxStream};
use pillion_control::{Control, ControlError, LogSelection};
use pillion_engine::LogLine;
use pillion_model::{AppName, InstanceId};
use tokio::sync::{Semaphore, SemaphorePermit};

/// Lines of one container.
pub(crate) const MOST: usize = 50_000;
/// How long a request waits for another that reads whole logs.
const TURN: Duration = Duration::from_secs(30);
/// Held while whole logs are in memory, of which the machine has one.
static READING: Semaphore = Semaphore::const_new(1);

/// Why logs cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LogsError {
    #[error("other requests are reading whole logs at this moment; try again later")]
    Busy,
    #[error(transparent)]
    Control(#[from] ControlError),
    #[error("the logs could not be packed")]
    Pack(#[source] io::Error),
}

/// One container of one instance.
pub(crate) type Source = (InstanceId, String);

/// Waits until no other request holds whole logs in memory.
pub(crate) async fn turn() -> Result<SemaphorePermit<'static>, LogsError> {
    match tokio::time::timeout(TURN, READING.acquire()).await {
        Ok(Ok(turn)) => Ok(turn),
        Ok(Err(_)) | Err(_) => Err(LogsError::Busy),
    }
}

/// Gives the name of a log's file.
pub(crate) fn file_name((instance, container): &Source) -> String {
    format!("{instance}_{container}.log")
}

/// Takes a log's file name apart.
pub(crate) fn source_of(file: &str) -> Option<Source> {
    let (instance, container) = file.strip_suffix(".log")?.rsplit_once('_')?;
    Some((instance.parse().ok()?, container.to_owned()))
}

/// Renders lines as they are in a log's file.
pub(crate) fn text(lines: &[LogLine]) -> String {
    lines.iter().map(line).collect()
}

pub(crate) fn line(line: &LogLine) -> String {
    format!("{} {}\n", time(line.at_ms), line.text)
}

/// Renders milliseconds since the epoch as RFC 3339.
pub(crate) fn time(ms: u64) -> String {
    let at = i64::try_from(ms).ok().and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
    at.map(|at| at.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()).unwrap_or_default()
}

/// Reads the newest lines of every container of every instance, also of those that are gone: up to [`MOST`] of each, so
/// that one that prints much takes no room from the others.
pub(crate) async fn all(control: &Control, app: &AppName) -> Result<BTreeMap<Source, Vec<LogLine>>, LogsError> {
    let mut sources = BTreeSet::new();
    match control.status(app).await {
        Ok(status) => {
            for one in &status.instances {
                sources.extend(one.status.containers.iter().map(|container| (one.status.id.clone(), container.name.to_string())));
            }
        }
        Err(ControlError::AppNotFound { .. }) => return Ok(BTreeMap::new()),
        Err(other) => return Err(other.into()),
    }
    // Those that are gone are known by their lines alone.
    let mut all: BTreeMap<Source, Vec<LogLine>> = BTreeMap::new();
    let mut newest = read(control, app, None).await?;
    while let Some(line) = newest.next().await {
        all.entry((line.instance.clone(), line.container.clone())).or_default().push(line);
    }
    drop(newest);
    sources.extend(all.keys().cloned());
    for source in sources {
        let lines: Vec<LogLine> = read(control, app, Some(&source)).await?.collect().await;
        if !lines.is_empty() {
            all.insert(source, lines);
        }
    }
    Ok(all)
}

/// Reads the newest lines of one container, or of all together.
pub(crate) async fn read(
    control: &Control,
    app: &AppName,
    source: Option<&Source>,
) -> Result<BoxStream<'static, LogLine>, LogsError> {
    let (instance, container) = source.cloned().unzip();
    let which = LogSelection { container, instance, follow: false, since: None, tail: Some(MOST) };
    match control.logs(app, which).await {
        Ok(lines) => Ok(lines),
        // One that was there a moment ago may be forgotten by now.
        Err(ControlError::AppNotFound { .. } | ControlError::ContainerNotFound { .. }) => Ok(futures::stream::empty().boxed()),
        Err(other) => Err(other.into()),
    }
}

/// Packs all logs, what happened, and how the app is; gives the file and its size.
pub(crate) async fn archive(control: &Control, app: &AppName) -> Result<(File, u64), LogsError> {
    let _turn = turn().await?;
    let mut files = Vec::new();
    for (source, lines) in all(control, app).await? {
        files.push((format!("LogFiles/{}", file_name(&source)), text(&lines)));
    }
    match control.events(app, false).await {
        Ok(events) => {
            let lines: Vec<String> =
                events.map(|event| format!("{} {} {}\n", time(event.at_ms), event.kind, event.text)).collect().await;
            files.push(("LogFiles/platform.log".to_owned(), lines.concat()));
        }
        Err(ControlError::AppNotFound { .. }) => {}
        Err(other) => return Err(other.into()),
    }
    match control.status(app).await {
        Ok(status) => files.push(("status.json".to_owned(), serde_json::to_string_pretty(&status).unwrap_or_default())),
        Err(ControlError::AppNotFound { .. }) => {}
        Err(other) => return Err(other.into()),
    }
    let packed = tokio::task::spawn_blocking(move || pack(&files)).await.unwrap_or_else(|error| Err(io::Error::other(error)));
    packed.map_err(LogsError::Pack)
}

fn pack(files: &[(String, String)]) -> io::Result<(File, u64)> {
    let mut archive = zip::ZipWriter::new(tempfile::tempfile()?);
    let options = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Deflated);
    for (name, text) in files {
        archive.start_file(name.as_str(), options).map_err(io::Error::other)?;
        archive.write_all(text.as_bytes())?;
    }
    let mut file = archive.finish().map_err(io::Error::other)?;
    let size = file.stream_position()?;
    file.rewind()?;
    Ok((file, size))
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

    #[test]
    fn a_logs_name_leads_back_to_its_container() {
        let source: Source = ("shop-1-abc".parse().unwrap(), "main".to_owned());
        assert_eq!(source_of(&file_name(&source)), Some(source));
        for other in ["main.log", "a_b", "../x_y.log"] {
            assert_eq!(source_of(other), None, "{other}");
        }
    }
}
