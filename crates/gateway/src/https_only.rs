//! What `httpsOnly` of a site asks for: a client that reached its proxy without TLS is sent to where it has TLS.
//!
//! The gateway itself has no TLS, so only a trusted proxy can know. Strangers are served: on loopback there is nowhere to send
//! them, and `az` pings each site there.

use http::{HeaderValue, Request, Uri};

use crate::{
    headers::{self, FORWARDED_HOST, FORWARDED_PROTO, Trust},
    page::Page,
    routes::App,
};

/// Lets a request to the app that would answer pass, or says where its client has to go.
///
/// # Errors
/// The page that sends the client there.
pub fn check<B>(app: &App, trust: Trust, request: &Request<B>, host: Option<&HeaderValue>) -> Result<(), Page> {
    let demanded = app.site.as_ref().is_some_and(|site| site.https_only);
    if !demanded || !came_plain(trust, request) {
        return Ok(());
    }
    // Where the proxy passes on a header that no host fits in, it is the client's invention.
    let named = headers::outermost(request.headers(), &FORWARDED_HOST).filter(|host| headers::is_host(host));
    let host = named.or(host.map(HeaderValue::as_bytes)).and_then(|host| std::str::from_utf8(host).ok());
    let Some(host) = host else {
        return Err(Page::bad_request("HostMissing", "The request has no Host header."));
    };
    let location = HeaderValue::try_from(location(host, request.uri()))
        .map_err(|_| Page::bad_request("TargetInvalid", "The request's target is invalid."))?;
    Err(Page::https_only(&app.counters.app, location))
}

/// Returns whether a trusted proxy says that its client came without TLS.
fn came_plain<B>(trust: Trust, request: &Request<B>) -> bool {
    match trust {
        Trust::Stranger => false,
        // Some proxies name the scheme of a WebSocket.
        Trust::Proxy => headers::outermost(request.headers(), &FORWARDED_PROTO)
            .is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"http") || scheme.eq_ignore_ascii_case(b"ws")),
    }
}

fn location(host: &str, target: &Uri) -> String {
    let host = host.strip_suffix(":80").unwrap_or(host);
    // `OPTIONS *` is about the whole site.
    let path = target.path_and_query().map(|path| path.as_str()).filter(|path| path.starts_with('/')).unwrap_or("/");
    format!("https://{host}{path}")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{
        protocol::{AppState, SiteRoute},
        stats::AppCounters,
    };

    fn app(https_only: bool) -> App {
        let site = SiteRoute { https_only, ..SiteRoute::default() };
        let counters = Arc::new(AppCounters::new("shop"));
        App { counters, state: AppState::Stopped, serving: Vec::new(), site: Some(Box::new(site)) }
    }

    fn request(target: &str, lines: &[(&str, &str)]) -> Request<()> {
        let builder = lines.iter().fold(Request::builder().uri(target), |builder, (name, value)| builder.header(*name, *value));
        builder.body(()).expect("a request")
    }

    fn status(app: &App, trust: Trust, lines: &[(&str, &str)]) -> u16 {
        let host = HeaderValue::from_static("shop.example");
        check(app, trust, &request("/", lines), Some(&host)).map_or_else(|page| page.status.as_u16(), |()| 200)
    }

    #[test]
    fn only_what_a_trusted_proxy_calls_plain_is_sent_away_and_only_from_sites_that_ask_for_it() {
        let site = app(true);
        let plain: &[(&str, &str)] = &[("x-forwarded-proto", "http")];
        assert_eq!(status(&site, Trust::Proxy, plain), 301);
        assert_eq!(status(&site, Trust::Stranger, plain), 200);
        assert_eq!(status(&app(false), Trust::Proxy, plain), 200);
        assert_eq!(status(&App { site: None, ..app(true) }, Trust::Proxy, plain), 200);
        for (scheme, expected) in
            [("HTTP", 301), ("ws", 301), ("http, https", 301), ("https, http", 200), ("https", 200), ("", 200)]
        {
            assert_eq!(status(&site, Trust::Proxy, &[("x-forwarded-proto", scheme)]), expected, "{scheme:?}");
        }
        assert_eq!(status(&site, Trust::Proxy, &[]), 200);
        assert_eq!(status(&site, Trust::Proxy, &[("x-forwarded-proto", "https"), ("x-forwarded-proto", "http")]), 200);
    }

    #[test]
    fn a_client_without_a_host_is_told_so() {
        let request = request("/", &[("x-forwarded-proto", "http")]);
        assert_eq!(check(&app(true), Trust::Proxy, &request, None).expect_err("nowhere to go").code, "HostMissing");
    }

    #[test]
    fn the_place_is_the_same_with_another_scheme() {
        for (host, target, expected) in [
            ("shop.example", "/a/b?c=d&e", "https://shop.example/a/b?c=d&e"),
            ("shop.example:80", "/", "https://shop.example/"),
            ("shop.example:8080", "/", "https://shop.example:8080/"),
            ("[::1]:80", "/%20", "https://[::1]/%20"),
            ("shop.example", "//evil.example/", "https://shop.example//evil.example/"),
            ("shop.example", "*", "https://shop.example/"),
        ] {
            assert_eq!(location(host, &target.parse().expect("a target")), expected);
        }
    }
}
