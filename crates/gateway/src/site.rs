//! What a site's front end does beyond routing: parts of the requests go to slots, a client stays with its instance, and the
//! program behind is told what App Service tells it. Apps that are no sites pay for a look at one option.

use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue, Uri, header};

use crate::{
    cors::CrossOrigin,
    headers::{self, FORWARDED_PROTO},
    instance::Lease,
    routes::{App, Routes, random},
};

/// Names a slot, `self` the site; a query parameter of this name chooses.
const ROUTING: &str = "x-ms-routing-name";
const ITSELF: &str = "self";
/// Names the instance that answered.
const AFFINITY: &str = "ARRAffinity";

/// One request to a site.
pub struct Visit {
    /// The instance that the client's cookie names.
    wanted: Option<Box<str>>,
    affinity: bool,
    /// The slot that was chosen by this request, for the client to keep.
    chosen: Option<Box<str>>,
    /// What a page of another origin may do with the answer.
    pub cross_origin: Option<CrossOrigin>,
}

/// Finds which app answers a request to a site: the site's own, or that of a slot that the query, the cookie or chance names.
pub fn route(own: Arc<App>, routes: &Routes, uri: &Uri, headers: &HeaderMap) -> (Arc<App>, Option<Visit>) {
    let Some(site) = own.site.as_deref() else { return (own, None) };
    let named = |slot: &str| {
        let share = site.shares.iter().find(|share| share.slot.eq_ignore_ascii_case(slot))?;
        routes.apps.get(share.app.as_str()).cloned()
    };
    let mut chosen = None;
    let mut to = own.clone();
    if !site.shares.is_empty() {
        let asked = asked(uri);
        let kept = cookie(headers, ROUTING);
        match (asked, kept) {
            (Some(slot), _) if slot.eq_ignore_ascii_case(ITSELF) => chosen = Some(ITSELF.into()),
            (Some(slot), _) => {
                if let Some(other) = named(slot) {
                    (to, chosen) = (other, Some(slot.into()));
                }
            }
            (None, Some(slot)) if slot.eq_ignore_ascii_case(ITSELF) => {}
            (None, Some(slot)) => {
                if let Some(other) = named(slot) {
                    to = other;
                }
            }
            (None, None) => {
                let mut number = random(10_000) as u32;
                chosen = Some(ITSELF.into());
                for share in &site.shares {
                    if number < share.share {
                        if let Some(other) = routes.apps.get(share.app.as_str()) {
                            (to, chosen) = (other.clone(), Some(share.slot.as_str().into()));
                        }
                        break;
                    }
                    number -= share.share;
                }
            }
        }
    }
    let affinity = to.site.as_ref().is_none_or(|site| site.affinity) && site.affinity;
    let wanted = if affinity { cookie(headers, AFFINITY).map(Into::into) } else { None };
    (to, Some(Visit { wanted, affinity, chosen, cross_origin: None }))
}

impl Visit {
    /// Counts the request in at the instance that the client had before, if that takes requests.
    pub fn lease(&self, app: &App) -> Option<Lease> {
        let wanted = self.wanted.as_deref()?;
        app.serving.iter().find(|instance| &*instance.name == wanted)?.lease()
    }

    /// Has the client come back to the same slot and instance, and says which pages may read the answer.
    pub fn mark(self, headers: &mut HeaderMap, instance: &str) {
        let mut set = |text: String| {
            if let Ok(value) = HeaderValue::try_from(text) {
                headers.append(header::SET_COOKIE, value);
            }
        };
        if let Some(slot) = &self.chosen {
            set(format!("{ROUTING}={slot}; path=/; Max-Age=3600; HttpOnly"));
        }
        if self.affinity && self.wanted.as_deref() != Some(instance) {
            set(format!("{AFFINITY}={instance};Path=/;HttpOnly"));
        }
        if let Some(cross_origin) = self.cross_origin {
            cross_origin.mark(headers);
        }
    }
}

/// Tells the program behind who asks and for what, in the headers that App Service's front end adds. What a client wrote in
/// them is replaced; `X-Forwarded-Proto` is settled already.
pub fn announce(headers: &mut HeaderMap, site: &str, client: String, host: Option<HeaderValue>, target: &HeaderValue) {
    let scheme = if headers::outermost(headers, &FORWARDED_PROTO).is_some_and(is_secure) { "https" } else { "http" };
    let mut set = |name: &'static str, value: Option<HeaderValue>| {
        let name = HeaderName::from_static(name);
        match value {
            Some(value) => drop(headers.insert(name, value)),
            None => drop(headers.remove(name)),
        }
    };
    let text = |text: String| HeaderValue::try_from(text).ok();
    let hex = |digits: usize| (0..digits).map(|_| char::from(b"0123456789abcdef"[random(16)])).collect::<String>();
    let id = format!("{}-{}-4{}-8{}-{}", hex(8), hex(4), hex(3), hex(3), hex(12));
    set("x-arr-log-id", text(id));
    // It describes the certificate that the front end showed, which a proxy in front of this one does not pass on.
    set("x-arr-ssl", None);
    set("client-ip", text(client));
    set("disguised-host", host.clone());
    set("was-default-hostname", host);
    set("x-site-deployment-id", text(site.to_owned()));
    set("x-original-url", Some(target.clone()));
    set("x-appservice-proto", Some(HeaderValue::from_static(scheme)));
}

