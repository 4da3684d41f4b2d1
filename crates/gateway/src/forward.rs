//! One request's way through: check it, find app and instance, pass it on, pass the answer back.

use std::{convert::Infallible, net::SocketAddr, sync::Arc, time::Duration};

use http::{HeaderValue, Method, Request, Response, StatusCode, Uri, Version, header, request, uri::PathAndQuery};
use hyper::{body::Incoming, client::conn::TrySendError, upgrade::OnUpgrade};
use tokio::time::Instant;

use crate::{
    access,
    body::{Progress, RequestBody, ResponseBody, UpstreamBody},
    cors,
    exchange::Exchange,
    headers, hold, https_only,
    instance::Instance,
    listen::Connection,
    page::{self, Page},
    routes::App,
    site::{self, Visit},
    tunnel,
    upstream::{self, ConnectError, Sender},
};

/// A request that must not be sent twice goes over a connection this fresh or a new one: an instance that closes
/// idle connections (Node after 5 s, some after 2 s) would otherwise now and then swallow it.
const FRESH: Duration = Duration::from_secs(1);
/// Instances one request tries to reach.
const MOST_INSTANCES: usize = 3;

/// Answers one request.
pub async fn answer(connection: Arc<Connection>, request: Request<Incoming>) -> Result<Response<ResponseBody>, Infallible> {
    let exchange = Box::new(Exchange::new(connection, &request));
    let html = page::wants_html(request.headers());
    let way = Way(exchange);
    Ok(match way.go(request).await {
        Ok(response) => response,
        Err(refused) => {
            let (page, exchange) = refused;
            page.answer(html, exchange)
        }
    })
}

struct Way(Box<Exchange>);

type Refused = (Page, Box<Exchange>);

/// The client's half of an upgrade and the protocols it asks for.
type ClientUpgrade = (OnUpgrade, HeaderValue);

/// A request that an instance can be given.
struct Prepared {
    request: Request<RequestBody>,
    upgrade: Option<ClientUpgrade>,
    progress: Option<Arc<Progress>>,
    app: Arc<App>,
    /// Set for a request to a site.
    visit: Option<Box<Visit>>,
}

/// What became of one attempt to send.
enum Sent {
    Answer(Response<Incoming>, Sender),
    /// Nothing of the request was written: it may go anywhere.
    Unsent(Box<Request<RequestBody>>),
    Broken(hyper::Error),
    Slow,
}

