//! The gateway's own answers: what went wrong, with which app, why and what to do, as a page or as JSON.

use std::{fmt::Write, net::IpAddr};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use serde::Serialize;

use crate::{body::ResponseBody, exchange::Exchange, headers};

/// One answer. `code` is stable; programs may rely on it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Page {
    #[serde(skip)]
    pub status: StatusCode,
    pub code: &'static str,
    /// Boxed, because pages travel as errors through every request's path.
    #[serde(flatten)]
    words: Box<Words>,
    /// Seconds.
    #[serde(skip)]
    pub retry_after: Option<u32>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Words {
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    app: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
    /// Headers beside those of every page.
    #[serde(skip)]
    headers: HeaderMap,
    /// Programs act on the headers and nobody reads the words.
    #[serde(skip)]
    silent: bool,
}

impl Page {
    pub fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        let words =
            Words { message: message.into(), app: None, reason: None, hint: None, headers: HeaderMap::new(), silent: false };
        Self { status, code, words: Box::new(words), retry_after: None }
    }

    pub fn bad_request(code: &'static str, message: &str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, message)
    }

    pub fn unknown_host(host: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "HostUnknown", format!("No app answers to the host name `{host}`."))
            .hint("Check the spelling; `pillion list` shows the apps and their host names.")
    }

    pub fn unknown_app(app: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "AppUnknown", format!("The app `{app}` is not here any more."))
    }

    pub fn stopped(app: &str) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "AppStopped", format!("The app `{app}` is stopped."))
            .app(app)
            .hint(format!("`pillion start {app}` starts it."))
    }

    pub fn down(app: &str, reason: &str, hint: Option<&str>) -> Self {
        let page = Self::new(StatusCode::SERVICE_UNAVAILABLE, "AppDown", format!("The app `{app}` cannot answer."));
        let page = page.app(app).reason(reason).retry_after(10);
        match hint {
            Some(hint) => page.hint(hint),
            None => page,
        }
    }

    pub fn starting(app: &str, waited_ms: u64) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "AppStarting", format!("The app `{app}` is not ready yet."))
            .app(app)
            .reason(format!("No instance became ready within {waited_ms} ms."))
            .hint(format!("`pillion status {app}` shows what it waits for."))
            .retry_after(2)
    }

    pub fn too_many_held(app: &str) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "AppStarting", format!("The app `{app}` is not ready yet."))
            .app(app)
            .reason("Too many requests wait for its first instance already.")
            .retry_after(2)
    }

    pub fn too_busy(app: &str, most: usize) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "AppTooBusy", format!("The app `{app}` has too many requests under way."))
            .app(app)
            .reason(format!("{most} are allowed at once."))
            .retry_after(1)
    }

    pub fn unreachable(app: &str, reason: String, port: u16) -> Self {
        Self::new(StatusCode::BAD_GATEWAY, "UpstreamUnreachable", format!("The app `{app}` takes no connection."))
            .app(app)
            .reason(reason)
            .hint(format!("Its main container must listen on port {port}; `pillion logs {app}` shows what it says."))
    }

    pub fn broken(app: &str, reason: String) -> Self {
        Self::new(StatusCode::BAD_GATEWAY, "UpstreamBroken", format!("The app `{app}` broke off before it answered."))
            .app(app)
            .reason(reason)
            .hint(format!("`pillion logs {app}` shows what it said last."))
    }

    pub fn slow(app: &str, waited_secs: f64) -> Self {
        Self::new(StatusCode::GATEWAY_TIMEOUT, "UpstreamTimeout", format!("The app `{app}` did not answer in time."))
            .app(app)
            .reason(format!("No response headers came within {waited_secs} s."))
            .hint("Answer long work at once and let the client ask for the result.")
    }

    pub fn client_slow(app: &str, waited_secs: f64) -> Self {
        Self::new(StatusCode::REQUEST_TIMEOUT, "RequestTimeout", "The request's body did not arrive in time.")
            .app(app)
            .reason(format!("Nothing came for {waited_secs} s."))
    }

    pub fn https_only(app: &str, location: HeaderValue) -> Self {
        let message = format!("The app `{app}` is to be asked over HTTPS.");
        // Without a word, as in App Service: clients go there unread. A cache between would give it to clients with TLS,
        // too, and send them round in circles.
        Self::new(StatusCode::MOVED_PERMANENTLY, "HttpsOnly", message)
            .app(app)
            .header(header::LOCATION, location)
            .header(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))
            .silent()
    }

    pub fn forbidden(app: &str, address: IpAddr) -> Self {
        let page = Self::new(
            StatusCode::FORBIDDEN,
            "IpForbidden",
            format!("The app `{app}` takes no requests like this one from {address}."),
        );
        let page = page
            .app(app)
            .reason("Its access restrictions do not allow them.")
            .hint("`az webapp config access-restriction show` shows the rules, and `add` makes one.");
        // An address's text is always a valid value.
        match HeaderValue::from_str(&address.to_string()) {
            Ok(value) => page.header(HeaderName::from_static("x-ms-forbidden-ip"), value),
            Err(_) => page,
        }
    }

    pub fn preflight(app: &str, headers: HeaderMap) -> Self {
        let message = format!("Browsers may send this request to the app `{app}`.");
        let mut page = Self::new(StatusCode::NO_CONTENT, "Preflight", message).app(app).silent();
        page.words.headers = headers;
        page
    }

    pub fn origin_refused(app: &str, origin: &str) -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            "OriginNotAllowed",
            format!("The app `{app}` takes no requests from pages of `{origin}`."),
        )
        .app(app)
        .reason("The origin is not among those that the app's CORS settings allow.")
        .hint("`az webapp cors add --allowed-origins` allows one.")
    }

    fn app(mut self, app: &str) -> Self {
        self.words.app = Some(app.to_owned());
        self
    }

    fn reason(mut self, reason: impl Into<String>) -> Self {
        self.words.reason = Some(reason.into());
        self
    }

    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.words.hint = Some(hint.into());
        self
    }

    fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.words.headers.insert(name, value);
        self
    }

    fn silent(mut self) -> Self {
        self.words.silent = true;
        self
    }

    fn retry_after(mut self, seconds: u32) -> Self {
        self.retry_after = Some(seconds);
        self
    }

    /// Makes the response, HTML for who asks for HTML, else JSON.
    pub fn answer(self, html: bool, mut exchange: Box<Exchange>) -> Response<ResponseBody> {
        exchange.status = self.status.as_u16();
        exchange.code = self.code;
        if self.words.silent {
            let mut response = Response::new(ResponseBody::Page { bytes: Bytes::new(), exchange });
            *response.status_mut() = self.status;
            *response.headers_mut() = self.words.headers;
            return response;
        }
        let (kind, text) = if html { ("text/html; charset=utf-8", self.html()) } else { ("application/json", self.json()) };
        let bytes = Bytes::from(text);
        let mut response = Response::new(ResponseBody::Page { bytes, exchange });
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        headers
            .insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'; style-src 'unsafe-inline'"));
        headers.extend(self.words.headers);
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        response
    }

    pub fn json(&self) -> String {
        // Strings under string keys always serialize.
        serde_json::to_string(self).unwrap_or_default()
    }

    fn html(&self) -> String {
        let title = format!("{} {}", self.status.as_u16(), self.status.canonical_reason().unwrap_or_default());
        let mut out = format!(
            "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
             <title>{title}</title><style>body{{font:16px/1.5 system-ui,sans-serif;margin:15vh auto;max-width:40rem;padding:0 1rem;\
             color:#222;background:#fff}}small{{color:#666}}@media(prefers-color-scheme:dark){{body{{color:#ddd;background:#161616}}}}\
             </style></head><body><h1>{}</h1>",
            escaped(&self.words.message)
        );
        for text in [&self.words.reason, &self.words.hint].into_iter().flatten() {
            // Writing to a String cannot fail.
            let _ = write!(out, "<p>{}</p>", escaped(text));
        }
        let _ = write!(out, "<p><small>{title} · {}</small></p></body></html>", self.code);
        out
    }
}

/// Returns whether the client would rather read HTML.
pub fn wants_html(headers: &HeaderMap) -> bool {
    headers.get_all(header::ACCEPT).iter().any(|accept| headers::has_token(accept, "text/html"))
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            other => out.push(other),
        }
    }
    out
}
