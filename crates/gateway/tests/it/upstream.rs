//! Programs as they run in an instance: a hyper server, or raw bytes.

use std::{
    convert::Infallible,
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
};

use bytes::Bytes;
use http_body_util::{BodyExt, Full, combinators::BoxBody};
use hyper::{Request, Response, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

pub type Body = BoxBody<Bytes, Infallible>;

/// A program under test's control; dropping it closes its listener.
pub struct Upstream {
    pub port: u16,
    connections: Arc<AtomicUsize>,
    accepting: JoinHandle<()>,
}

impl Upstream {
    pub fn connections(&self) -> usize {
        self.connections.load(SeqCst)
    }

    /// Answers every request by this function.
    pub async fn serve<F, W>(answer: F) -> Self
    where
        F: Fn(Request<Incoming>) -> W + Clone + Send + Sync + 'static,
        W: Future<Output = Response<Body>> + Send + 'static,
    {
        Self::raw(move |stream| {
            let answer = answer.clone();
            async move {
                let service = service_fn(move |request| {
                    let answer = answer(request);
                    async move { Ok::<_, Infallible>(answer.await) }
                });
                // A gateway that closes is no failure of the program.
                let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).with_upgrades().await;
            }
        })
        .await
    }

    /// Answers every request with this text.
    pub async fn saying(text: &str) -> Self {
        let text = text.to_owned();
        Self::serve(move |_| {
            let response = Response::new(full(text.clone()));
            async move { response }
        })
        .await
    }

    /// Answers with the request's line and headers as text, then its body.
    pub async fn echo() -> Self {
        Self::serve(|request| async move {
            let mut text = format!("{} {}\n", request.method(), request.uri());
            for (name, value) in request.headers() {
                text.push_str(&format!("{name}: {}\n", value.to_str().unwrap()));
            }
            text.push('\n');
            match request.into_body().collect().await {
                Ok(body) => text.push_str(std::str::from_utf8(&body.to_bytes()).unwrap()),
                Err(failure) => text.push_str(&format!("broken body: {failure}")),
            }
            Response::new(full(text))
        })
        .await
    }

    /// Hands every connection to this function.
    pub async fn raw<F, W>(converse: F) -> Self
    where
        F: Fn(TcpStream) -> W + Send + Sync + 'static,
        W: Future<Output = ()> + Send + 'static,
    {
        Self::on("127.0.0.1:0", converse).await
    }

    pub async fn on<F, W>(address: &str, converse: F) -> Self
    where
        F: Fn(TcpStream) -> W + Send + Sync + 'static,
        W: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind(address).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let connections = Arc::new(AtomicUsize::new(0));
        let counter = connections.clone();
        let accepting = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                counter.fetch_add(1, SeqCst);
                tokio::spawn(converse(stream));
            }
        });
        Self { port, connections, accepting }
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

pub fn full(text: impl Into<Bytes>) -> Body {
    Full::new(text.into()).boxed()
}
