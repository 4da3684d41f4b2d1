//! The wire of the authority, as `az` and MSAL speak it.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use pillion_identity::{Caller, PrincipalKind};
use serde_json::{Value, json};

use super::world::{Answer, World};

const DEVICE: &str = "urn:ietf:params:oauth:grant-type:device_code";

fn refused(answer: &Answer, status: u16, error: &str, code: u32) {
    assert_eq!(
        (answer.status, &answer.body["error"], &answer.body["error_codes"]),
        (status, &json!(error), &json!([code])),
        "{answer:?}"
    );
    let description = answer.body["error_description"].as_str().expect("a description");
    assert!(description.starts_with(&format!("AADSTS{code}: ")), "{description}");
}

fn text<'a>(answer: &'a Answer, field: &str) -> &'a str {
    answer.body[field].as_str().unwrap_or_else(|| panic!("no {field} in {answer:?}"))
}

fn claims(token: &str) -> Value {
    let parts: Vec<&str> = token.split('.').collect();
    assert_eq!(parts.len(), 3, "{token}");
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(parts[1]).expect("base64")).expect("claims")
}

#[tokio::test]
async fn the_cloud_tells_of_itself_in_both_shapes_and_however_many_slashes_there_are() {
    let world = World::new().await;
    let url = world.url();
    let object = world.get("//metadata/endpoints?api-version=2022-09-01", None).await;
    assert_eq!(object.status, 200, "{object:?}");
    assert_eq!(object.body["authentication"]["loginEndpoint"], format!("{url}/adfs"));
    assert_eq!(object.body["authentication"]["audiences"], json!([url]));
    assert_eq!(object.body["resourceManager"], format!("{url}/"));
    assert_eq!(object.body["appServiceResourceId"], format!("{url}/appservice"));
    assert!(object.body["suffixes"].is_object());
    let array = world.get("/metadata/endpoints?api-version=2019-05-01", None).await;
    assert_eq!(array.body, json!([object.body]));
}

#[tokio::test]
async fn discovery_names_the_endpoints_in_both_styles() {
    let world = World::new().await;
    let url = world.url();
    let adfs = world.get("/adfs/.well-known/openid-configuration", None).await.body;
    assert_eq!(adfs["token_endpoint"], format!("{url}/adfs/oauth2/token"));
    assert_eq!(adfs["device_authorization_endpoint"], format!("{url}/adfs/oauth2/devicecode"));
    assert!(adfs["authorization_endpoint"].is_string() && adfs["issuer"].is_string());
    let named = world.get("/adfs/anything/v2.0/.well-known/openid-configuration", None).await.body;
    let issuer = named["issuer"].as_str().unwrap();
    assert_eq!(issuer.split('/').nth(3), Some(world.identity.tenant()), "az reads the tenant there");
    assert_eq!(world.get("/common/v2.0/.well-known/openid-configuration", None).await.status, 200);
}

