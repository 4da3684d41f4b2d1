//! `/api/vfs`: the files below the app's `/home`. A path that ends with a slash is a directory.
//!
//! `LogFiles/` also shows what the containers print, a file each, which can be read and not changed: those logs are outside of
//! the apps' reach, and a file of the app's own of the same name comes first.

use std::{
    fs::File,
    io::{self, Cursor, Seek, SeekFrom},
    sync::Arc,
    time::{Duration, SystemTime},
};

use axum::{
    Json,
    body::Body,
    extract::Request,
    http::{
        HeaderMap, HeaderValue, Method, StatusCode,
        header::{
            ACCEPT_RANGES, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG,
            IF_MATCH, IF_NONE_MATCH, LAST_MODIFIED, X_CONTENT_TYPE_OPTIONS,
        },
    },
    response::{IntoResponse, Response},
};
use futures::StreamExt;
use rustix::io::Errno;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_util::io::ReaderStream;

use super::{
    Scm,
    answer::{Refusal, time},
    home::{Entry, Facts, Found, Home, is_plain},
    logs::{self, LogFile},
    ranges::{self, Wanted},
    site::Call,
};
use crate::container_logs;

/// The largest file that can be written.
const MOST_BYTES: u64 = 2 << 30;

/// The directory that shows the logs.
const LOGS: &str = "LogFiles";

pub(super) async fn answer(scm: &Arc<Scm>, call: &Call, request: Request<Body>) -> Result<Response, Refusal> {
    let path: Vec<String> = call.rest[2..].to_vec();
    if !is_plain(&path) {
        return Err(Refusal::bad_request("PathInvalid", "the path must have no `.`, `..` or NUL, and at most 64 parts"));
    }
    let (apps, app) = (scm.apps.clone(), call.app.clone());
    let home = blocking(move || Home::open(&apps, &app)).await?.map(Arc::new);
    let reading = matches!(*request.method(), Method::GET | Method::HEAD);
    if let [directory, name] = path.as_slice()
        && directory == LOGS
        && !is_there(home.as_ref(), &path).await?
        && let Some(log) = logs::file(scm, call, name).await?
    {
        if !reading {
            return Err(method_not_allowed("the logs of containers can be read, not changed", "GET, HEAD"));
        }
        let facts = facts_of(&log);
        return serve(request.headers(), request.method(), name, &facts, Content::Text(log.text.into_bytes())).await;
    }
    if reading && matches!(path.as_slice(), [only] if only == LOGS) {
        let mut entries = match &home {
            Some(home) if is_there(Some(home), &path).await? => match read(home, &path).await? {
                Found::Directory(entries) => entries,
                Found::File(file, facts) => {
                    return serve(request.headers(), request.method(), LOGS, &facts, Content::File(file)).await;
                }
            },
            Some(_) | None => Vec::new(),
        };
        for log in logs::files(scm, call).await? {
            let name = container_logs::file_name(&log.source);
            if entries.iter().all(|entry| entry.name != name) {
                entries.push(Entry { name, facts: facts_of(&log) });
            }
        }
        return Ok(listed(call, &path, &entries));
    }
    let Some(home) = home else {
        return Err(Refusal::new(
            StatusCode::NOT_FOUND,
            "HomeNotFound",
            "the site has no /home: it appears when a container that has it starts, and WEBSITES_ENABLE_APP_SERVICE_STORAGE=false \
             switches it off",
        ));
    };
    match *request.method() {
        Method::GET | Method::HEAD => match read(&home, &path).await? {
            Found::Directory(entries) => Ok(listed(call, &path, &entries)),
            Found::File(file, facts) => {
                let name = path.last().map(String::as_str).unwrap_or_default();
                serve(request.headers(), request.method(), name, &facts, Content::File(file)).await
            }
        },
        Method::PUT if call.trailing => {
            blocking(move || home.make_directories(&path).map(drop)).await?;
            Ok(StatusCode::CREATED.into_response())
        }
        Method::PUT => write(home, path, request).await,
        Method::DELETE => {
            let found = {
                let (home, path) = (home.clone(), path.clone());
                blocking(move || home.facts(&path)).await?
            };
            let found = found.ok_or_else(absent)?;
            if !found.directory {
                precondition(request.headers(), Some(&found))?;
            }
            blocking(move || home.remove(&path)).await?;
            Ok(StatusCode::OK.into_response())
        }
        _ => Err(method_not_allowed("files take GET, HEAD, PUT and DELETE", "GET, HEAD, PUT, DELETE")),
    }
}

