//! `/exec`: a terminal in a container over a WebSocket, and commands that nobody waits for.

use std::{sync::Arc, time::Duration};

use axum::{
    Json,
    body::Body,
    extract::Request,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use futures::{SinkExt, StreamExt};
use pillion_azure::Azure;
use pillion_engine::{ExecInput, ExecOutput, ExecRequest};
use pillion_fault::Exit;
use serde::Deserialize;
use serde_json::json;
use tokio_tungstenite::tungstenite::{
    Message,
    protocol::{CloseFrame, frame::coding::CloseCode},
};

use super::{
    Scm,
    answer::Refusal,
    session::{Place, at_terminal, shell, size},
    site::Call,
    socket::{self, Socket},
};

/// How long the first message, the terminal's size, is waited for.
const FIRST: Duration = Duration::from_secs(2);
/// A command that nobody waits for may run this long.
const LONGEST: Duration = Duration::from_secs(3600);
const MOST_BODY: usize = 64 * 1024;

/// `{"width":W,"height":H}`, at the start and whenever the terminal changes.
#[derive(Deserialize)]
struct Window {
    width: u64,
    height: u64,
}

#[derive(Deserialize)]
struct Execute {
    #[serde(rename = "Command", alias = "command")]
    command: String,
    #[serde(rename = "Args", alias = "args", default)]
    args: Option<Vec<String>>,
    #[serde(rename = "WorkingDirectory", alias = "workingDirectory", default)]
    directory: Option<String>,
}

/// `WS /exec/shell[?shell=…][&container=…][&instance=…]`.
pub(super) async fn open(scm: &Arc<Scm>, call: Call, request: Request<Body>) -> Result<Response, Refusal> {
    if !socket::is_upgrade(request.headers()) {
        return Err(Refusal::new(StatusCode::UPGRADE_REQUIRED, "UpgradeRequired", "this page speaks WebSocket (version 13)"));
    }
    let place = Place::of(scm, &call).await?;
    let argv = shell(call.query("shell"));
    let azure = scm.azure.clone();
    tracing::info!(site = %call.site, caller = %call.caller.display_name, "a terminal was opened");
    socket::open(request, move |socket| terminal(socket, azure, place, argv))
}

/// `POST /exec/execute`: starts a command and answers; there is no way back for what it prints.
pub(super) async fn execute(scm: &Arc<Scm>, call: &Call, request: Request<Body>) -> Result<Response, Refusal> {
    let bytes = axum::body::to_bytes(request.into_body(), MOST_BODY).await;
    let bytes = bytes.map_err(|_| Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "BodyTooLarge", "the command is too long"))?;
    let asked: Execute =
        serde_json::from_slice(&bytes).map_err(|error| Refusal::bad_request("BodyInvalid", format!("not a command: {error}")))?;
    if asked.command.trim().is_empty() {
        return Err(Refusal::bad_request("CommandMissing", "no command is given"));
    }
    let mut argv = vec![asked.command.clone()];
    argv.extend(asked.args.unwrap_or_default());
    if let Some(directory) = asked.directory.filter(|directory| !directory.is_empty()) {
        let wrapped = ["/bin/sh", "-c", "cd \"$0\" && exec \"$@\"", &directory];
        argv = wrapped.into_iter().map(str::to_owned).chain(argv).collect();
    }
    let place = Place::of(scm, call).await?;
    let mut session = place.run(&scm.azure, ExecRequest { argv, env: Vec::new(), tty: None }).await?;
    tracing::info!(site = %call.site, caller = %call.caller.display_name, command = asked.command, "a command was started");
    // Held until the process ends: dropping the session would end it.
    tokio::spawn(async move {
        let _ = session.input.send(ExecInput::Close).await;
        let _ = tokio::time::timeout(LONGEST, async { while session.output.recv().await.is_some() {} }).await;
    });
    let message = format!("`{}` was started; what it prints is not returned", asked.command);
    Ok((StatusCode::ACCEPTED, Json(json!({ "Message": message }))).into_response())
}

async fn terminal(socket: Socket, azure: Azure, place: Place, argv: Vec<String>) {
    let (mut to_client, mut from_client) = socket.split();
    // The size comes first; keystrokes that come before it are not lost.
    let mut early: Option<Bytes> = None;
    let mut window = size(0, 0);
    if let Ok(Some(Ok(first))) = tokio::time::timeout(FIRST, from_client.next()).await {
        match read(first) {
            Some(ExecInput::Resize(wanted)) => window = wanted,
            Some(ExecInput::Data(bytes)) => early = Some(bytes),
            Some(ExecInput::Close) => return,
            None => {}
        }
    }
    let session = match place.run(&azure, at_terminal(argv, None, window)).await {
        Ok(session) => session,
        Err(not) => {
            let _ = to_client.send(Message::text(format!("{}\r\n", Refusal::from(not).message()))).await;
            let _ = to_client.send(closing(CloseCode::Error, "no shell")).await;
            return;
        }
    };
    let (input, mut output) = (session.input, session.output);
    let up = async {
        if let Some(bytes) = early {
            let _ = input.send(ExecInput::Data(bytes)).await;
        }
        while let Some(Ok(message)) = from_client.next().await {
            let Some(next) = read(message) else { continue };
            if matches!(next, ExecInput::Close) || input.send(next).await.is_err() {
                return;
            }
        }
    };
    let down = async {
        while let Some(next) = output.recv().await {
            let bytes = match next {
                ExecOutput::Stdout(bytes) | ExecOutput::Stderr(bytes) => bytes,
                ExecOutput::Exit(exit) => {
                    let _ = to_client.send(closing(CloseCode::Normal, &told(&exit))).await;
                    return;
                }
            };
            if to_client.send(Message::binary(bytes)).await.is_err() {
                return;
            }
        }
        let _ = to_client.send(closing(CloseCode::Error, "the instance ended")).await;
    };
    // Output ends with the process, input with the client; dropping the session ends the process.
    tokio::select! {
        () = down => {}
        () = up => {}
    }
}

/// Text frames are the terminal's size, or what somebody typed who does not know better; binary ones are keystrokes.
fn read(message: Message) -> Option<ExecInput> {
    match message {
        Message::Text(text) => Some(match serde_json::from_str::<Window>(&text) {
            Ok(window) => ExecInput::Resize(size(window.width, window.height)),
            Err(_) => ExecInput::Data(text.into()),
        }),
        Message::Binary(bytes) => Some(ExecInput::Data(bytes)),
        Message::Close(_) => Some(ExecInput::Close),
        Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => None,
    }
}

fn closing(code: CloseCode, reason: &str) -> Message {
    Message::Close(Some(CloseFrame { code, reason: reason.to_owned().into() }))
}

/// How the process ended; short, for a close frame has room for 123 bytes.
pub(super) fn told(exit: &Exit) -> String {
    exit.to_string().chars().take(100).collect()
}