impl Way {
    async fn go(mut self, request: Request<Incoming>) -> Result<Response<ResponseBody>, Refused> {
        let Prepared { mut request, upgrade, progress, app, visit } = match self.prepare(request) {
            Ok(prepared) => prepared,
            Err(page) => return Err(self.refuse(page)),
        };
        let mut unreachable: Vec<Arc<Instance>> = Vec::new();
        let mut last_failure: Option<(ConnectError, u16)> = None;
        loop {
            let app = self.0.app().cloned().unwrap_or_else(|| app.clone());
            let known = visit.as_ref().filter(|_| unreachable.is_empty()).and_then(|visit| visit.lease(&app));
            let found = match known {
                Some(lease) => Ok(Some((app.clone(), lease))),
                None => hold::lease(&self.0.connection.gateway, app.clone(), &unreachable).await,
            };
            let (app, lease) = match found {
                Ok(Some(found)) => found,
                Ok(None) => {
                    let page = match last_failure {
                        Some((failure, port)) => Page::unreachable(&app.counters.app, failure.to_string(), port),
                        None => Page::starting(&app.counters.app, 0),
                    };
                    return Err(self.refuse(page));
                }
                Err(page) => return Err(self.refuse(page)),
            };
            self.0.set_app(app);
            let instance = lease.instance.clone();
            self.0.lease = Some(lease);

            // One replay at most, and only of a request that a reused connection may have lost on its way.
            let mut replay = is_replayable(request.method(), request.body()).then_some(());
            let mut fresh_only = false;
            loop {
                let younger = if replay.is_some() { self.0.connection.gateway.limits.upstream_idle } else { FRESH };
                let mut now = std::time::Instant::now();
                let reused = if fresh_only { None } else { instance.take_idle(younger, now) };
                let was_reused = reused.is_some();
                let sender = match reused {
                    Some(sender) => sender,
                    None => match upstream::connect(&instance, self.0.connection.gateway.limits.connect).await {
                        Ok(sender) => {
                            now = std::time::Instant::now();
                            sender
                        }
                        Err(failure) => {
                            last_failure = Some((failure, instance.port));
                            break;
                        }
                    },
                };
                let spare = (was_reused && replay.is_some()).then(|| copy_without_body(&request));
                match self.send(sender, request, progress.as_deref(), now.into()).await {
                    Sent::Answer(response, sender) => return self.pass_back(response, sender, upgrade, visit),
                    Sent::Unsent(back) => {
                        request = *back;
                        // A fresh connection that takes nothing is an instance that takes nothing.
                        if !was_reused {
                            let source = std::io::Error::from(std::io::ErrorKind::ConnectionReset);
                            last_failure = Some((ConnectError::Refused { port: instance.port, source }, instance.port));
                            break;
                        }
                    }
                    Sent::Broken(failure) => match spare {
                        Some(again) => {
                            request = again;
                            replay = None;
                            fresh_only = true;
                        }
                        None => {
                            let page = match &progress {
                                Some(progress) if progress.has_failed() => {
                                    Page::bad_request("BodyInvalid", "The request's body broke off or is malformed.")
                                }
                                _ => Page::broken(self.app_name(), sentence(&failure)),
                            };
                            return Err(self.refuse(page));
                        }
                    },
                    Sent::Slow => {
                        let waited = self.0.connection.gateway.limits.response_head.as_secs_f64();
                        let page = match &progress {
                            Some(progress) if !progress.is_done() => Page::client_slow(self.app_name(), waited),
                            _ => Page::slow(self.app_name(), waited),
                        };
                        return Err(self.refuse(page));
                    }
                }
            }
            // Not reached, so nothing was sent: another instance may get it, whatever the method.
            self.0.lease = None;
            unreachable.push(instance);
            if unreachable.len() >= MOST_INSTANCES
                && let Some((failure, port)) = last_failure
            {
                let page = Page::unreachable(self.app_name(), failure.to_string(), port);
                return Err(self.refuse(page));
            }
        }
    }

    /// Checks the request, finds its app and makes it ready for an instance.
    fn prepare(&mut self, mut request: Request<Incoming>) -> Result<Prepared, Page> {
        check(&request)?;
        let host = settle_target(&mut request)?;
        let (app, visit) = {
            let routes = self.0.connection.gateway.routes.load();
            let app = match &self.0.connection.peer.app {
                Some(name) => routes.apps.get(name.as_ref()).ok_or_else(|| Page::unknown_app(name))?.clone(),
                None => {
                    let name = host.as_ref().and_then(|host| host.to_str().ok()).unwrap_or_default();
                    routes.by_host(name).ok_or_else(|| Page::unknown_host(name))?.clone()
                }
            };
            site::route(app, &routes, request.uri(), request.headers())
        };
        self.0.set_app(app.clone());
        let peer = &self.0.connection.peer;
        access::check(&app, peer, &self.0.connection.gateway.trusted_proxies, request.headers())?;
        https_only::check(&app, peer.trust, &request, host.as_ref())?;
        let cross_origin = cors::check(&app, &request)?;
        let mut visit = visit.map(Box::new);
        if let Some(visit) = &mut visit {
            visit.cross_origin = cross_origin;
        }
        hold::admit(&self.0.connection.gateway, &app.counters)?;
        let client =
            visit.is_some().then(|| headers::client(request.headers(), peer, &self.0.connection.gateway.trusted_proxies));
        let wanted = headers::request(request.headers_mut(), &self.0.connection.peer, host.as_ref());
        if let Some(client) = client {
            let target = HeaderValue::from_str(request.uri().path_and_query().map_or("/", PathAndQuery::as_str));
            let target = target.unwrap_or_else(|_| HeaderValue::from_static("/"));
            let peer = self.0.connection.peer.address;
            // Only of the connection's own end is the port known.
            let client = match client == peer.ip().to_canonical() {
                true => SocketAddr::new(client, peer.port()).to_string(),
                false => client.to_string(),
            };
            site::announce(request.headers_mut(), &app.counters.app, client, host, &target);
        }
        let upgrade = match wanted {
            Some(wanted) if request.version() == Version::HTTP_11 => {
                let upgrade = hyper::upgrade::on(&mut request);
                let headers = request.headers_mut();
                headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
                headers.insert(header::UPGRADE, wanted.clone());
                Some((upgrade, wanted))
            }
            _ => None,
        };
        let (mut parts, body) = request.into_parts();
        let (body, progress) = RequestBody::new(body);
        frame(&mut parts, &body);
        parts.version = Version::HTTP_11;
        Ok(Prepared { request: Request::from_parts(parts, body), upgrade, progress, app, visit })
    }

