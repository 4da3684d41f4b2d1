//! What happens to headers on their way: hop-by-hop ones end here, `X-Forwarded-*` say who asked.
//!
//! Policy: a client's own `X-Forwarded-For`, `-Proto`, `-Host`, `-Port`, `Forwarded` and `X-Real-IP` are replaced or
//! removed, because anyone can write them. From a trusted proxy, `For` is appended to and the others are kept.

use std::net::{IpAddr, SocketAddr};

use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{self, Entry},
};

use pillion_model::Cidr;

use crate::listen::Peer;

pub const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
pub const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
pub const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const FORWARDED_PORT: HeaderName = HeaderName::from_static("x-forwarded-port");
const REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");
const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");

/// Says whether the client may speak for others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trust {
    Stranger,
    Proxy,
}

/// Removes what speaks of one connection only (RFC 9110 §7.6.1) and returns the upgrade asked for or agreed to.
pub fn end_hop(headers: &mut HeaderMap) -> Option<HeaderValue> {
    let mut upgrade = None;
    if headers.contains_key(header::CONNECTION) {
        let (names, wants_upgrade) = named_by_connection(headers);
        if wants_upgrade {
            upgrade = headers.get(header::UPGRADE).cloned();
        }
        for name in names {
            headers.remove(name);
        }
        headers.remove(header::CONNECTION);
    }
    headers.remove(header::UPGRADE);
    headers.remove(KEEP_ALIVE);
    headers.remove(PROXY_CONNECTION);
    headers.remove(header::TRANSFER_ENCODING);
    upgrade
}

/// Prepares a request's headers for an instance; returns the upgrade it asks for.
pub fn request(headers: &mut HeaderMap, peer: &Peer, host: Option<&HeaderValue>) -> Option<HeaderValue> {
    let takes_trailers = headers.get(header::TE).is_some_and(|te| has_token(te, "trailers"));
    let upgrade = end_hop(headers).filter(|wanted| !has_token(wanted, "h2c"));
    headers.remove(header::TE);
    if takes_trailers {
        headers.insert(header::TE, HeaderValue::from_static("trailers"));
    }
    headers.remove(header::PROXY_AUTHORIZATION);
    // hyper's server answers it as soon as the instance wants the body.
    headers.remove(header::EXPECT);
    remove_look_alikes(headers);
    match peer.trust {
        Trust::Stranger => {
            headers.insert(FORWARDED_FOR, peer.forwarded_for.clone());
            headers.insert(FORWARDED_PROTO, peer.scheme.clone());
            match host {
                Some(host) => headers.insert(FORWARDED_HOST, host.clone()),
                None => headers.remove(FORWARDED_HOST),
            };
            headers.remove(FORWARDED_PORT);
            headers.remove(header::FORWARDED);
            headers.remove(REAL_IP);
        }
        Trust::Proxy => {
            append(headers, FORWARDED_FOR, &peer.forwarded_for);
            headers.entry(FORWARDED_PROTO).or_insert_with(|| peer.scheme.clone());
            if let (Entry::Vacant(vacant), Some(host)) = (headers.entry(FORWARDED_HOST), host) {
                vacant.insert(host.clone());
            }
        }
    }
    upgrade
}

/// Prepares a response's headers for a client; returns the upgrade it agrees to.
pub fn response(headers: &mut HeaderMap) -> Option<HeaderValue> {
    end_hop(headers)
}

/// Returns the first of a header's comma-separated values, over all its lines: what the proxy nearest to the client wrote.
pub fn outermost<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a [u8]> {
    let values = headers.get_all(name).iter().flat_map(|line| line.as_bytes().split(|byte| *byte == b','));
    values.map(<[u8]>::trim_ascii).find(|value| !value.is_empty())
}

/// Returns whose request this is: the connection's other end or, through proxies that are trusted, the last address before
/// them in `X-Forwarded-For`. What stands further left anyone can have written.
pub fn client(headers: &HeaderMap, peer: &Peer, trusted: &[Cidr]) -> IpAddr {
    let mut client = peer.address.ip().to_canonical();
    if peer.trust == Trust::Stranger {
        return client;
    }
    let lines = headers.get_all(&FORWARDED_FOR).iter().rev();
    for entry in lines.flat_map(|line| line.as_bytes().rsplit(|byte| *byte == b',')) {
        let Some(address) = address(entry.trim_ascii()) else { break };
        client = address.to_canonical();
        if !trusted.iter().any(|block| block.contains(client)) {
            break;
        }
    }
    client
}

/// Reads an address of `X-Forwarded-For`; some proxies write the port along.
fn address(entry: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(entry).ok()?;
    text.parse().ok().or_else(|| Some(text.parse::<SocketAddr>().ok()?.ip()))
}

/// Returns whether a text can stand where a host with or without port stands.
pub fn is_host(text: &[u8]) -> bool {
    let fits = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~' | b':' | b'[' | b']');
    !text.is_empty() && text.iter().all(fits)
}

/// Returns whether a comma-separated list holds a token, in any case and whatever its parameters.
pub fn has_token(value: &HeaderValue, wanted: &str) -> bool {
    value.as_bytes().split(|byte| *byte == b',').any(|token| {
        let token = token.split(|byte| *byte == b';').next().unwrap_or_default();
        token.trim_ascii().eq_ignore_ascii_case(wanted.as_bytes())
    })
}

