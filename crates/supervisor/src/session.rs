//! Exec over the control socket: standard streams as frames both ways, a terminal with its size.

use std::{
    io,
    os::fd::{AsFd, OwnedFd},
    rc::Rc,
};

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use pillion_fault::{Exit, Fault};
use pillion_runtime::spec::ExecSpec;
use rustix::{
    pipe::{PipeFlags, pipe_with},
    termios::{Winsize, tcsetwinsize},
};
use tokio::{
    io::{Interest, unix::AsyncFd},
    net::{
        UnixStream,
        unix::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::mpsc,
    task::JoinHandle,
};

use crate::{
    machine::{ExecStdio, Process},
    protocol::Reply,
    readiness::watched,
    supervisor::Shared,
    wire::{self, WireError},
};

/// Bytes of output in one frame.
const CHUNK: usize = 16 << 10;

/// The supervisor's ends of a session's streams.
struct Ends {
    /// Taken by whoever carries the input: dropping it is the end of the process's input.
    stdin: Option<Rc<AsyncFd<OwnedFd>>>,
    outputs: Vec<(Rc<AsyncFd<OwnedFd>>, Which)>,
    terminal: Option<Rc<AsyncFd<OwnedFd>>>,
}

#[derive(Debug, Clone, Copy)]
enum Which {
    Stdout,
    Stderr,
}

pub(crate) async fn run(
    mut stream: UnixStream,
    shared: &Rc<Shared>,
    container: &str,
    exec: ExecSpec,
    tty_size: Option<(u16, u16)>,
) -> Result<(), WireError> {
    let (process, mut ends) = match start(shared, container, &exec, tty_size).await {
        Ok(started) => started,
        Err(NotStarted { reason, fault }) => return wire::write(&mut stream, &Reply::Refused { reason, fault }).await,
    };
    // Reaped whatever becomes of the session: a dead process that nobody reaps keeps its container from ending.
    let waiting = Rc::clone(&process);
    let ended = tokio::task::spawn_local(async move { waiting.wait().await });
    if let Err(error) = wire::write(&mut stream, &Reply::Ok).await {
        process.signal(9);
        return Err(error);
    }
    let (from, mut to) = stream.into_split();
    let outcome = {
        let stdin = ends.stdin.take();
        let talk = output(ended, &ends, &mut to);
        let listen = input(from, stdin, ends.terminal.as_ref());
        tokio::pin!(talk, listen);
        // The session is over when either ends: the client left, or the process ended and its output is out. What is
        // cut off by cancelling is only what nobody wants any more.
        tokio::select! {
            exit = &mut talk => exit.ok(),
            () = &mut listen => None,
        }
    };
    match outcome {
        Some(exit) => wire::write(&mut to, &Reply::Exit { exit }).await,
        None => {
            process.signal(9);
            Ok(())
        }
    }
}

/// Why there is no session.
struct NotStarted {
    reason: String,
    fault: Option<Box<Fault>>,
}

impl From<String> for NotStarted {
    fn from(reason: String) -> Self {
        Self { reason, fault: None }
    }
}

impl From<Fault> for NotStarted {
    fn from(fault: Fault) -> Self {
        Self { reason: fault.to_string(), fault: Some(Box::new(fault)) }
    }
}

async fn start(
    shared: &Shared,
    container: &str,
    exec: &ExecSpec,
    tty_size: Option<(u16, u16)>,
) -> Result<(Rc<dyn Process>, Ends), NotStarted> {
    let process = shared.process_of(container).ok_or_else(|| format!("container `{container}` does not run"))?;
    let broken = |error: io::Error| format!("the streams cannot be made: {error}");
    if exec.terminal {
        let (columns, rows) = tty_size.unwrap_or((80, 24));
        let child = process.exec(exec, ExecStdio::Terminal { columns, rows }).await?;
        let master = child.take_terminal().ok_or_else(|| "the process has no terminal".to_owned())?;
        let master = Rc::new(watched(master, Interest::READABLE | Interest::WRITABLE).map_err(broken)?);
        let ends =
            Ends { stdin: Some(Rc::clone(&master)), outputs: vec![(Rc::clone(&master), Which::Stdout)], terminal: Some(master) };
        return Ok((Rc::from(child), ends));
    }
    let pipe = || pipe_with(PipeFlags::CLOEXEC).map_err(|error| broken(error.into()));
    let ((stdin, our_in), (our_out, stdout), (our_err, stderr)) = (pipe()?, pipe()?, pipe()?);
    let child = process.exec(exec, ExecStdio::Given { stdin, stdout, stderr }).await?;
    let reader = |end| watched(end, Interest::READABLE).map(Rc::new).map_err(broken);
    let ends = Ends {
        stdin: Some(Rc::new(watched(our_in, Interest::WRITABLE).map_err(broken)?)),
        outputs: vec![(reader(our_out)?, Which::Stdout), (reader(our_err)?, Which::Stderr)],
        terminal: None,
    };
    Ok((Rc::from(child), ends))
}

/// Sends what the process prints until it has ended and its streams are empty.
async fn output(mut ended: JoinHandle<Exit>, ends: &Ends, to: &mut OwnedWriteHalf) -> Result<Exit, WireError> {
    // A slow client makes the process wait, as a slow terminal would.
    let (frames, mut queue) = mpsc::channel::<Reply>(4);
    let mut readers = tokio::task::JoinSet::new();
    for (end, which) in &ends.outputs {
        let (end, which, frames) = (Rc::clone(end), *which, frames.clone());
        readers.spawn_local(async move {
            while let Ok(Some(bytes)) = read_some(&end).await {
                let data = BASE64.encode(bytes);
                let frame = match which {
                    Which::Stdout => Reply::Stdout { data },
                    Which::Stderr => Reply::Stderr { data },
                };
                if frames.send(frame).await.is_err() {
                    return;
                }
            }
        });
    }
    drop(frames);
    let mut exit = None;
    loop {
        // Cancel-safe: a frame is taken only when it wins, and the wait runs in a task of its own.
        tokio::select! {
            frame = queue.recv() => match frame {
                Some(frame) => wire::write(to, &frame).await?,
                None => break,
            },
            end = &mut ended, if exit.is_none() => exit = end.ok(),
            // Something that the process left behind may hold its streams open for ever.
            () = tokio::time::sleep(std::time::Duration::from_millis(500)), if exit.is_some() => break,
        }
    }
    match exit {
        Some(exit) => Ok(exit),
        None => Ok(ended.await.unwrap_or(Exit::Signal { signal: 9, core: false })),
    }
}

/// Carries the client's frames in until it leaves.
async fn input(mut from: OwnedReadHalf, mut stdin: Option<Rc<AsyncFd<OwnedFd>>>, terminal: Option<&Rc<AsyncFd<OwnedFd>>>) {
    while let Ok(Some(frame)) = wire::read::<Reply>(&mut from).await {
        match frame {
            Reply::Stdin { data } => {
                let Ok(bytes) = BASE64.decode(data) else { return };
                if let Some(end) = &stdin
                    && write_all(end, &bytes).await.is_err()
                {
                    // The process closed its input; what it prints still matters.
                    stdin = None;
                }
            }
            Reply::StdinClosed => {
                if let (Some(_), Some(end)) = (terminal, &stdin) {
                    // A terminal has no end: ^D says it.
                    let _ = write_all(end, b"\x04").await;
                }
                stdin = None;
            }
            Reply::Resize { columns, rows } => {
                if let Some(terminal) = terminal {
                    let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
                    // A terminal that is closing has no size any more.
                    let _ = tcsetwinsize(terminal.as_fd(), size);
                }
            }
            Reply::Ok
            | Reply::Refused { .. }
            | Reply::State { .. }
            | Reply::Stdout { .. }
            | Reply::Stderr { .. }
            | Reply::Exit { .. } => {}
        }
    }
}

/// Reads what is there; none at the end.
async fn read_some(end: &AsyncFd<OwnedFd>) -> io::Result<Option<Vec<u8>>> {
    let mut buffer = vec![0; CHUNK];
    loop {
        let mut ready = end.readable().await?;
        match rustix::io::read(end.get_ref(), &mut buffer) {
            Ok(0) | Err(rustix::io::Errno::IO) => return Ok(None),
            Ok(got) => {
                buffer.truncate(got);
                return Ok(Some(buffer));
            }
            Err(rustix::io::Errno::AGAIN) => ready.clear_ready(),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

async fn write_all(end: &AsyncFd<OwnedFd>, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        let mut ready = end.writable().await?;
        match rustix::io::write(end.get_ref(), bytes) {
            Ok(written) => bytes = &bytes[written..],
            Err(rustix::io::Errno::AGAIN) => ready.clear_ready(),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}