#[tokio::test]
async fn a_service_principal_gets_a_token_for_each_audience_and_no_other() {
    let world = World::new().await;
    let made = world.principal("deploy", PrincipalKind::Service, None).await;
    let (id, secret) = (made.principal.id, made.secret.unwrap());
    let ask = async |scope: &str, secret: &str| {
        let fields = [
            ("grant_type", "client_credentials"),
            ("client_id", &id),
            ("client_secret", secret),
            ("scope", scope),
            ("client_info", "1"),
            ("claims", r#"{"access_token":{"xms_cc":{"values":["CP1"]}}}"#),
        ];
        world.token(&fields).await
    };
    let answer = ask(&format!("{}/.default", world.url()), &secret).await;
    assert_eq!((answer.status, text(&answer, "token_type")), (200, "Bearer"), "{answer:?}");
    assert_eq!(answer.body["expires_in"], 3600);
    assert_eq!(answer.header("cache-control"), "no-store");
    assert!(answer.body["refresh_token"].is_null(), "a program logs in again");
    assert_eq!(world.get("/subscriptions", Some(text(&answer, "access_token"))).await.body, "deploy");

    let scm = ask(&format!("{}/appservice/.default", world.url()), &secret).await;
    let wrong = world.get("/subscriptions", Some(text(&scm, "access_token"))).await;
    assert_eq!((wrong.status, &wrong.body["error"]["code"]), (401, &json!("InvalidAuthenticationTokenAudience")));

    refused(&ask("https://management.azure.com/.default", "wrong").await, 401, "invalid_client", 7_000_215);
    refused(&ask("https://vault.azure.net/.default", &secret).await, 400, "invalid_resource", 500_011);
}

#[tokio::test]
async fn a_user_gets_an_account_and_renews_it() {
    let world = World::new().await;
    let made = world.principal("alice", PrincipalKind::User, Some("a long password")).await;
    let scope = format!("{}/.default offline_access openid profile", world.url());
    let client = "04b07795-8ddb-461a-bbee-02f9e1bf7b46";
    let ask = async |password: &str| {
        let fields =
            [("grant_type", "password"), ("username", "alice"), ("password", password), ("scope", &scope), ("client_id", client)];
        world.token(&fields).await
    };
    refused(&ask("not her password").await, 400, "invalid_grant", 50_126);
    let answer = ask("a long password").await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let id = claims(text(&answer, "id_token"));
    assert_eq!(
        (&id["preferred_username"], &id["aud"], &id["tid"]),
        (&json!("alice"), &json!(client), &json!(world.identity.tenant()))
    );
    for claim in ["oid", "sub"] {
        assert_eq!(id[claim], made.principal.id);
    }
    let info: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text(&answer, "client_info")).unwrap()).unwrap();
    assert_eq!(info, json!({ "uid": made.principal.id, "utid": world.identity.tenant() }));

    let refresh = text(&answer, "refresh_token");
    let renew = async || world.token(&[("grant_type", "refresh_token"), ("refresh_token", refresh), ("scope", &scope)]).await;
    let renewed = renew().await;
    assert_eq!(world.get("/x", Some(text(&renewed, "access_token"))).await.body, "alice");
    world.identity.revoke(&Caller::machine(), "alice").await.unwrap();
    refused(&renew().await, 400, "invalid_grant", 700_082);
    assert_eq!(world.get("/x", Some(text(&renewed, "access_token"))).await.status, 401, "at once");
}

#[tokio::test]
async fn a_device_login_waits_for_approval() {
    let world = World::new().await;
    world.principal("alice", PrincipalKind::User, Some("a long password")).await;
    let begun = world.form("/adfs/oauth2/devicecode", &[("client_id", "c"), ("scope", "openid")]).await;
    assert_eq!(begun.status, 200, "{begun:?}");
    assert!(text(&begun, "message").contains(text(&begun, "user_code")));
    assert!(text(&begun, "verification_uri").starts_with(&world.url()) && begun.body["interval"].is_u64());
    let code = text(&begun, "device_code").to_owned();
    let ask = async || world.token(&[("grant_type", DEVICE), ("device_code", &code), ("code", &code), ("client_id", "c")]).await;
    refused(&ask().await, 400, "authorization_pending", 70_016);
    refused(&ask().await, 400, "slow_down", 70_016);
    world.identity.approve(&Caller::machine(), text(&begun, "user_code"), "alice").await.unwrap();
    let answer = ask().await;
    assert_eq!(world.get("/x", Some(text(&answer, "access_token"))).await.body, "alice");
    refused(&ask().await, 400, "expired_token", 70_020);
}

#[tokio::test]
async fn a_broken_request_is_told_what_is_wrong_and_a_guesser_to_wait() {
    let world = World::new().await;
    refused(&world.token(&[]).await, 400, "invalid_request", 900_144);
    refused(&world.token(&[("grant_type", "password"), ("username", "x")]).await, 400, "invalid_request", 900_144);
    refused(&world.token(&[("grant_type", "magic")]).await, 400, "unsupported_grant_type", 70_003);
    let large = world.token(&[("grant_type", &"x".repeat(70_000))]).await;
    assert!((400..500).contains(&large.status), "{large:?}");
    let guess =
        async || world.token(&[("grant_type", "client_credentials"), ("client_id", "deploy"), ("client_secret", "guess")]).await;
    for _ in 0..6 {
        refused(&guess().await, 401, "invalid_client", 7_000_215);
    }
    let slowed = guess().await;
    refused(&slowed, 429, "temporarily_unavailable", 90_055);
    assert_eq!(slowed.header("retry-after"), "1");
    assert_eq!(world.get("/adfs/oauth2/nothing", None).await.status, 404);
    assert_eq!(world.get("/adfs/oauth2/token", None).await.status, 405);
}
