//! The access log: one JSON line a request, collected in memory and written by a thread of its own.
//!
//! A request appends to a buffer of its worker thread's shard and never waits for the disk or for the writer; the
//! writer is woken by the first line after a silence and then collects for a moment, so under load a wake-up costs
//! one request in many. A full buffer drops lines, and the log says how many.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::{
        Arc, Condvar, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    thread::JoinHandle,
    time::Duration,
};

use rustix::{
    fs::{OFlags, fcntl_getfl, fcntl_setfl},
    time::{ClockId, clock_gettime},
};

const SHARDS: usize = 8;
/// Bytes of lines one shard holds at most.
const SHARD_BYTES: usize = 1 << 20;
const COLLECT: Duration = Duration::from_millis(50);
/// The file is moved to `.1` when it has grown to this.
const ROTATE_AT: u64 = 64 << 20;

/// The log's front: cheap to call from any thread.
#[derive(Clone)]
pub struct AccessLog(Option<Arc<Shared>>);

#[derive(Default)]
struct Shared {
    shards: [Mutex<Shard>; SHARDS],
    dropped: AtomicU64,
    stop: AtomicBool,
    pending: Mutex<bool>,
    wake: Condvar,
}

#[derive(Default)]
struct Shard {
    bytes: Vec<u8>,
    second: i64,
    /// `second` as text: formatting a date costs more than the rest of a line.
    date: String,
}

/// What one line says.
pub struct Line<'a> {
    pub app: &'a str,
    pub instance: &'a str,
    pub peer: &'a [u8],
    pub method: &'a str,
    pub host: &'a [u8],
    pub target: &'a str,
    pub agent: &'a [u8],
    /// 0: the client left before an answer.
    pub status: u16,
    pub bytes: u64,
    pub took_usec: u64,
    /// The stable code of the gateway's own page, if the answer was one.
    pub code: &'a str,
}

/// The writing thread; [`Writer::stop`] writes what is collected and ends it.
pub struct Writer {
    shared: Arc<Shared>,
    thread: JoinHandle<()>,
}

impl AccessLog {
    /// A log that keeps nothing.
    pub fn none() -> Self {
        Self(None)
    }

    /// Starts the writing thread; `-` is stderr.
    pub fn start(file: LogFile) -> io::Result<(Self, Writer)> {
        let shared = Arc::new(Shared::default());
        let thread = std::thread::Builder::new().name("access-log".into()).spawn({
            let shared = shared.clone();
            move || shared.write_until_stopped(file)
        })?;
        Ok((Self(Some(shared.clone())), Writer { shared, thread }))
    }

    pub fn write(&self, line: &Line<'_>) {
        if let Some(shared) = &self.0 {
            shared.append(line);
        }
    }
}

impl Writer {
    pub fn stop(self) {
        self.shared.stop.store(true, Relaxed);
        self.shared.notify();
        // A writer that panicked has nothing more to write.
        let _ = self.thread.join();
    }
}

impl Shared {
    fn append(&self, line: &Line<'_>) {
        // The time of the last tick, a few milliseconds old: a log needs no better, and it costs a third.
        let now = clock_gettime(ClockId::RealtimeCoarse);
        let mut shard = self.shards[shard_of_thread()].lock().unwrap_or_else(PoisonError::into_inner);
        if shard.bytes.len() >= SHARD_BYTES {
            self.dropped.fetch_add(1, Relaxed);
            return;
        }
        let second = now.tv_sec;
        if shard.second != second {
            shard.second = second;
            shard.date = jiff::Timestamp::from_second(second)
                .map(|at| at.to_string().trim_end_matches('Z').to_owned())
                .unwrap_or_default();
        }
        let first = shard.bytes.is_empty();
        let Shard { bytes, date, .. } = &mut *shard;
        line.format(bytes, date, (now.tv_nsec / 1_000_000) as u32);
        drop(shard);
        if first {
            self.notify();
        }
    }

    fn notify(&self) {
        *self.pending.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.wake.notify_one();
    }