fn method_not_allowed(message: &str, allowed: &'static str) -> Refusal {
    Refusal::NotAllowed { message: message.to_owned(), allowed }
}

async fn is_there(home: Option<&Arc<Home>>, path: &[String]) -> Result<bool, Refusal> {
    let Some(home) = home.cloned() else { return Ok(false) };
    let path = path.to_vec();
    blocking(move || home.facts(&path)).await.map(|facts| facts.is_some())
}

async fn read(home: &Arc<Home>, path: &[String]) -> Result<Found, Refusal> {
    let (home, path) = (home.clone(), path.to_vec());
    blocking(move || home.read(&path)).await
}

/// What is told of a container's log.
fn facts_of(log: &LogFile) -> Facts {
    let size = log.text.len() as u64;
    Facts {
        directory: false,
        size,
        changed: SystemTime::UNIX_EPOCH + Duration::from_millis(log.changed_ms),
        etag: format!("\"log-{:x}-{size:x}\"", log.changed_ms),
    }
}

fn listed(call: &Call, path: &[String], entries: &[Entry]) -> Response {
    let base = format!("{}/api/vfs/{}", call.base(), path.join("/"));
    let directory = path.iter().collect::<std::path::PathBuf>();
    let listed: Vec<Value> = entries
        .iter()
        .map(|entry| {
            let changed = entry.facts.changed.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
            let changed = time(u64::try_from(changed.as_millis()).unwrap_or(0));
            let slash = if entry.facts.directory { "/" } else { "" };
            json!({
                "name": entry.name,
                "size": entry.facts.size,
                "mtime": changed,
                "crtime": changed,
                "mime": if entry.facts.directory { "inode/directory" } else { "application/octet-stream" },
                "href": format!("{}/{}{slash}", base.trim_end_matches('/'), encoded(&entry.name)),
                "path": format!("/home/{}", directory.join(&entry.name).display()),
            })
        })
        .collect();
    Json(listed).into_response()
}

/// What is sent of a file.
enum Content {
    File(File),
    Text(Vec<u8>),
}

/// Sends a file, or the part of it that is asked for.
async fn serve(headers: &HeaderMap, method: &Method, name: &str, facts: &Facts, content: Content) -> Result<Response, Refusal> {
    let same = headers.get(IF_NONE_MATCH).is_some_and(|etag| etag.as_bytes() == facts.etag.as_bytes());
    // A range means something to a GET only.
    let wanted = if method == Method::GET { ranges::wanted(headers, facts.size, &facts.etag) } else { Wanted::Whole };
    let (status, first, length) = match wanted {
        _ if same => (StatusCode::NOT_MODIFIED, 0, 0),
        Wanted::Whole => (StatusCode::OK, 0, facts.size),
        Wanted::Part { first, last } => (StatusCode::PARTIAL_CONTENT, first, last - first + 1),
        Wanted::Beyond => (StatusCode::RANGE_NOT_SATISFIABLE, 0, 0),
    };
    let body = if same || method == Method::HEAD || matches!(wanted, Wanted::Beyond) {
        Body::empty()
    } else {
        part(content, first, length).await?
    };
    let mut response = (status, body).into_response();
    let answered = response.headers_mut();
    if !same {
        answered.insert(CONTENT_LENGTH, HeaderValue::from(length));
        answered.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    }
    let range = match wanted {
        Wanted::Part { first, last } if !same => Some(format!("bytes {first}-{last}/{}", facts.size)),
        Wanted::Beyond if !same => Some(format!("bytes */{}", facts.size)),
        Wanted::Part { .. } | Wanted::Beyond | Wanted::Whole => None,
    };
    if let Some(range) = range.and_then(|range| HeaderValue::try_from(range).ok()) {
        answered.insert(CONTENT_RANGE, range);
    }
    answered.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    // A browser must not show what an app's containers wrote as a page of this origin.
    answered.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static("sandbox; default-src 'none'"));
    answered.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    let disposition = format!("attachment; filename*=UTF-8''{}", encoded(name));
    answered.insert(
        CONTENT_DISPOSITION,
        HeaderValue::try_from(disposition).unwrap_or_else(|_| HeaderValue::from_static("attachment")),
    );
    tag(answered, facts);
    Ok(response)
}

/// Reads so many bytes from the first on; a file that grows meanwhile is not sent beyond what was told of it.
async fn part(content: Content, first: u64, length: u64) -> Result<Body, Refusal> {
    match content {
        Content::File(mut file) => {
            let file = blocking(move || file.seek(SeekFrom::Start(first)).map(|_| file)).await?;
            Ok(Body::from_stream(ReaderStream::new(tokio::fs::File::from_std(file).take(length))))
        }
        Content::Text(text) => {
            let mut text = Cursor::new(text);
            text.set_position(first);
            Ok(Body::from_stream(ReaderStream::new(text.take(length))))
        }
    }
}

