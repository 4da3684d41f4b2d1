//! Linked templates: fetched over https from where that is allowed, and from nowhere else.

use std::{sync::atomic::Ordering, time::Duration};

use pillion_azure::deployment::LinkSettings;
use serde_json::{Value, json};

use super::library::{Library, page};
use super::world::{World, item, template};

fn redirect(to: &str) -> String {
    format!("HTTP/1.1 302 Found\r\nlocation: {to}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
}

fn linking(uri: &str) -> Vec<u8> {
    json!({ "properties": { "mode": "Incremental", "templateLink": { "uri": uri } } }).to_string().into_bytes()
}

async fn refusal(world: &World, uri: &str) -> String {
    let refused = world.begin("main", linking(uri)).await.map(drop).expect_err("it is refused");
    assert_eq!((refused.status, refused.code.as_ref()), (400, "InvalidContentLink"), "{refused}");
    refused.message
}

#[tokio::test]
async fn addresses_inside_are_refused_before_they_are_asked() {
    let library = Library::open(vec![("/t.json", page(&template(vec![]).to_string()))]).await;
    let world = World::new().await;
    for (uri, word) in [
        (library.at("/t.json"), "loopback"),
        (format!("https://localhost:{}/t.json", library.address.port()), "loopback"),
        ("https://[::1]/t.json".into(), "loopback"),
        ("https://2130706433/t.json".into(), "loopback"),
        ("https://169.254.169.254/latest".into(), "link-local"),
        ("https://10.0.0.1/t.json".into(), "private"),
        ("https://[::ffff:192.168.0.1]/t.json".into(), "private"),
        ("http://example.org/t.json".into(), "only https"),
        ("ftp://example.org/t.json".into(), "only https"),
        ("file:///etc/passwd".into(), "only https"),
        ("https://user:pass@example.org/t.json".into(), "password"),
        ("no address".into(), "not an address"),
    ] {
        let message = refusal(&world, &uri).await;
        assert!(message.contains(word), "{uri}: {message}");
    }
    assert_eq!(library.asked.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn an_allowed_template_is_fetched_and_its_query_is_not_shown() {
    let library = Library::open(vec![("/t.json?sig=s3cr3t", page(&template(vec![item("far", &[])]).to_string()))]).await;
    let world = World::with(library.settings()).await;
    let deployed = world.deploy("main", linking(&library.at("/t.json?sig=s3cr3t"))).await;
    assert_eq!(deployed["provisioningState"], "Succeeded", "{deployed}");
    assert_eq!(world.fake.written(), ["far"]);
    assert_eq!(deployed["templateLink"]["uri"], library.at("/t.json"));
    assert!(!deployed.to_string().contains("s3cr3t"), "{deployed}");
    let message = refusal(&world, &library.at("/gone.json?sig=s3cr3t")).await;
    assert!(message.contains("404") && !message.contains("s3cr3t"), "{message}");
}

#[tokio::test]
async fn a_nested_link_is_found_beside_its_parent() {
    let child = json!({
        "type": "Microsoft.Resources/deployments", "apiVersion": "2022-09-01", "name": "child",
        "properties": {
            "mode": "Incremental", "templateLink": { "relativePath": "parts/child.json" },
            "parameters": { "name": { "value": "near" } },
        },
    });
    let mut inner = template(vec![item("[parameters('name')]", &[])]);
    inner["parameters"] = json!({ "name": { "type": "string" } });
    let pages =
        vec![("/all/main.json", page(&template(vec![child]).to_string())), ("/all/parts/child.json", page(&inner.to_string()))];
    let library = Library::open(pages).await;
    let world = World::with(library.settings()).await;
    let deployed = world.deploy("main", linking(&library.at("/all/main.json"))).await;
    assert_eq!(deployed["provisioningState"], "Succeeded", "{deployed}");
    assert_eq!(world.fake.written(), ["near"]);
}

#[tokio::test]
async fn every_redirect_is_checked_anew() {
    let pages = vec![
        ("/inside", redirect("https://169.254.169.254/latest/meta-data")),
        ("/plain", redirect("http://127.0.0.1/t.json")),
        ("/round", redirect("/round")),
        ("/good", redirect("/t.json")),
        ("/t.json", page(&template(vec![item("far", &[])]).to_string())),
    ];
    let library = Library::open(pages).await;
    let world = World::with(library.settings()).await;
    for (path, word) in [("/inside", "link-local"), ("/plain", "only https"), ("/round", "redirects more than")] {
        let message = refusal(&world, &library.at(path)).await;
        assert!(message.contains(word), "{path}: {message}");
    }
    assert_eq!(world.deploy("main", linking(&library.at("/good"))).await["provisioningState"], "Succeeded");
}

#[tokio::test]
async fn a_template_that_is_too_long_or_comes_too_slowly_is_refused() {
    let library = Library::open(vec![
        ("/long", page(&Value::String("x".repeat(80 * 1024)).to_string())),
        ("/slow", "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n".into()),
    ])
    .await;
    let world = World::with(LinkSettings { within: Duration::from_millis(900), ..library.settings() }).await;
    assert!(refusal(&world, &library.at("/long")).await.contains("longer than 65536"));
    let message = refusal(&world, &library.at("/slow")).await;
    assert!(message.contains("did not come") || message.contains("cannot be fetched"), "{message}");
}

#[tokio::test]
async fn a_certificate_that_nobody_vouches_for_is_refused() {
    let library = Library::open(vec![("/t.json", page(&template(vec![]).to_string()))]).await;
    let world = World::with(LinkSettings { certificates: Vec::new(), ..library.settings() }).await;
    assert!(refusal(&world, &library.at("/t.json")).await.contains("cannot be fetched"));
}
