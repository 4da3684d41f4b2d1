//! Access restrictions of a site: which requests its rules let through.

use std::net::IpAddr;

use http::{HeaderMap, HeaderName};
use pillion_model::{Access, AccessHeader, AccessRule, AccessRules, Cidr};

use crate::{
    headers::{self, FORWARDED_FOR, FORWARDED_HOST, Trust},
    listen::Peer,
    page::Page,
    routes::App,
};

/// Lets a request to the app that would answer pass, or refuses it.
///
/// # Errors
/// The page that says so.
pub fn check(app: &App, peer: &Peer, trusted: &[Cidr], headers: &HeaderMap) -> Result<(), Page> {
    let Some(site) = app.site.as_deref() else { return Ok(()) };
    if site.access == AccessRules::default() {
        return Ok(());
    }
    let client = headers::client(headers, peer, trusted);
    let told = Told { client, headers, trust: peer.trust };
    match decide(&site.access, &told) {
        Access::Allow => Ok(()),
        Access::Deny => Err(Page::forbidden(&app.counters.app, client)),
    }
}

/// What is known of a request.
struct Told<'a> {
    client: IpAddr,
    headers: &'a HeaderMap,
    trust: Trust,
}

fn decide(access: &AccessRules, told: &Told<'_>) -> Access {
    access.rules.iter().find(|rule| fits(rule, told)).map_or(access.others, |rule| rule.then)
}

fn fits(rule: &AccessRule, told: &Told<'_>) -> bool {
    rule.from.iter().any(|block| block.contains(told.client))
        && rule.headers.iter().all(|(header, wanted)| wanted.iter().any(|wanted| is_wanted(*header, wanted, told)))
}

