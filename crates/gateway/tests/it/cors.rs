//! CORS: preflights are answered without an instance, and the site's word stands in for the program's.

use http::{HeaderValue, Response, header};
use pillion_gateway::protocol::{AppRoute, SiteRoute};
use pillion_model::Cors;

use crate::{
    rig::{Answer, Rig, serving},
    upstream::{Upstream, full},
};

/// App `shop` that lets pages of one origin read its answers; the program itself says everybody may.
async fn open_to(rig: &mut Rig, origin: &str, credentials: bool) -> Upstream {
    let shop = Upstream::serve(|_| async {
        let mut answer = Response::new(full("hello"));
        answer.headers_mut().insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
        answer
    })
    .await;
    let cors = Some(Cors { origins: vec![origin.to_owned()], credentials });
    let instance = rig.instance("shop-1", shop.port);
    rig.table(vec![AppRoute { site: Some(SiteRoute { cors, ..SiteRoute::default() }), ..serving("shop", vec![instance]) }]).await;
    shop
}

async fn ask(rig: &Rig, method: &str, lines: &str) -> Answer {
    rig.ask(&format!("{method} / HTTP/1.1\r\nHost: shop.localhost\r\n{lines}\r\n")).await
}

#[tokio::test]
async fn a_preflight_is_answered_for_the_program() {
    let mut rig = Rig::start().await;
    let shop = open_to(&mut rig, "https://page.example", true).await;
    let asked = "Access-Control-Request-Method: PUT\r\nAccess-Control-Request-Headers: x-one, x-two\r\n";
    let allowed = ask(&rig, "OPTIONS", &format!("Origin: https://page.example\r\n{asked}")).await;
    assert_eq!((allowed.status, allowed.body.as_str()), (204, ""));
    // The rig hears in lower case.
    for (name, value) in [
        ("access-control-allow-origin", "https://page.example"),
        ("access-control-allow-credentials", "true"),
        ("access-control-allow-methods", "put"),
        ("access-control-allow-headers", "x-one, x-two"),
        ("vary", "origin"),
    ] {
        assert_eq!(allowed.header(name), Some(value), "{name}");
    }
    let refused = ask(&rig, "OPTIONS", &format!("Origin: https://evil.example\r\n{asked}")).await;
    assert_eq!((refused.status, refused.header("access-control-allow-origin")), (403, None));
    assert_eq!(refused.json()["code"], "OriginNotAllowed");
    assert_eq!(shop.connections(), 0, "an instance was asked");
    // Without the method that a page asks for it is a request like any other.
    assert_eq!(ask(&rig, "OPTIONS", "Origin: https://page.example\r\n").await.body, "hello");
}

#[tokio::test]
async fn an_answer_says_who_may_read_it_whatever_the_program_says() {
    let mut rig = Rig::start().await;
    let _shop = open_to(&mut rig, "https://page.example", false).await;
    for (lines, expected) in [
        ("Origin: https://page.example\r\n", Some("https://page.example")),
        ("Origin: https://evil.example\r\n", None),
        ("", None),
    ] {
        let answer = ask(&rig, "GET", lines).await;
        assert_eq!((answer.status, answer.body.as_str()), (200, "hello"), "{lines:?}");
        assert_eq!(answer.header("access-control-allow-origin"), expected, "{lines:?}");
        assert_eq!(answer.header("vary"), Some("origin"), "{lines:?}");
    }
}
