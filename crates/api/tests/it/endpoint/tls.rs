//! How the endpoint proves itself, and what it refuses before anybody is asked for.

use bytes::Bytes;
use http_body_util::Full;
use hyper::{Request, header::HOST};
use pillion_identity::{Audience, PrincipalKind};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::world::{World, names};

#[tokio::test]
async fn a_caller_without_a_good_token_is_told_where_to_log_in() {
    let world = World::new().await;
    let missing = world.get("/subscriptions", None).await;
    assert_eq!((missing.status, &missing.body["error"]["code"]), (401, &json!("AuthenticationFailed")));
    assert_eq!(missing.header("www-authenticate"), format!("Bearer authorization_uri=\"{}/adfs\"", world.url()));
    assert_eq!(missing.body["Message"], missing.body["error"]["message"], "both shapes in one body");
    let forged = world.get("/subscriptions", Some("a.b.c")).await;
    assert_eq!((forged.status, &forged.body["error"]["code"]), (401, &json!("InvalidAuthenticationToken")));
    assert!(forged.header("www-authenticate").contains("error=\"invalid_token\""));
}

#[tokio::test]
async fn a_request_by_another_name_is_refused() {
    let world = World::new().await;
    for host in ["evil.example", "127.0.0.1", "127.0.0.1:1"] {
        let request = Request::builder().uri("/metadata/endpoints").header(HOST, host).body(Full::<Bytes>::default());
        let answer = world.send(request.unwrap()).await;
        assert_eq!((answer.status, &answer.body["error"]["code"]), (421, &json!("MisdirectedRequest")), "{host}");
    }
    let request = Request::builder().uri("/metadata/endpoints").header(HOST, format!("LOCALHOST:{}", world.address.port()));
    assert_eq!(world.send(request.body(Full::default()).unwrap()).await.status, 200);
}

#[tokio::test]
async fn the_certificate_is_exchanged_under_connections_that_go_on() {
    let world = World::new().await;
    let served = |stream: &tokio_rustls::client::TlsStream<tokio::net::TcpStream>| {
        stream.get_ref().1.peer_certificates().expect("certificates")[0].to_vec()
    };
    let mut before = world.connect().await.unwrap();
    let mut more = names();
    more.push("build.example".to_owned());
    let leaf = world.identity.certificates().leaf(&more, world.identity.now_ms()).unwrap();
    world.certificate.exchange(&leaf.chain, &leaf.key).unwrap();
    let after = world.connect().await.unwrap();
    assert_ne!(served(&before), served(&after));
    let request = format!("GET /metadata/endpoints HTTP/1.1\r\nhost: {}\r\n\r\n", world.address);
    before.write_all(request.as_bytes()).await.unwrap();
    let mut head = [0; 12];
    before.read_exact(&mut head).await.unwrap();
    assert_eq!(&head, b"HTTP/1.1 200", "the old connection still answers");
    assert!(world.certificate.exchange("nonsense", &leaf.key).is_err());
    assert!(world.certificate.exchange(&leaf.chain, "nonsense").is_err());
    let other = World::new().await;
    let other = other.identity.certificates().leaf(&names(), other.identity.now_ms()).unwrap();
    assert!(world.certificate.exchange(&leaf.chain, &other.key).is_err(), "the key of another certificate");
    assert_eq!(served(&world.connect().await.unwrap()), served(&after), "a refusal leaves the old one");
}

#[tokio::test]
async fn without_tls_there_is_no_answer() {
    let world = World::new().await;
    let mut plain = tokio::net::TcpStream::connect(world.address).await.unwrap();
    plain.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    // A reset is as good as an end.
    let _ = plain.read_to_end(&mut answer).await;
    assert!(!answer.starts_with(b"HTTP"), "{answer:?}");
}

#[tokio::test]
async fn a_stopped_endpoint_takes_no_connection_and_lets_go_of_idle_ones() {
    let world = World::new().await;
    let made = world.principal("deploy", PrincipalKind::Service, None).await;
    let token = world.identity.issue(&made.principal, Audience::Arm).unwrap().token;
    assert_eq!(world.get("/x", Some(&token)).await.body, "deploy");
    let mut idle = world.connect().await.unwrap();
    world.stop.send_replace(true);
    let mut rest = Vec::new();
    let _ = tokio::time::timeout(crate::world::PATIENCE, idle.read_to_end(&mut rest)).await.expect("it is closed");
    assert!(rest.is_empty());
    // The listener is dropped before the connections end.
    assert!(world.connect().await.is_err());
}
