//! WebSockets (RFC 6455) on a connection of the endpoint.

use axum::{
    body::Body,
    extract::Request,
    http::{
        HeaderMap, HeaderValue, StatusCode,
        header::{CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE},
    },
    response::{IntoResponse, Response},
};
use futures::{SinkExt, StreamExt};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        Message,
        handshake::derive_accept_key,
        protocol::{Role, WebSocketConfig},
    },
};

use super::answer::Refusal;

pub(super) type Socket = WebSocketStream<TokioIo<Upgraded>>;

/// The largest message that is taken.
const MOST_BYTES: usize = 1 << 20;
const PIECE: usize = 16 * 1024;

/// Answers an upgrade, and gives the socket to `speak` once the client has it.
///
/// # Errors
/// The request asks for no WebSocket.
pub(super) fn open<F, Fut>(mut request: Request<Body>, speak: F) -> Result<Response, Refusal>
where
    F: FnOnce(Socket) -> Fut + Send + 'static,
    Fut: Future<Output = ()> + Send,
{
    let upgrade = request.extensions_mut().remove::<OnUpgrade>();
    let headers = request.headers();
    let key = headers.get(SEC_WEBSOCKET_KEY).filter(|_| is_upgrade(headers));
    let (Some(upgrade), Some(key)) = (upgrade, key) else {
        return Err(Refusal::new(StatusCode::UPGRADE_REQUIRED, "UpgradeRequired", "this page speaks WebSocket (version 13)"));
    };
    let accept = HeaderValue::try_from(derive_accept_key(key.as_bytes()));
    let accept = accept.map_err(|_| Refusal::bad_request("KeyInvalid", "the key of the WebSocket is none"))?;
    tokio::spawn(async move {
        match upgrade.await {
            Ok(upgraded) => {
                let config = WebSocketConfig::default().max_message_size(Some(MOST_BYTES)).max_frame_size(Some(MOST_BYTES));
                let socket = WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Server, Some(config)).await;
                speak(socket).await;
            }
            Err(error) => tracing::debug!(error = &error as &dyn std::error::Error, "a client did not upgrade"),
        }
    });
    let mut response = StatusCode::SWITCHING_PROTOCOLS.into_response();
    let answered = response.headers_mut();
    answered.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    answered.insert(UPGRADE, HeaderValue::from_static("websocket"));
    answered.insert(SEC_WEBSOCKET_ACCEPT, accept);
    Ok(response)
}

/// Returns true if the client asks for a WebSocket.
pub(super) fn is_upgrade(headers: &HeaderMap) -> bool {
    let websocket = headers.get(UPGRADE).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"websocket"));
    websocket && headers.get(SEC_WEBSOCKET_VERSION).is_some_and(|value| value.as_bytes() == b"13")
}

/// Carries bytes between a socket's messages and a stream until one of them ends.
pub(super) async fn carry(socket: Socket, stream: DuplexStream) {
    let (mut to_client, mut from_client) = socket.split();
    let (mut read, mut write) = tokio::io::split(stream);
    let down = async {
        let mut piece = vec![0; PIECE];
        while let Ok(count @ 1..) = read.read(&mut piece).await {
            if to_client.send(Message::binary(piece[..count].to_vec())).await.is_err() {
                return;
            }
        }
        let _ = to_client.close().await;
    };
    let up = async {
        while let Some(Ok(message)) = from_client.next().await {
            let bytes = match message {
                Message::Binary(bytes) => bytes,
                Message::Text(text) => text.into(),
                Message::Close(_) => return,
                Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => continue,
            };
            if write.write_all(&bytes).await.is_err() {
                return;
            }
        }
    };
    // Whichever ends first ends both.
    tokio::select! {
        () = down => {}
        () = up => {}
    }
}