/// Some proxies name the scheme of a WebSocket.
fn is_secure(scheme: &[u8]) -> bool {
    scheme.eq_ignore_ascii_case(b"https") || scheme.eq_ignore_ascii_case(b"wss")
}

fn asked(uri: &Uri) -> Option<&str> {
    uri.query()?.split('&').find_map(|pair| pair.strip_prefix(ROUTING)?.strip_prefix('='))
}

fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get_all(header::COOKIE).iter().filter_map(|line| line.to_str().ok()).find_map(|line| {
        line.split(';').find_map(|pair| pair.trim_start().strip_prefix(name)?.strip_prefix('=').map(str::trim_end))
    })
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::{
        protocol::{AppState, ShareRoute, SiteRoute},
        stats::AppCounters,
    };

    fn app(name: &str, site: Option<SiteRoute>) -> App {
        App {
            counters: Arc::new(AppCounters::new(name)),
            state: AppState::Stopped,
            serving: Vec::new(),
            site: site.map(Box::new),
        }
    }

    fn site(share: u32) -> Routes {
        let shares = vec![ShareRoute { slot: "Blue".into(), app: "shop--blue".into(), share }];
        let site = SiteRoute { affinity: true, shares, ..SiteRoute::default() };
        let apps = [app("shop", Some(site)), app("shop--blue", None)].map(|app| (Vec::new(), app)).into();
        Routes::new(1, apps, HashMap::new())
    }

    fn go(share: u32, path: &str, cookies: &str) -> (String, Option<String>) {
        let routes = site(share);
        let mut headers = HeaderMap::new();
        headers.insert(header::COOKIE, cookies.parse().expect("a value"));
        let own = routes.apps["shop"].clone();
        let (to, visit) = route(own, &routes, &path.parse().expect("a target"), &headers);
        (to.counters.app.to_string(), visit.expect("a visit").chosen.map(String::from))
    }

    #[test]
    fn query_goes_before_cookie_and_cookie_before_chance() {
        let here = |name: &str, kept: Option<&str>| (name.to_owned(), kept.map(str::to_owned));
        assert_eq!(go(0, "/", ""), here("shop", Some("self")));
        assert_eq!(go(10_000, "/", "a=b"), here("shop--blue", Some("Blue")));
        assert_eq!(go(10_000, "/", "a=b; x-ms-routing-name=self"), here("shop", None));
        assert_eq!(go(0, "/", "x-ms-routing-name=blue"), here("shop--blue", None));
        assert_eq!(go(0, "/p?x=1&x-ms-routing-name=blue", "x-ms-routing-name=self"), here("shop--blue", Some("blue")));
        assert_eq!(go(10_000, "/?x-ms-routing-name=self", "x-ms-routing-name=blue"), here("shop", Some("self")));
        assert_eq!(go(0, "/?x-ms-routing-name=green", ""), here("shop", None));
    }

    #[test]
    fn a_share_is_about_as_large_as_it_says() {
        let to_slot = (0..4_000).filter(|_| go(2_500, "/", "").0 == "shop--blue").count();
        assert!((800..1_200).contains(&to_slot), "{to_slot}");
    }

    #[test]
    fn clients_are_told_once_where_they_belong() {
        let visit =
            |wanted: Option<&str>| Visit { wanted: wanted.map(Into::into), affinity: true, chosen: None, cross_origin: None };
        let mut headers = HeaderMap::new();
        visit(Some("shop-1-a")).mark(&mut headers, "shop-1-a");
        assert!(headers.is_empty());
        visit(Some("gone")).mark(&mut headers, "shop-1-a");
        assert_eq!(headers[header::SET_COOKIE], "ARRAffinity=shop-1-a;Path=/;HttpOnly");
    }

    #[test]
    fn a_clients_own_front_end_headers_are_replaced() {
        let mut headers = HeaderMap::new();
        headers.insert("client-ip", "1.2.3.4:5".parse().expect("a value"));
        headers.insert("x-arr-ssl", "2048".parse().expect("a value"));
        let host = HeaderValue::from_static("shop.localhost");
        announce(&mut headers, "shop", "192.0.2.7:99".to_owned(), Some(host.clone()), &HeaderValue::from_static("/a?b"));
        assert_eq!(headers["client-ip"], "192.0.2.7:99");
        assert_eq!((&headers["x-original-url"], &headers["disguised-host"]), (&HeaderValue::from_static("/a?b"), &host));
        assert_eq!(headers["x-arr-log-id"].len(), 36);
        assert!(!headers.contains_key("x-arr-ssl"));
        assert_eq!(headers["x-appservice-proto"], "http");
    }

    #[test]
    fn the_scheme_is_the_one_that_the_proxy_nearest_to_the_client_saw() {
        for (forwarded, expected) in [
            ("https", "https"),
            ("WSS", "https"),
            ("https, http", "https"),
            ("http, https", "http"),
            ("ws", "http"),
            ("", "http"),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert("x-forwarded-proto", forwarded.parse().expect("a value"));
            headers.insert("x-appservice-proto", "invented".parse().expect("a value"));
            announce(&mut headers, "shop", "192.0.2.7".to_owned(), None, &HeaderValue::from_static("/"));
            assert_eq!(headers["x-appservice-proto"], expected, "{forwarded:?}");
        }
    }
}
