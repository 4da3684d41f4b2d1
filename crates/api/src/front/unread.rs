//! What a client still sends when its answer is ready.
//!
//! HTTP/1 has one stream each way: bytes of a body that nobody has read stand before the next request, and closing a
//! connection on them resets it, which may take the answer along. So the rest of a refused body is read and thrown away, and
//! where it is too long for that the client is told that the connection ends.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::{
    body::Body,
    extract::Request,
    http::{
        HeaderValue,
        header::{CONNECTION, EXPECT},
    },
    response::Response,
};
use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, SizeHint};

/// Bytes that are thrown away for one answer.
const MOST: usize = 64 << 20;
const LONGEST: Duration = Duration::from_secs(10);

/// Tells, once the answer is there, what is left of the request's body.
pub(super) struct Unread {
    left: Arc<Mutex<Option<Body>>>,
    /// The client sends its body only when it is read.
    waits: bool,
}

/// A body that is given back where it is dropped before its end.
struct Lent {
    body: Option<Body>,
    left: Arc<Mutex<Option<Body>>>,
}

impl Unread {
    pub(super) fn of(request: Request<Body>) -> (Request<Body>, Unread) {
        let left = Arc::new(Mutex::new(None));
        let waits = request.headers().contains_key(EXPECT);
        let request = request.map(|body| match body.is_end_stream() {
            true => body,
            false => Body::new(Lent { body: Some(body), left: left.clone() }),
        });
        (request, Unread { left, waits })
    }

    /// Reads the rest, or says that the connection ends.
    pub(super) async fn settle(self, response: &mut Response) {
        let left = self.left.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(left) = left else { return };
        if self.waits || !thrown_away(left).await {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
    }
}

/// Returns true at the end of the body.
async fn thrown_away(body: Body) -> bool {
    use futures::StreamExt;
    let mut pieces = body.into_data_stream();
    let all = async {
        let mut size = 0;
        while let Some(piece) = pieces.next().await {
            let Ok(piece) = piece else { return false };
            size += piece.len();
            if size > MOST {
                return false;
            }
        }
        true
    };
    tokio::time::timeout(LONGEST, all).await.unwrap_or(false)
}

impl HttpBody for Lent {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let Some(body) = &mut self.body else { return Poll::Ready(None) };
        let frame = ready!(Pin::new(body).poll_frame(cx));
        if !matches!(frame, Some(Ok(_))) {
            self.body = None;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(|| SizeHint::with_exact(0), HttpBody::size_hint)
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let Some(body) = self.body.take().filter(|body| !body.is_end_stream()) {
            *self.left.lock().unwrap_or_else(PoisonError::into_inner) = Some(body);
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::response::IntoResponse;
    use futures::{StreamExt, stream};

    use super::*;

    /// A body of pieces of a megabyte each.
    fn body(pieces: usize) -> Body {
        Body::from_stream(stream::iter(vec![Ok::<_, std::convert::Infallible>(Bytes::from(vec![0; 1 << 20])); pieces]))
    }

    async fn answered(request: Request<Body>, read: usize) -> Response {
        let (request, unread) = Unread::of(request);
        let mut pieces = request.into_body().into_data_stream();
        for _ in 0..read {
            pieces.next().await;
        }
        drop(pieces);
        let mut response = ().into_response();
        unread.settle(&mut response).await;
        response
    }

    #[tokio::test]
    async fn a_rest_is_read_and_one_too_long_ends_the_connection() {
        let closes = |response: Response| response.headers().contains_key(CONNECTION);
        assert!(!closes(answered(Request::builder().body(Body::empty()).unwrap(), 0).await));
        assert!(!closes(answered(Request::builder().body(body(3)).unwrap(), 4).await), "all of it was read");
        assert!(!closes(answered(Request::builder().body(body(3)).unwrap(), 1).await), "the rest is short");
        assert!(closes(answered(Request::builder().body(body(80)).unwrap(), 1).await), "the rest is long");
        let waiting = Request::builder().header(EXPECT, "100-continue").body(body(1)).unwrap();
        assert!(closes(answered(waiting, 0).await), "a client that waits is not made to send");
    }
}
