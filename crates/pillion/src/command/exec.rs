//! `pillion exec`: runs a command in a container with this command's input, output and terminal.

use std::io::{IsTerminal, Write};

use bytes::Bytes;
use futures::{SinkExt, StreamExt};
use pillion_api::wire::exec::{ExecStart, Frame, FrameCodec, FrameError, Size};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::mpsc,
};
use tokio_util::codec::{FramedRead, FramedWrite};

use super::{Context, app_name, terminal};
use crate::{cli::ExecArgs, client::ClientError, complaint::Complaint};

/// Returns the command's own exit code.
pub async fn run(context: &Context, args: ExecArgs) -> Result<u8, Complaint> {
    let app = app_name(&args.app)?;
    if args.tty && !std::io::stdin().is_terminal() {
        return Err(Complaint::usage("`-t` needs a terminal, and standard input is none").hint("leave `-t` out"));
    }
    let tty = args.tty.then(|| terminal::size().unwrap_or(Size { columns: 80, rows: 24 }));
    let start = ExecStart { command: args.command, container: args.container, instance: args.instance, env: args.env, tty };
    let connection = context.client.exec(app.as_str(), &start).await?;
    let (read, write) = tokio::io::split(connection);

    let raw = if args.tty { terminal::Raw::enter() } else { None };
    let (frames, to_send) = mpsc::channel(16);
    read_stdin(frames.clone());
    if args.tty {
        tokio::spawn(watch_size(frames));
    }
    tokio::spawn(send(FramedWrite::new(write, FrameCodec), to_send));
    let end = receive(FramedRead::new(read, FrameCodec)).await;
    drop(raw);
    end
}

async fn receive<R: tokio::io::AsyncRead + Unpin>(mut frames: FramedRead<R, FrameCodec>) -> Result<u8, Complaint> {
    let lost = || Complaint::new("the connection ended before the command did");
    loop {
        match frames.next().await {
            Some(Ok(Frame::Stdout(bytes))) => put(&mut std::io::stdout().lock(), &bytes),
            Some(Ok(Frame::Stderr(bytes))) => put(&mut std::io::stderr().lock(), &bytes),
            Some(Ok(Frame::Exit(exit))) => return Ok(u8::try_from(exit.shell_code() & 0xff).unwrap_or(1)),
            Some(Ok(Frame::Error(body))) => {
                return Err(ClientError::Refused { status: hyper::StatusCode::BAD_GATEWAY, body }.into());
            }
            Some(Ok(Frame::Stdin(_) | Frame::StdinEnd | Frame::Resize(_))) => return Err(lost()),
            Some(Err(error)) => return Err(lost().because(Some(&error))),
            None => return Err(lost()),
        }
    }
}

/// Writes what came; a reader that is gone is the command's to notice, by the exit code it then has.
fn put(out: &mut dyn Write, bytes: &[u8]) {
    let _ = out.write_all(bytes).and_then(|()| out.flush());
}

/// Reads in a thread of its own: a read of a terminal cannot be cancelled, and must not hold up the end.
fn read_stdin(frames: mpsc::Sender<Frame>) {
    std::thread::spawn(move || {
        use std::io::Read;
        let mut stdin = std::io::stdin().lock();
        let mut buffer = vec![0; 16 << 10];
        while let Ok(count @ 1..) = stdin.read(&mut buffer) {
            if frames.blocking_send(Frame::Stdin(Bytes::copy_from_slice(&buffer[..count]))).is_err() {
                return;
            }
        }
        let _ = frames.blocking_send(Frame::StdinEnd);
    });
}

async fn watch_size(frames: mpsc::Sender<Frame>) {
    let Ok(mut changes) = signal(SignalKind::window_change()) else { return };
    while changes.recv().await.is_some() {
        let Some(size) = terminal::size() else { continue };
        if frames.send(Frame::Resize(size)).await.is_err() {
            return;
        }
    }
}

async fn send<W: tokio::io::AsyncWrite + Unpin>(
    mut to: FramedWrite<W, FrameCodec>,
    mut frames: mpsc::Receiver<Frame>,
) -> Result<(), FrameError> {
    while let Some(frame) = frames.recv().await {
        to.send(frame).await?;
    }
    Ok(())
}