async fn write(home: Arc<Home>, path: Vec<String>, request: Request<Body>) -> Result<Response, Refusal> {
    let found = {
        let (home, path) = (home.clone(), path.clone());
        blocking(move || home.facts(&path)).await?
    };
    if found.as_ref().is_some_and(|found| found.directory) {
        return Err(Refusal::new(StatusCode::CONFLICT, "IsDirectory", "there is a directory of this name"));
    }
    if found.is_some() || request.headers().contains_key(IF_MATCH) {
        precondition(request.headers(), found.as_ref())?;
    }
    let writing = blocking(move || home.begin(&path)).await?;
    let mut file = tokio::fs::File::from_std(writing.file().map_err(refused)?);
    let mut body = request.into_body().into_data_stream();
    let mut size = 0_u64;
    while let Some(piece) = body.next().await {
        let piece = piece.map_err(|_| Refusal::bad_request("BodyBroken", "the body ended before it was complete"))?;
        size += piece.len() as u64;
        if size > MOST_BYTES {
            let message = format!("a file may have at most {MOST_BYTES} bytes");
            return Err(Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "BodyTooLarge", message));
        }
        file.write_all(&piece).await.map_err(refused)?;
    }
    file.flush().await.map_err(refused)?;
    drop(file);
    let facts = blocking(move || writing.finish()).await?;
    let status = if found.is_some() { StatusCode::NO_CONTENT } else { StatusCode::CREATED };
    let mut response = status.into_response();
    tag(response.headers_mut(), &facts);
    Ok(response)
}

/// Checks `If-Match`: a version, or `*` for whichever is there. As at Kudu, what is there is not changed without one.
fn precondition(headers: &HeaderMap, found: Option<&Facts>) -> Result<(), Refusal> {
    let failed = |message: &str| Err(Refusal::new(StatusCode::PRECONDITION_FAILED, "PreconditionFailed", message));
    let Some(wanted) = headers.get(IF_MATCH) else {
        return failed("the file is there: name the version to change with `If-Match`, or any with `If-Match: *`");
    };
    let fits = found.is_some_and(|found| wanted.as_bytes() == found.etag.as_bytes());
    // Clients send `*` for a file that may be new, too.
    if wanted.as_bytes() == b"*" || fits { Ok(()) } else { failed("the file is another version by now") }
}

fn tag(headers: &mut HeaderMap, facts: &Facts) {
    if let Ok(etag) = HeaderValue::try_from(&facts.etag) {
        headers.insert(ETAG, etag);
    }
    let changed = jiff::Timestamp::try_from(facts.changed).map(|at| at.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string());
    if let Some(changed) = changed.ok().and_then(|changed| HeaderValue::try_from(changed).ok()) {
        headers.insert(LAST_MODIFIED, changed);
    }
}

fn encoded(name: &str) -> String {
    name.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => char::from(byte).to_string(),
            other => format!("%{other:02X}"),
        })
        .collect()
}

fn absent() -> Refusal {
    Refusal::new(StatusCode::NOT_FOUND, "FileNotFound", "there is no such file or directory")
}

fn refused(error: io::Error) -> Refusal {
    match error.kind() {
        io::ErrorKind::NotFound => absent(),
        // A link that leads out, or a loop of them, resolves to nothing.
        io::ErrorKind::NotADirectory | io::ErrorKind::CrossesDevices => absent(),
        _ if error.raw_os_error() == Some(Errno::LOOP.raw_os_error()) => absent(),
        io::ErrorKind::DirectoryNotEmpty => Refusal::new(StatusCode::CONFLICT, "DirectoryNotEmpty", "the directory is not empty"),
        io::ErrorKind::IsADirectory => Refusal::new(StatusCode::CONFLICT, "IsDirectory", "it is a directory"),
        io::ErrorKind::InvalidInput => Refusal::bad_request("NotAFile", error.to_string()),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            Refusal::new(StatusCode::INSUFFICIENT_STORAGE, "DiskFull", "there is no room left on the disk")
        }
        _ => {
            tracing::warn!(error = &error as &dyn std::error::Error, "a file of an app could not be read or written");
            Refusal::bad_request("FileRefused", format!("the file cannot be read or written: {}", error.kind()))
        }
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> Result<T, Refusal> {
    let done = tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| Err(io::Error::other(error)));
    done.map_err(refused)
}