    async fn send(&self, mut sender: Sender, request: Request<RequestBody>, progress: Option<&Progress>, now: Instant) -> Sent {
        let limit = self.0.connection.gateway.limits.response_head;
        let mut deadline = now + limit;
        let answer = sender.try_send_request(request);
        tokio::pin!(answer);
        let outcome: Result<Response<Incoming>, TrySendError<Request<RequestBody>>> = loop {
            // Dropping the wait loses nothing: the answer's future stays pinned here.
            match tokio::time::timeout_at(deadline, answer.as_mut()).await {
                Ok(outcome) => break outcome,
                Err(_) => {
                    // The clock of the answer starts when the client has sent its last byte.
                    let alive = progress.map(|progress| progress.last() + limit).filter(|end| *end > Instant::now());
                    match alive {
                        Some(later) => deadline = later,
                        None => return Sent::Slow,
                    }
                }
            }
        };
        match outcome {
            Ok(response) => Sent::Answer(response, sender),
            Err(mut failure) => match failure.take_message() {
                Some(request) => Sent::Unsent(Box::new(request)),
                None => Sent::Broken(failure.into_error()),
            },
        }
    }

    fn pass_back(
        mut self,
        mut response: Response<Incoming>,
        sender: Sender,
        client_upgrade: Option<ClientUpgrade>,
        visit: Option<Box<Visit>>,
    ) -> Result<Response<ResponseBody>, Refused> {
        self.0.status = response.status().as_u16();
        let agreed = headers::response(response.headers_mut());
        *response.version_mut() = Version::HTTP_11;
        if let (Some(visit), Some(lease)) = (visit, &self.0.lease) {
            visit.mark(response.headers_mut(), &lease.instance.name);
        }
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            let (Some((client, wanted)), Some(agreed)) = (client_upgrade, agreed) else {
                let page = Page::broken(self.app_name(), "It switched protocols without being asked to.".to_owned());
                return Err(self.refuse(page));
            };
            if !wanted
                .as_bytes()
                .to_ascii_lowercase()
                .windows(agreed.len().max(1))
                .any(|part| part == agreed.as_bytes().to_ascii_lowercase())
            {
                let page = Page::broken(self.app_name(), "It switched to a protocol that was not asked for.".to_owned());
                return Err(self.refuse(page));
            }
            let upstream = hyper::upgrade::on(&mut response);
            let headers = response.headers_mut();
            headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
            headers.insert(header::UPGRADE, agreed);
            let idle = self.0.connection.gateway.limits.upgrade_idle;
            tokio::spawn(tunnel::carry(client, upstream, self.0, sender, idle));
            return Ok(response.map(|_| ResponseBody::Switched));
        }
        let idle = self.0.connection.gateway.limits.stream_idle;
        Ok(response.map(|body| ResponseBody::Upstream(UpstreamBody::new(body, self.0, sender, idle))))
    }

    fn refuse(self, page: Page) -> Refused {
        (page, self.0)
    }

    fn app_name(&self) -> &str {
        self.0.app().map_or("", |app| &app.counters.app)
    }
}

