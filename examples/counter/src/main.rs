//! A small web app as people write them: it counts visits in the Redis beside it and traces every request to the
//! OpenTelemetry collector beside it. It knows nothing of Pillion; `localhost` is all it needs.
//!
//! `GET /` counts and answers `{"visits":N,"traceId":"…"}`; `GET /healthz` answers 200 while Redis answers.
//! Settings come from the environment: `PORT` (8080),
//! `REDIS_URL` (`redis://localhost:6379`), `OTEL_EXPORTER_OTLP_ENDPOINT` (`http://localhost:4318`).

use std::{convert::Infallible, env, error::Error, net::Ipv4Addr, time::Duration};

use http_body_util::Full;
use hyper::{
    Request, Response, StatusCode,
    body::{Bytes, Incoming},
    header,
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use opentelemetry::trace::{Span, SpanKind, Status, Tracer, TracerProvider};
use opentelemetry_otlp::{SpanExporter, WithExportConfig};
use opentelemetry_sdk::{
    Resource, runtime,
    trace::{SdkTracer, SdkTracerProvider, span_processor_with_async_runtime::BatchSpanProcessor},
};
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
    time::Instant,
};

/// How long a visitor waits for a Redis that is away, and how long between two attempts.
const PATIENCE: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(20);

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let port: u16 = env::var("PORT").map_or(Ok(8080), |port| port.parse())?;
    let redis_url = env::var("REDIS_URL").unwrap_or_else(|_| "redis://localhost:6379".to_owned());
    let reconnecting = ConnectionManagerConfig::new().set_max_delay(100);
    let redis = redis::Client::open(redis_url.as_str())?.get_connection_manager_with_config(reconnecting).await?;
    let traces = tracing()?;
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).await?;
    println!("counter listens on port {port}");

    let mut terminate = signal(SignalKind::terminate())?;
    loop {
        let stream = tokio::select! {
            accepted = listener.accept() => accepted?.0,
            _ = terminate.recv() => break,
        };
        let app = App { redis: redis.clone(), tracer: traces.tracer("counter") };
        let service = service_fn(move |request| {
            let app = app.clone();
            async move { Ok::<_, Infallible>(app.answer(request).await) }
        });
        tokio::spawn(async move {
            if let Err(error) = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await {
                eprintln!("connection ended early: {error}");
            }
        });
    }
    println!("counter stops");
    // The collector stops after us, so what is still in the batch arrives.
    tokio::task::spawn_blocking(move || traces.shutdown()).await??;
    Ok(())
}

/// Sends batches of spans by OTLP over HTTP; the exporter reads `OTEL_EXPORTER_OTLP_ENDPOINT` itself.
fn tracing() -> Result<SdkTracerProvider, Box<dyn Error>> {
    let exporter = SpanExporter::builder().with_http().with_timeout(Duration::from_secs(3)).build()?;
    let batches = BatchSpanProcessor::builder(exporter, runtime::Tokio).build();
    let resource = Resource::builder().with_service_name("counter").build();
    Ok(SdkTracerProvider::builder().with_span_processor(batches).with_resource(resource).build())
}

#[derive(Clone)]
struct App {
    redis: ConnectionManager,
    tracer: SdkTracer,
}

impl App {
    async fn answer(mut self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        match request.uri().path() {
            "/" => self.count().await,
            "/healthz" => match redis::cmd("PING").query_async::<String>(&mut self.redis).await {
                Ok(_) => json(StatusCode::OK, "{\"status\":\"ok\"}".to_owned()),
                Err(error) => json(StatusCode::SERVICE_UNAVAILABLE, format!("{{\"status\":\"redis: {error}\"}}")),
            },
            _ => json(StatusCode::NOT_FOUND, "{\"error\":\"try /\"}".to_owned()),
        }
    }

    async fn count(&mut self) -> Response<Full<Bytes>> {
        let mut span = self.tracer.span_builder("GET /").with_kind(SpanKind::Server).start(&self.tracer);
        let trace = span.span_context().trace_id();
        let counted = self.increment().await;
        let response = match counted {
            Ok(visits) => json(StatusCode::OK, format!("{{\"visits\":{visits},\"traceId\":\"{trace}\"}}\n")),
            Err(error) => {
                span.set_status(Status::error(error.to_string()));
                json(
                    StatusCode::SERVICE_UNAVAILABLE,
                    format!("{{\"error\":\"Redis does not answer\",\"traceId\":\"{trace}\"}}\n"),
                )
            }
        };
        span.end();
        response
    }

    /// Counts; while Redis is away (it restarts, it is being replaced), waits for it. Where the connection broke after Redis had
    /// counted and before it said so, the visit counts twice: fine for visits.
    async fn increment(&mut self) -> redis::RedisResult<u64> {
        let patience = Instant::now() + PATIENCE;
        loop {
            match redis::cmd("INCR").arg("visits").query_async(&mut self.redis).await {
                Err(error) if error.is_io_error() && Instant::now() < patience => tokio::time::sleep(PAUSE).await,
                answer => return answer,
            }
        }
    }
}

fn json(status: StatusCode, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
    response
}