fn named_by_connection(headers: &HeaderMap) -> (Vec<HeaderName>, bool) {
    let mut names = Vec::new();
    let mut wants_upgrade = false;
    for value in headers.get_all(header::CONNECTION) {
        for token in value.as_bytes().split(|byte| *byte == b',') {
            let token = token.trim_ascii();
            if token.eq_ignore_ascii_case(b"upgrade") {
                wants_upgrade = true;
            } else if !token.eq_ignore_ascii_case(b"keep-alive")
                && !token.eq_ignore_ascii_case(b"close")
                && let Ok(name) = HeaderName::from_bytes(token)
                // These frame or route the message: a client must not have them dropped on the way.
                && !matches!(name, header::HOST | header::CONTENT_LENGTH | header::TRANSFER_ENCODING | header::COOKIE | header::AUTHORIZATION)
            {
                names.push(name);
            }
        }
    }
    (names, wants_upgrade)
}

/// Removes names that CGI-like programs read as one of ours: they turn both `-` and `_` into `_`.
fn remove_look_alikes(headers: &mut HeaderMap) {
    let look_alike = |name: &HeaderName| {
        let dashed = name.as_str().replace('_', "-");
        [FORWARDED_FOR, FORWARDED_PROTO, FORWARDED_HOST, FORWARDED_PORT, REAL_IP].iter().any(|ours| ours.as_str() == dashed)
    };
    let found: Vec<HeaderName> = headers.keys().filter(|name| name.as_str().contains('_') && look_alike(name)).cloned().collect();
    for name in found {
        headers.remove(name);
    }
}

fn append(headers: &mut HeaderMap, name: HeaderName, last: &HeaderValue) {
    let mut all = Vec::new();
    for value in headers.get_all(&name) {
        all.extend_from_slice(value.as_bytes());
        all.extend_from_slice(b", ");
    }
    all.extend_from_slice(last.as_bytes());
    // Joined of valid values by a valid separator; should it fail all the same, the address alone is the truth.
    let value = HeaderValue::from_maybe_shared(bytes::Bytes::from(all)).unwrap_or_else(|_| last.clone());
    headers.insert(name, value);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[(&str, &str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in lines {
            map.append(HeaderName::from_bytes(name.as_bytes()).expect("a name"), value.parse().expect("a value"));
        }
        map
    }

    fn peer(trust: Trust) -> Peer {
        Peer { trust, ..Peer::new("192.0.2.7:5".parse().expect("an address"), None, &[]) }
    }

    #[test]
    fn headers_that_connection_names_end_here_but_never_those_that_frame_the_message() {
        let mut map = headers(&[
            ("connection", "close, X-Secret, Content-Length, host"),
            ("x-secret", "1"),
            ("content-length", "3"),
            ("host", "a"),
            ("keep-alive", "timeout=5"),
            ("te", "gzip"),
            ("proxy-connection", "keep-alive"),
            ("proxy-authorization", "Basic x"),
        ]);
        assert_eq!(request(&mut map, &peer(Trust::Stranger), None), None);
        let mut left: Vec<&str> = map.keys().map(HeaderName::as_str).collect();
        left.sort_unstable();
        assert_eq!(left, ["content-length", "host", "x-forwarded-for", "x-forwarded-proto"]);
    }

    #[test]
    fn a_strangers_forwarded_headers_are_replaced_in_every_spelling() {
        let mut map = headers(&[
            ("x-forwarded-for", "1.1.1.1"),
            ("x-forwarded-for", "2.2.2.2"),
            ("X_Forwarded_For", "3.3.3.3"),
            ("x-forwarded-proto", "https"),
            ("forwarded", "for=1.1.1.1"),
            ("x-real-ip", "1.1.1.1"),
        ]);
        request(&mut map, &peer(Trust::Stranger), Some(&HeaderValue::from_static("shop")));
        assert_eq!(map.len(), 3);
        assert_eq!(map[FORWARDED_FOR], "192.0.2.7");
        assert_eq!(map[FORWARDED_PROTO], "http");
        assert_eq!(map[FORWARDED_HOST], "shop");
    }

    #[test]
    fn a_trusted_proxy_is_appended_to() {
        let mut map = headers(&[("x-forwarded-for", "1.1.1.1"), ("x-forwarded-for", "2.2.2.2"), ("x-forwarded-proto", "https")]);
        request(&mut map, &peer(Trust::Proxy), Some(&HeaderValue::from_static("shop")));
        assert_eq!(map[FORWARDED_FOR], "1.1.1.1, 2.2.2.2, 192.0.2.7");
        assert_eq!(map[FORWARDED_PROTO], "https");
        assert_eq!(map[FORWARDED_HOST], "shop");
    }

    #[test]
    fn an_upgrade_is_kept_apart_unless_it_is_to_cleartext_http2() {
        let mut map = headers(&[("connection", "keep-alive, Upgrade"), ("upgrade", "websocket")]);
        assert_eq!(request(&mut map, &peer(Trust::Stranger), None).expect("an upgrade"), "websocket");
        assert!(!map.contains_key(header::UPGRADE));
        let mut map = headers(&[("connection", "Upgrade, HTTP2-Settings"), ("upgrade", "h2c"), ("http2-settings", "x")]);
        assert_eq!(request(&mut map, &peer(Trust::Stranger), None), None);
        let mut map = headers(&[("upgrade", "websocket")]);
        assert_eq!(request(&mut map, &peer(Trust::Stranger), None), None);
    }
}
