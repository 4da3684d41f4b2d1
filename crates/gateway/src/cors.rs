//! CORS of a site (the Fetch standard's protocol, §3.2): which pages of other origins may send requests and read answers.
//!
//! As in App Service the site's settings stand in for whatever the program behind says of it.

use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request,
    header::{
        ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
        ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS,
        ACCESS_CONTROL_REQUEST_METHOD, ORIGIN, VARY,
    },
};
use pillion_model::Cors;

use crate::{page::Page, routes::App};

/// What a site says to the browser that sent a request.
pub struct CrossOrigin {
    /// The headers that let a page read the answer; none for a page that may not.
    allow: Option<HeaderMap>,
}

/// Reads a request to the app that would answer; none where its site has no such settings.
///
/// # Errors
/// The answer to a preflight request, which no program sees.
pub fn check<B>(app: &App, request: &Request<B>) -> Result<Option<CrossOrigin>, Page> {
    let Some(cors) = app.site.as_deref().and_then(|site| site.cors.as_ref()) else { return Ok(None) };
    let Some(origin) = request.headers().get(ORIGIN) else { return Ok(Some(CrossOrigin { allow: None })) };
    let allow = allowed(cors, origin);
    let asked = request.headers().get(ACCESS_CONTROL_REQUEST_METHOD);
    let Some(method) = asked.filter(|_| request.method() == Method::OPTIONS) else { return Ok(Some(CrossOrigin { allow })) };
    let app = &app.counters.app;
    let Some(mut headers) = allow else { return Err(Page::origin_refused(app, &String::from_utf8_lossy(origin.as_bytes()))) };
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, method.clone());
    if let Some(wanted) = request.headers().get(ACCESS_CONTROL_REQUEST_HEADERS) {
        headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, wanted.clone());
    }
    vary(&mut headers);
    Err(Page::preflight(app, headers))
}

fn allowed(cors: &Cors, origin: &HeaderValue) -> Option<HeaderMap> {
    let text = origin.to_str().ok().filter(|origin| cors.allows(origin))?;
    let everybody = cors.allows_everybody() && !cors.credentials;
    let mut headers = HeaderMap::new();
    let named = if everybody { HeaderValue::from_static("*") } else { HeaderValue::from_str(text).ok()? };
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, named);
    if cors.credentials {
        headers.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
    }
    Some(headers)
}

impl CrossOrigin {
    /// Puts the site's word in the place of the program's.
    pub fn mark(self, headers: &mut HeaderMap) {
        const PROGRAMS: [HeaderName; 5] = [
            ACCESS_CONTROL_ALLOW_ORIGIN,
            ACCESS_CONTROL_ALLOW_CREDENTIALS,
            ACCESS_CONTROL_ALLOW_METHODS,
            ACCESS_CONTROL_ALLOW_HEADERS,
            ACCESS_CONTROL_MAX_AGE,
        ];
        for name in PROGRAMS {
            headers.remove(name);
        }
        match self.allow {
            Some(allow) => headers.extend(allow),
            // Without the others it says nothing.
            None => drop(headers.remove(ACCESS_CONTROL_EXPOSE_HEADERS)),
        }
        vary(headers);
    }
}

/// A cache must not give one origin's answer to another.
fn vary(headers: &mut HeaderMap) {
    headers.append(VARY, HeaderValue::from_static("Origin"));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cors(origins: &[&str], credentials: bool) -> Cors {
        Cors { origins: origins.iter().map(|origin| (*origin).to_owned()).collect(), credentials }
    }

    fn said(cors: &Cors, origin: &str) -> Option<String> {
        let headers = allowed(cors, &origin.parse().expect("a value"))?;
        Some(headers[ACCESS_CONTROL_ALLOW_ORIGIN].to_str().expect("text").to_owned())
    }

    #[test]
    fn an_origin_is_allowed_by_name_or_with_everybody() {
        let named = cors(&["https://shop.example/", "http://localhost:3000"], false);
        assert_eq!(said(&named, "https://shop.example").as_deref(), Some("https://shop.example"));
        assert_eq!(said(&named, "http://localhost:3000").as_deref(), Some("http://localhost:3000"));
        for other in ["http://shop.example", "https://shop.example:8443", "https://shop.example.evil.example", "null"] {
            assert_eq!(said(&named, other), None, "{other}");
        }
        assert_eq!(said(&cors(&["*"], false), "https://anybody.example").as_deref(), Some("*"));
        assert_eq!(said(&cors(&[], false), "https://anybody.example"), None);
    }

    #[test]
    fn the_programs_own_word_is_replaced() {
        let programs = || {
            let mut headers = HeaderMap::new();
            headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
            headers.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
            headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static("x-total"));
            headers
        };
        let mut refused = programs();
        CrossOrigin { allow: None }.mark(&mut refused);
        assert_eq!(refused.keys().collect::<Vec<_>>(), [VARY]);

        let mut taken = programs();
        let allow = allowed(&cors(&["https://shop.example"], true), &HeaderValue::from_static("https://shop.example"));
        CrossOrigin { allow }.mark(&mut taken);
        assert_eq!(taken[ACCESS_CONTROL_ALLOW_ORIGIN], "https://shop.example");
        assert_eq!(taken[ACCESS_CONTROL_ALLOW_CREDENTIALS], "true");
        assert_eq!(taken[ACCESS_CONTROL_EXPOSE_HEADERS], "x-total");
    }
}
