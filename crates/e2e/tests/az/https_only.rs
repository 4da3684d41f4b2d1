//! `--https-only`, with a real proxy that has the TLS in front of the gateway.

use pillion_e2e::{Running, TlsProxy, get};

use crate::stage::Stage;

/// Nobody else in these tests listens here, so that the proxy can have the well-known ports.
const PROXY: &str = "127.0.0.43";

/// Where a browser ends up, over which answers, and what the program behind saw.
const BROWSER: &str = r#"
import requests, sys
answer = requests.get(sys.argv[1], verify=sys.argv[2])
print([one.status_code for one in answer.history], answer.status_code, answer.url)
print(answer.text)
"#;

#[test]
fn a_browser_that_comes_without_tls_is_sent_to_where_there_is_tls() {
    let mut stage = Stage::shop();
    stage.copy.configure("trustedProxies: [127.0.0.1]\n");
    stage.copy.kill_server();
    stage.copy.serve();
    let site = stage.url("shop");
    let proxy = TlsProxy::start(PROXY, site.trim_start_matches("http://"));
    let browse = |path: &str| {
        let mut python = stage.az.python(BROWSER);
        python.arg(format!("http://{PROXY}{path}")).arg(proxy.certificate());
        let ran = Running::start(&mut python).finish();
        assert_eq!(ran.code, 0, "{}", ran.said());
        ran.stdout
    };
    let before = browse("/headers");
    assert!(before.starts_with(&format!("[] 200 http://{PROXY}/headers\n")), "{before}");
    assert!(before.contains("x-appservice-proto: http\n"), "{before}");

    stage.az.ok("webapp update -g rg1 -n shop --https-only true".split(' '));
    pillion_e2e::eventually("a browser is sent on", || browse("/?a=b").starts_with(&format!("[301] 200 https://{PROXY}/?a=b\n")));
    let after = browse("/headers");
    assert!(after.starts_with(&format!("[301] 200 https://{PROXY}/headers\n")), "{after}");
    for seen in ["x-appservice-proto: https\n", "x-forwarded-proto: https\n", &format!("x-forwarded-host: {PROXY}\n")] {
        assert!(after.contains(seen), "{seen} is missing: {after}");
    }
    // What comes to the gateway itself has nowhere to be sent to.
    assert_eq!(get(&site).expect("the gateway answers").status, 200);

    stage.az.ok("webapp update -g rg1 -n shop --https-only false".split(' '));
    pillion_e2e::eventually("a browser is served", || browse("/").starts_with("[] 200"));
}
