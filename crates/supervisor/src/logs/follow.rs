//! Reading on as lines come, over rotations, woken by the directory's changes.

use std::{
    fs::{self, File},
    io::{self, Read as _},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use rustix::fs::inotify;
use tokio::{
    io::{Interest, unix::AsyncFd},
    sync::mpsc,
};
use tokio_stream::wrappers::ReceiverStream;

use super::{
    Line,
    line::Assembler,
    path,
    read::{files, wanted},
    rotated,
};
use crate::readiness::watched;

/// Lines on their way to a reader; a slow one is waited for here, never by the container.
const AHEAD: usize = 256;

/// Streams a container's lines: those since `since` (of these the last `tail`), then every new one.
///
/// It starts before the log exists, follows over rotations, and ends when the stream is dropped or the directory goes.
///
/// # Errors
/// The directory cannot be watched.
pub fn follow(dir: &Path, container: &str, since: Option<SystemTime>, tail: Option<usize>) -> io::Result<ReceiverStream<Line>> {
    let watch = inotify::init(inotify::CreateFlags::NONBLOCK | inotify::CreateFlags::CLOEXEC)?;
    let changes = inotify::WatchFlags::MODIFY
        | inotify::WatchFlags::CREATE
        | inotify::WatchFlags::MOVED_FROM
        | inotify::WatchFlags::DELETE_SELF
        | inotify::WatchFlags::ONLYDIR;
    inotify::add_watch(&watch, dir, changes)?;
    let watch = watched(watch, Interest::READABLE)?;
    let (lines, stream) = mpsc::channel(AHEAD);
    let follower = Follower {
        dir: dir.into(),
        container: container.into(),
        since,
        reading: None,
        pending: Vec::new(),
        assembler: Assembler::default(),
        lines,
    };
    tokio::spawn(follower.run(watch, tail));
    Ok(ReceiverStream::new(stream))
}

struct Follower {
    dir: PathBuf,
    container: String,
    since: Option<SystemTime>,
    /// The file under way and its inode.
    reading: Option<(File, u64)>,
    /// The start of a line that is not all there yet.
    pending: Vec<u8>,
    assembler: Assembler,
    lines: mpsc::Sender<Line>,
}

enum End {
    /// Nobody listens any more.
    Dropped,
    Io,
}

impl From<io::Error> for End {
    fn from(_: io::Error) -> Self {
        End::Io
    }
}

impl Follower {
    /// Ends silently: a log that cannot be read any more is the end of the stream.
    async fn run(mut self, watch: AsyncFd<std::os::fd::OwnedFd>, tail: Option<usize>) {
        let _ = self.follow(watch, tail).await;
    }

    async fn follow(&mut self, watch: AsyncFd<std::os::fd::OwnedFd>, tail: Option<usize>) -> Result<(), End> {
        // What is there already: kept back until all is read, so that `tail` counts from the end.
        let mut history = std::collections::VecDeque::new();
        for file in files(&self.dir, &self.container)? {
            self.switch_to(file)?;
            while let Some(lines) = self.read_some()? {
                for line in lines {
                    if tail.is_some_and(|tail| history.len() >= tail) {
                        history.pop_front();
                    }
                    if tail != Some(0) {
                        history.push_back(line);
                    }
                    // Without a limit the reader's pace is the pace.
                    if tail.is_none()
                        && let Some(line) = history.pop_front()
                    {
                        self.hand_on(line).await?;
                    }
                }
            }
        }
        for line in history {
            self.hand_on(line).await?;
        }
        loop {
            self.drain().await?;
            let woken = tokio::select! {
                // Both arms only wait, so cancelling either loses nothing.
                () = self.lines.closed() => return Err(End::Dropped),
                woken = watch.readable() => woken,
            };
            let mut ready = woken?;
            let mut buffer = [0; 4096];
            match rustix::io::read(watch.get_ref(), &mut buffer) {
                Ok(_) => {}
                Err(rustix::io::Errno::AGAIN) => ready.clear_ready(),
                Err(error) => return Err(io::Error::from(error).into()),
            }
            drop(ready);
            if !self.dir.exists() {
                return Err(End::Io);
            }
            // A chatty container wakes us for every write: read in batches.
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Reads all there is, over as many files as were rotated meanwhile.
    async fn drain(&mut self) -> Result<(), End> {
        loop {
            while let Some(lines) = self.read_some()? {
                for line in lines {
                    self.hand_on(line).await?;
                }
            }
            match self.successor()? {
                // It was renamed after we found its end: what came in between is still in there.
                Some(next) => {
                    while let Some(lines) = self.read_some()? {
                        for line in lines {
                            self.hand_on(line).await?;
                        }
                    }
                    self.switch_to(next)?;
                }
                None => return Ok(()),
            }
        }
    }

    /// The file after the one under way; none if that is still the newest.
    fn successor(&self) -> io::Result<Option<File>> {
        let Some((_, current)) = &self.reading else { return open(&path(&self.dir, &self.container)) };
        let newest = path(&self.dir, &self.container);
        let inode = |path: &Path| fs::metadata(path).ok().map(|found| found.ino());
        if inode(&newest) == Some(*current) {
            return Ok(None);
        }
        let mut after = newest;
        for n in 1.. {
            let older = rotated(&self.dir, &self.container, n);
            match inode(&older) {
                Some(found) if found == *current => return open(&after),
                Some(_) => after = older,
                // It is gone altogether: go on with the oldest that is left.
                None => return open(&after),
            }
        }
        Ok(None)
    }

    fn switch_to(&mut self, file: File) -> io::Result<()> {
        let inode = file.metadata()?.ino();
        self.pending.clear();
        self.reading = Some((file, inode));
        Ok(())
    }

    /// Reads one chunk; none at the end.
    fn read_some(&mut self) -> io::Result<Option<Vec<Line>>> {
        let Some((file, _)) = &mut self.reading else { return Ok(None) };
        let mut chunk = [0; 16 << 10];
        let got = file.read(&mut chunk)?;
        if got == 0 {
            return Ok(None);
        }
        self.pending.extend_from_slice(&chunk[..got]);
        let mut lines = Vec::new();
        let mut start = 0;
        while let Some(end) = self.pending[start..].iter().position(|byte| *byte == b'\n') {
            let raw = &self.pending[start..start + end];
            lines.extend(self.assembler.take(raw).filter(|line| wanted(line, self.since)));
            start += end + 1;
        }
        self.pending.drain(..start);
        Ok(Some(lines))
    }

    async fn hand_on(&self, line: Line) -> Result<(), End> {
        self.lines.send(line).await.map_err(|_| End::Dropped)
    }
}

fn open(path: &Path) -> io::Result<Option<File>> {
    match File::open(path) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