/// Refuses what must not be passed on. hyper has refused conflicting lengths and read a message with both
/// Content-Length and Transfer-Encoding by the latter alone, dropped the former and will close the connection
/// (RFC 9112 §6.3).
fn check(request: &Request<Incoming>) -> Result<(), Page> {
    if request.method() == Method::CONNECT {
        let page = Page::new(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed", "This is no proxy to other hosts.");
        return Err(page);
    }
    let headers = request.headers();
    // Codings beneath `chunked` would reach the instance undeclared.
    let mut codings = headers.get_all(header::TRANSFER_ENCODING).iter();
    if let Some(coding) = codings.next()
        && (codings.next().is_some() || !coding.as_bytes().trim_ascii().eq_ignore_ascii_case(b"chunked"))
    {
        let page = Page::new(
            StatusCode::NOT_IMPLEMENTED,
            "TransferEncodingUnknown",
            "Only the transfer encoding `chunked` is understood.",
        );
        return Err(page);
    }
    if let Some(expect) = headers.get(header::EXPECT)
        && !expect.as_bytes().eq_ignore_ascii_case(b"100-continue")
    {
        return Err(Page::new(
            StatusCode::EXPECTATION_FAILED,
            "ExpectationUnknown",
            "Only `Expect: 100-continue` is understood.",
        ));
    }
    Ok(())
}

/// Finds the one host the request is for and brings the target into origin form (RFC 9112 §3.2).
fn settle_target(request: &mut Request<Incoming>) -> Result<Option<HeaderValue>, Page> {
    let mut hosts = request.headers().get_all(header::HOST).iter();
    let mut host = hosts.next().cloned();
    if hosts.next().is_some() {
        return Err(Page::bad_request("HostInvalid", "The request has more than one Host header."));
    }
    if request.uri().authority().is_some() || request.uri().scheme().is_some() {
        // The target's own host wins over the header (RFC 9112 §3.2.2).
        let authority =
            request.uri().authority().ok_or_else(|| Page::bad_request("TargetInvalid", "The request's target has no host."))?;
        let value = HeaderValue::from_str(authority.as_str())
            .map_err(|_| Page::bad_request("HostInvalid", "The host name is invalid."))?;
        let path = request
            .uri()
            .path_and_query()
            .cloned()
            .ok_or_else(|| Page::bad_request("TargetInvalid", "The request's target has no path."))?;
        *request.uri_mut() = Uri::from(path);
        request.headers_mut().insert(header::HOST, value.clone());
        host = Some(value);
    }
    let path = request.uri().path_and_query().map_or("", PathAndQuery::as_str);
    if !(path.starts_with('/') || (path == "*" && request.method() == Method::OPTIONS)) {
        return Err(Page::bad_request("TargetInvalid", "The request's target is not a path."));
    }
    match &host {
        None if request.version() == Version::HTTP_11 => Err(Page::bad_request("HostMissing", "The request has no Host header.")),
        None => Ok(None),
        Some(value) if headers::is_host(value.as_bytes()) => Ok(host),
        Some(_) => Err(Page::bad_request("HostInvalid", "The host name is invalid.")),
    }
}

/// Sees to it that a body of unknown length is sent at all: hyper assumes that GET and HEAD have none.
fn frame(parts: &mut request::Parts, body: &RequestBody) {
    if let RequestBody::Streaming { .. } = body
        && http_body::Body::size_hint(body).exact().is_none()
    {
        parts.headers.insert(header::TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    }
}

fn is_replayable(method: &Method, body: &RequestBody) -> bool {
    matches!(body, RequestBody::Empty) && method.is_idempotent()
}

fn copy_without_body(request: &Request<RequestBody>) -> Request<RequestBody> {
    let mut copy = Request::new(RequestBody::Empty);
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.headers_mut() = request.headers().clone();
    copy
}

/// Tells hyper's error with its causes.
fn sentence(failure: &hyper::Error) -> String {
    let mut text = failure.to_string();
    let mut cause = std::error::Error::source(failure);
    while let Some(deeper) = cause {
        let deeper_text = deeper.to_string();
        if !text.contains(&deeper_text) {
            text.push_str(": ");
            text.push_str(&deeper_text);
        }
        cause = deeper.source();
    }
    text
}
