//! A login's form has to come whole within a time: nobody has proven who they are yet.

use std::time::Duration;

use axum::{
    body::Body,
    extract::Request,
    http::{HeaderValue, Method, header::CONNECTION},
    middleware::Next,
    response::{IntoResponse, Response},
};

use super::{MOST_BODY, failure::GrantError};

/// For the body of a request, once its head was read.
const PATIENCE: Duration = Duration::from_secs(30);

/// Reads the form before anybody waits for it.
pub(super) async fn whole_form(request: Request, next: Next) -> Response {
    // Of other methods nobody reads the body.
    if request.method() != Method::POST {
        return next.run(request).await;
    }
    let (head, body) = request.into_parts();
    let refusal = match tokio::time::timeout(PATIENCE, axum::body::to_bytes(body, MOST_BODY)).await {
        Ok(Ok(form)) => return next.run(Request::from_parts(head, Body::from(form))).await,
        Ok(Err(_)) => GrantError::Form,
        Err(_) => GrantError::Slow(PATIENCE.as_secs()),
    };
    let mut response = refusal.into_response();
    // What is left of the body would be taken for the next request.
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    response
}

#[cfg(test)]
mod tests {
    use axum::{Router, http::StatusCode, middleware::from_fn, routing::post};
    use bytes::Bytes;
    use futures::StreamExt;
    use tower::ServiceExt;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_form_that_does_not_come_is_waited_for_half_a_minute() {
        let router = Router::new().route("/", post(|form: Bytes| async { form })).layer(from_fn(whole_form));
        let answer = async |body: Body| {
            let begun = tokio::time::Instant::now();
            let response = router.clone().oneshot(Request::post("/").body(body).unwrap()).await.unwrap();
            (response.status(), begun.elapsed().as_secs(), axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap())
        };
        let part = || futures::stream::once(async { Ok::<_, std::io::Error>(Bytes::from("grant")) });
        let (status, waited, body) = answer(Body::from_stream(part().chain(futures::stream::pending()))).await;
        assert_eq!((status, waited), (StatusCode::REQUEST_TIMEOUT, 30));
        let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(body["error"], "invalid_request");
        assert_eq!(answer(Body::from_stream(part())).await, (StatusCode::OK, 0, Bytes::from("grant")));
        assert_eq!(answer(Body::from(vec![b'x'; MOST_BODY + 1])).await.0, StatusCode::BAD_REQUEST);
    }
}
