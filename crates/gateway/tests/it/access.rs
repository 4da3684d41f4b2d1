//! Access restrictions: who is refused, and that no instance is asked then.

use std::collections::BTreeMap;

use pillion_gateway::protocol::{AppRoute, SiteRoute};
use pillion_model::{Access, AccessRule, AccessRules};

use crate::{
    rig::{Rig, serving},
    upstream::Upstream,
};

fn restricted(route: AppRoute, allowed: &str) -> AppRoute {
    let rule = AccessRule { from: vec![allowed.parse().unwrap()], headers: BTreeMap::new(), then: Access::Allow };
    let access = AccessRules { rules: vec![rule], others: Access::Deny };
    AppRoute { site: Some(SiteRoute { access, ..SiteRoute::default() }), ..route }
}

fn get(lines: &str) -> String {
    format!("GET / HTTP/1.1\r\nHost: shop.localhost\r\n{lines}\r\n")
}

#[tokio::test]
async fn who_is_not_allowed_is_told_so_and_no_instance_is_asked() {
    let mut rig = Rig::start().await;
    let shop = Upstream::saying("hello").await;
    let instance = rig.instance("shop-1", shop.port);
    rig.table(vec![restricted(serving("shop", vec![instance.clone()]), "192.0.2.0/24")]).await;
    // A stranger cannot claim to be somebody else.
    for lines in ["", "X-Forwarded-For: 192.0.2.9\r\n"] {
        let answer = rig.ask(&get(lines)).await;
        assert_eq!((answer.status, answer.header("x-ms-forbidden-ip")), (403, Some("127.0.0.1")), "{lines:?}");
        assert_eq!((answer.json()["code"].as_str(), answer.json()["app"].as_str()), (Some("IpForbidden"), Some("shop")));
    }
    assert_eq!(shop.connections(), 0, "an instance was asked");
    rig.table(vec![restricted(serving("shop", vec![instance]), "127.0.0.0/8")]).await;
    assert_eq!(rig.ask(&get("")).await.status, 200);
}

#[tokio::test]
async fn behind_a_trusted_proxy_its_client_counts() {
    let mut rig = Rig::start_with(|args| args.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()]).await;
    let shop = Upstream::saying("hello").await;
    let instance = rig.instance("shop-1", shop.port);
    rig.table(vec![restricted(serving("shop", vec![instance]), "192.0.2.0/24")]).await;
    for (forwarded, status) in [("192.0.2.9", 200), ("198.51.100.1, 192.0.2.9", 200), ("192.0.2.9, 198.51.100.1", 403), ("", 403)]
    {
        let answer = rig.ask(&get(&format!("X-Forwarded-For: {forwarded}\r\n"))).await;
        assert_eq!(answer.status, status, "{forwarded:?}");
    }
}