/// What anybody can write in `X-Forwarded-*` proves nothing: only proxies that are trusted are heard.
fn is_wanted(header: AccessHeader, wanted: &str, told: &Told<'_>) -> bool {
    let says = |name: &HeaderName| {
        headers::outermost(told.headers, name).is_some_and(|found| wanted.as_bytes().eq_ignore_ascii_case(found))
    };
    match header {
        AccessHeader::ForwardedFor => {
            told.trust == Trust::Proxy
                && told.headers.contains_key(FORWARDED_FOR)
                && wanted.parse::<Cidr>().is_ok_and(|block| block.contains(told.client))
        }
        AccessHeader::ForwardedHost => told.trust == Trust::Proxy && says(&FORWARDED_HOST),
        // A Front Door is no proxy of this machine's: its id is the proof.
        AccessHeader::FrontDoorId => says(&HeaderName::from_static("x-azure-fdid")),
        AccessHeader::FrontDoorProbe => says(&HeaderName::from_static("x-fd-healthprobe")),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn rule(from: &str, then: Access) -> AccessRule {
        AccessRule { from: vec![from.parse().expect("a block")], headers: BTreeMap::new(), then }
    }

    fn headers(lines: &[(&str, &str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in lines {
            map.append(HeaderName::from_bytes(name.as_bytes()).expect("a name"), value.parse().expect("a value"));
        }
        map
    }

    fn answer(rules: &AccessRules, client: &str) -> Access {
        let told = Told { client: client.parse().expect("an address"), headers: &HeaderMap::new(), trust: Trust::Stranger };
        decide(rules, &told)
    }

    #[test]
    fn the_first_rule_that_fits_decides_and_the_default_where_none_does() {
        let rules = vec![rule("10.1.0.0/16", Access::Deny), rule("10.0.0.0/8", Access::Allow)];
        let closed = AccessRules { rules: rules.clone(), others: Access::Deny };
        assert_eq!(answer(&closed, "10.1.2.3"), Access::Deny);
        assert_eq!(answer(&closed, "10.2.0.1"), Access::Allow);
        assert_eq!(answer(&closed, "192.0.2.1"), Access::Deny);
        assert_eq!(answer(&closed, "::1"), Access::Deny);
        let open = AccessRules { rules, others: Access::Allow };
        assert_eq!(answer(&open, "192.0.2.1"), Access::Allow);
        assert_eq!(answer(&AccessRules::default(), "192.0.2.1"), Access::Allow);
    }

    #[test]
    fn a_rule_with_headers_wants_one_value_of_each_from_a_proxy_that_is_trusted() {
        let trusted: Vec<Cidr> = vec!["10.0.0.0/8".parse().expect("a block")];
        let mut asking = rule("0.0.0.0/0", Access::Allow);
        asking.headers = BTreeMap::from([
            (AccessHeader::ForwardedHost, vec!["shop.example".to_owned(), "www.shop.example".to_owned()]),
            (AccessHeader::ForwardedFor, vec!["192.0.2.0/24".to_owned()]),
        ]);
        let rules = AccessRules { rules: vec![asking], others: Access::Deny };
        let decided = |from: &str, lines: &[(&str, &str)]| {
            let peer = Peer::new(from.parse().expect("an address"), None, &trusted);
            let headers = headers(lines);
            decide(&rules, &Told { client: headers::client(&headers, &peer, &trusted), headers: &headers, trust: peer.trust })
        };
        let proxy = "10.0.0.1:9";
        let host = ("x-forwarded-host", "WWW.shop.example");
        assert_eq!(decided(proxy, &[host, ("x-forwarded-for", "192.0.2.9, 10.0.0.7")]), Access::Allow);
        assert_eq!(decided(proxy, &[host, ("x-forwarded-for", "192.0.2.9:4711")]), Access::Allow);
        assert_eq!(decided(proxy, &[("x-forwarded-host", "evil.example"), ("x-forwarded-for", "192.0.2.9")]), Access::Deny);
        assert_eq!(decided(proxy, &[host]), Access::Deny);
        // What the client wrote before the proxy added to it.
        assert_eq!(decided(proxy, &[host, ("x-forwarded-for", "192.0.2.9, 198.51.100.1")]), Access::Deny);
        assert_eq!(decided("192.0.2.9:9", &[host, ("x-forwarded-for", "192.0.2.9")]), Access::Deny);
    }

    #[test]
    fn a_front_door_shows_its_id_itself() {
        let mut asking = rule("0.0.0.0/0", Access::Allow);
        asking.headers = BTreeMap::from([(AccessHeader::FrontDoorId, vec!["c0ffee".to_owned()])]);
        let rules = AccessRules { rules: vec![asking], others: Access::Deny };
        let decided = |lines: &[(&str, &str)]| {
            let client = "198.51.100.1".parse().expect("an address");
            decide(&rules, &Told { client, headers: &headers(lines), trust: Trust::Stranger })
        };
        assert_eq!(decided(&[("x-azure-fdid", "C0FFEE")]), Access::Allow);
        assert_eq!(decided(&[("x-azure-fdid", "other")]), Access::Deny);
        assert_eq!(decided(&[]), Access::Deny);
    }

    #[test]
    fn behind_trusted_proxies_the_client_is_the_one_that_they_saw() {
        let trusted: Vec<Cidr> = ["127.0.0.1", "10.0.0.0/8"].map(|block| block.parse().expect("a block")).into();
        let client = |address: &str, forwarded: &[&str]| {
            let peer = Peer::new(address.parse().expect("an address"), None, &trusted);
            let lines: Vec<(&str, &str)> = forwarded.iter().map(|value| ("x-forwarded-for", *value)).collect();
            headers::client(&headers(&lines), &peer, &trusted).to_string()
        };
        assert_eq!(client("127.0.0.1:9", &["198.51.100.1, 192.0.2.9, 10.0.0.7"]), "192.0.2.9");
        assert_eq!(client("127.0.0.1:9", &["198.51.100.1", "192.0.2.9:4711"]), "192.0.2.9");
        assert_eq!(client("[::ffff:127.0.0.1]:9", &["2001:db8::1"]), "2001:db8::1");
        assert_eq!(client("127.0.0.1:9", &[]), "127.0.0.1");
        assert_eq!(client("127.0.0.1:9", &["192.0.2.9, unknown"]), "127.0.0.1");
        // Nobody else is believed.
        assert_eq!(client("192.0.2.1:9", &["10.0.0.7"]), "192.0.2.1");
        let peer = Peer { trust: Trust::Stranger, ..Peer::new("127.0.0.1:9".parse().expect("an address"), None, &trusted) };
        assert_eq!(headers::client(&headers(&[("x-forwarded-for", "10.0.0.7")]), &peer, &trusted).to_string(), "127.0.0.1");
    }
}