    fn write_until_stopped(&self, mut file: LogFile) {
        let mut bytes = Vec::new();
        loop {
            let stopping = self.stop.load(Relaxed);
            for shard in &self.shards {
                let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
                std::mem::swap(&mut shard.bytes, &mut bytes);
                drop(shard);
                file.write(&bytes);
                bytes.clear();
            }
            let dropped = self.dropped.swap(0, Relaxed);
            if dropped > 0 {
                file.write(format!("{{\"dropped\":{dropped}}}\n").as_bytes());
            }
            if stopping {
                return;
            }
            let pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
            let mut pending = self.wake.wait_while(pending, |pending| !*pending).unwrap_or_else(PoisonError::into_inner);
            *pending = false;
            drop(pending);
            if !self.stop.load(Relaxed) {
                std::thread::sleep(COLLECT);
            }
        }
    }
}

impl Line<'_> {
    fn format(&self, out: &mut Vec<u8>, date: &str, millis: u32) {
        out.extend_from_slice(b"{\"time\":\"");
        out.extend_from_slice(date.as_bytes());
        out.push(b'.');
        for digit in [millis / 100, millis / 10 % 10, millis % 10] {
            out.push(b'0' + digit as u8);
        }
        out.extend_from_slice(b"Z\"");
        text(out, "app", self.app.as_bytes());
        text(out, "instance", self.instance.as_bytes());
        text(out, "client", self.peer);
        text(out, "method", self.method.as_bytes());
        text(out, "host", self.host);
        text(out, "target", self.target.as_bytes());
        number(out, "status", self.status.into());
        number(out, "bytes", self.bytes);
        number(out, "usec", self.took_usec);
        text(out, "code", self.code.as_bytes());
        text(out, "agent", self.agent);
        out.extend_from_slice(b"}\n");
    }
}

/// Appends `,"key":"value"` unless the value is empty.
fn text(out: &mut Vec<u8>, key: &str, value: &[u8]) {
    if value.is_empty() {
        return;
    }
    out.extend_from_slice(b",\"");
    out.extend_from_slice(key.as_bytes());
    out.extend_from_slice(b"\":\"");
    if value.iter().all(|byte| matches!(byte, 0x20..=0x7e) && !matches!(byte, b'"' | b'\\')) {
        out.extend_from_slice(value);
    } else {
        for byte in value {
            match byte {
                b'"' | b'\\' => out.extend_from_slice(&[b'\\', *byte]),
                0x20..=0x7e => out.push(*byte),
                // Bytes beyond ASCII as Latin-1: reversible, and valid JSON whatever a client sent.
                other => out.extend_from_slice(format!("\\u{other:04x}").as_bytes()),
            }
        }
    }
    out.push(b'"');
}

fn number(out: &mut Vec<u8>, key: &str, value: u64) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    let mut rest = value;
    loop {
        at -= 1;
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    out.extend_from_slice(b",\"");
    out.extend_from_slice(key.as_bytes());
    out.extend_from_slice(b"\":");
    out.extend_from_slice(&digits[at..]);
}

fn shard_of_thread() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local!(static MINE: usize = NEXT.fetch_add(1, Relaxed) % SHARDS);
    MINE.with(|mine| *mine)
}

/// Where the lines go.
pub struct LogFile {
    /// None: stderr.
    file: Option<(File, PathBuf)>,
    length: u64,
    rotates: bool,
}

impl LogFile {
    /// Opens the log for appending; `-` is stderr.
    pub fn open(path: &Path) -> io::Result<Self> {
        if path.as_os_str() == "-" {
            return Ok(Self { file: None, length: 0, rotates: false });
        }
        let file = open_append(path)?;
        let length = file.metadata()?.len();
        Ok(Self { file: Some((file, path.to_owned())), length, rotates: true })
    }

    /// Gives the file to the user the gateway will be, who goes on writing it.
    pub fn give_to(&self, uid: u32, gid: u32) -> io::Result<()> {
        match &self.file {
            Some((file, _)) => std::os::unix::fs::fchown(file, Some(uid), Some(gid)),
            None => Ok(()),
        }
    }

    fn write(&mut self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        let outcome = match &mut self.file {
            Some((file, _)) => file.write_all(bytes),
            None => io::stderr().write_all(bytes),
        };
        // A full disk must cost log lines, never requests.
        if outcome.is_ok() {
            self.length += bytes.len() as u64;
        }
        if self.rotates && self.length >= ROTATE_AT {
            self.rotate();
        }
    }

