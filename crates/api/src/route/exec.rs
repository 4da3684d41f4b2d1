//! The route that runs a command in a container and hands its terminal over an upgraded connection.

use axum::{
    extract::State,
    http::{HeaderMap, Method, StatusCode, header},
    response::{IntoResponse, Response},
    routing::post,
};
use futures::{SinkExt, StreamExt};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use pillion_engine::{ExecInput, ExecOutput, ExecRequest, ExecSession, TtySize};
use pillion_model::{ContainerName, InstanceId};
use tokio::{
    io::{ReadHalf, WriteHalf},
    sync::mpsc,
};
use tokio_util::codec::{FramedRead, FramedWrite};

use super::{Answer, Endpoint};
use crate::{
    Failure, Services,
    extract::{Behind, Body},
    wire::{
        EXEC_PROTOCOL,
        exec::{ExecStart, Frame, FrameCodec, MAX_FRAME, Size},
    },
};

/// Returns this file's routes.
pub fn endpoints() -> Vec<Endpoint> {
    vec![Endpoint {
        method: Method::POST,
        path: "/v1/apps/{app}/exec",
        id: "exec",
        summary: "Runs a command in a container; needs `Upgrade: pillion-exec`, then both sides speak frames",
        parameters: &[],
        request: Some("ExecStart"),
        answer: Answer::Frames,
        failures: &[400, 404, 409, 413, 422, 426],
        handler: post(exec),
    }]
}

async fn exec(
    State(services): State<Services>,
    Behind { app, .. }: Behind,
    headers: HeaderMap,
    upgrade: Upgrade,
    Body(start): Body<ExecStart>,
) -> Result<Response, Failure> {
    let wanted = headers.get(header::UPGRADE).is_some_and(|v| v.as_bytes().eq_ignore_ascii_case(EXEC_PROTOCOL.as_bytes()));
    let Some(upgrade) = upgrade.0.filter(|_| wanted) else {
        let failure = Failure::new(StatusCode::UPGRADE_REQUIRED, "UpgradeRequired", "exec needs an upgraded connection");
        return Ok(([(header::UPGRADE, EXEC_PROTOCOL)], failure).into_response());
    };
    if start.command.is_empty() {
        return Err(Failure::bad_request("CommandMissing", "no command is given"));
    }
    let instance = start.instance.as_deref().map(str::parse::<InstanceId>).transpose().map_err(name_invalid)?;
    let container = start.container.as_deref().map(str::parse::<ContainerName>).transpose().map_err(name_invalid)?;
    let tty = start.tty.map(tty_size);
    let request = ExecRequest { argv: start.command, env: start.env, tty };
    let session = services.control.exec(&app, instance.as_ref(), container.as_ref(), request).await?;
    // Owned by the connection: when the client goes, reading ends, the session is dropped and the engine kills the process.
    tokio::spawn(async move {
        match upgrade.await {
            Ok(upgraded) => carry(upgraded, session).await,
            Err(error) => tracing::debug!(error = &error as &dyn std::error::Error, "exec: the client did not upgrade"),
        }
    });
    let switch = [(header::CONNECTION, "upgrade"), (header::UPGRADE, EXEC_PROTOCOL)];
    Ok((StatusCode::SWITCHING_PROTOCOLS, switch).into_response())
}

/// The connection's promise of an upgrade, where the client asked for one.
struct Upgrade(Option<OnUpgrade>);

impl<S: Send + Sync> axum::extract::FromRequestParts<S> for Upgrade {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut axum::http::request::Parts, _: &S) -> Result<Self, Self::Rejection> {
        Ok(Self(parts.extensions.remove::<OnUpgrade>()))
    }
}

fn name_invalid(error: pillion_model::NameError) -> Failure {
    Failure::bad_request("NameInvalid", error.to_string())
}

fn tty_size(size: Size) -> TtySize {
    TtySize { columns: size.columns, rows: size.rows }
}

async fn carry(upgraded: Upgraded, session: ExecSession) {
    let (read, write) = tokio::io::split(TokioIo::new(upgraded));
    let ExecSession { input, output } = session;
    // Whichever ends first ends both: output ends with the process, input with the client.
    tokio::select! {
        () = carry_output(write, output) => {}
        () = carry_input(read, input) => {}
    }
}

async fn carry_input(read: ReadHalf<TokioIo<Upgraded>>, input: mpsc::Sender<ExecInput>) {
    let mut frames = FramedRead::new(read, FrameCodec);
    while let Some(Ok(frame)) = frames.next().await {
        let sent = match frame {
            Frame::Stdin(bytes) => input.send(ExecInput::Data(bytes)).await,
            Frame::StdinEnd => input.send(ExecInput::Close).await,
            Frame::Resize(size) => input.send(ExecInput::Resize(tty_size(size))).await,
            Frame::Stdout(_) | Frame::Stderr(_) | Frame::Exit(_) | Frame::Error(_) => return,
        };
        if sent.is_err() {
            // The process takes no more input; its output decides when this is over.
            std::future::pending::<()>().await;
        }
    }
}

async fn carry_output(write: WriteHalf<TokioIo<Upgraded>>, mut output: mpsc::Receiver<ExecOutput>) {
    let mut frames = FramedWrite::new(write, FrameCodec);
    while let Some(out) = output.recv().await {
        let sent = match out {
            ExecOutput::Stdout(bytes) => send_cut(&mut frames, bytes, Frame::Stdout).await,
            ExecOutput::Stderr(bytes) => send_cut(&mut frames, bytes, Frame::Stderr).await,
            ExecOutput::Exit(exit) => {
                let _ = frames.send(Frame::Exit(exit)).await;
                let _ = SinkExt::<Frame>::close(&mut frames).await;
                return;
            }
        };
        if sent.is_err() {
            return;
        }
    }
    let failure = Failure::new(StatusCode::BAD_GATEWAY, "ExecLost", "the instance ended before the command did");
    let _ = frames.send(Frame::Error(failure.into_body())).await;
}

async fn send_cut(
    frames: &mut FramedWrite<WriteHalf<TokioIo<Upgraded>>, FrameCodec>,
    mut bytes: bytes::Bytes,
    frame: fn(bytes::Bytes) -> Frame,
) -> Result<(), crate::wire::exec::FrameError> {
    while bytes.len() > MAX_FRAME {
        frames.send(frame(bytes.split_to(MAX_FRAME))).await?;
    }
    frames.send(frame(bytes)).await
}