    fn rotate(&mut self) {
        let Some((file, path)) = &mut self.file else { return };
        let mut old = path.clone().into_os_string();
        old.push(".1");
        match std::fs::rename(&*path, &old).and_then(|()| open_append(path)) {
            Ok(new) => {
                *file = new;
                self.length = 0;
            }
            Err(failure) => {
                // The directory is not the gateway's to rename in: whoever owns it rotates.
                tracing::info!(path = %path.display(), %failure, "the access log is not rotated");
                self.rotates = false;
            }
        }
    }
}

/// Says whether the log could be opened now, and leaves no file that was not there.
///
/// # Errors
/// What the gateway would meet that is started now; it serves without the log then.
pub fn probe(path: &Path) -> io::Result<()> {
    match OpenOptions::new().append(true).create_new(true).mode(0o640).open(path) {
        Ok(_) => std::fs::remove_file(path),
        Err(failure) if failure.kind() == io::ErrorKind::AlreadyExists => match opening().open(path) {
            // A link to a file that is to be made.
            Err(failure) if failure.kind() == io::ErrorKind::NotFound => Ok(()),
            opened => opened.map(drop),
        },
        Err(failure) => Err(failure),
    }
}

fn opening() -> OpenOptions {
    let mut options = OpenOptions::new();
    // A pipe that nobody reads would be waited for, and no site served meanwhile.
    options.append(true).mode(0o640).custom_flags(OFlags::NONBLOCK.bits().cast_signed());
    options
}

fn open_append(path: &Path) -> io::Result<File> {
    let file = opening().create(true).open(path)?;
    fcntl_setfl(&file, fcntl_getfl(&file)? - OFlags::NONBLOCK)?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_json_whatever_a_client_sent() {
        let mut out = Vec::new();
        let line = Line {
            app: "shop",
            instance: "shop-1",
            peer: b"127.0.0.1",
            method: "GET",
            host: b"a\"b\\c",
            target: "/x",
            agent: b"\xff\x00\n",
            status: 200,
            bytes: 5,
            took_usec: 17,
            code: "",
        };
        line.format(&mut out, "2026-11-23T01:02:03", 7);
        let value: serde_json::Value = serde_json::from_slice(&out).expect("JSON");
        assert_eq!(value["time"], "2026-11-23T01:02:03.007Z");
        assert_eq!(value["host"], "a\"b\\c");
        assert_eq!(value["agent"], "\u{ff}\u{0}\n");
        assert_eq!(value["status"], 200);
        assert_eq!(value.get("code"), None);
        assert_eq!(out.last(), Some(&b'\n'));
    }

    #[test]
    fn a_probe_says_what_cannot_be_opened_and_leaves_nothing_behind() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("access.log");
        probe(&path).expect("it could be made");
        assert!(!path.exists());
        std::fs::write(&path, "a line\n").expect("a file");
        probe(&path).expect("it is there");
        assert_eq!(std::fs::read_to_string(&path).expect("the file"), "a line\n");
        assert_eq!(probe(directory.path()).unwrap_err().kind(), io::ErrorKind::IsADirectory);
        assert_eq!(probe(&directory.path().join("no/access.log")).unwrap_err().kind(), io::ErrorKind::NotFound);
        let pipe = directory.path().join("pipe");
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, 0o600.into(), 0).expect("a pipe");
        probe(&pipe).expect_err("nobody reads it");
    }

    #[test]
    fn every_line_is_in_the_file_after_stop() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("access.log");
        let (log, writer) = AccessLog::start(LogFile::open(&path).expect("a file")).expect("a thread");
        let line = Line {
            app: "a",
            instance: "",
            peer: b"",
            method: "GET",
            host: b"",
            target: "/",
            agent: b"",
            status: 200,
            bytes: 0,
            took_usec: 1,
            code: "",
        };
        for _ in 0..1_000 {
            log.write(&line);
        }
        writer.stop();
        assert_eq!(std::fs::read_to_string(&path).expect("the file").lines().count(), 1_000);
    }
}
