//! Access tokens: for whom, for how long, signed with which key.

use pillion_identity::{Audience, AuthError, Caller};

use crate::world::{HOUR_MS, World};

#[tokio::test]
async fn a_token_proves_its_principal_to_its_audience_for_an_hour() {
    let world = World::new().await;
    let made = world.service("deploy").await;
    let token = world.identity.issue(&made.principal, Audience::Arm).unwrap();
    assert_eq!(token.expires_in, 3600);
    let caller = world.identity.authenticate(&token.token, Audience::Arm).unwrap();
    assert_eq!((caller.principal.as_str(), caller.display_name.as_str()), (made.principal.id.as_str(), "deploy"));
    assert_eq!(world.identity.authenticate(&token.token, Audience::Scm), Err(AuthError::Audience));
    world.wait(HOUR_MS - 1000);
    assert!(world.identity.authenticate(&token.token, Audience::Arm).is_ok());
    world.wait(1000);
    assert_eq!(world.identity.authenticate(&token.token, Audience::Arm), Err(AuthError::Expired));
}

#[tokio::test]
async fn a_token_of_another_server_is_worth_nothing() {
    let (world, other) = (World::new().await, World::new().await);
    let made = other.service("deploy").await;
    let token = other.identity.issue(&made.principal, Audience::Arm).unwrap();
    assert_eq!(world.identity.authenticate(&token.token, Audience::Arm), Err(AuthError::Invalid));
    assert_eq!(world.identity.authenticate("opaque", Audience::Arm), Err(AuthError::Invalid));
}

#[tokio::test]
async fn an_id_token_is_not_taken_for_an_access_token() {
    let world = World::new().await;
    let made = world.user("alice", "a long password").await;
    let token = world.identity.issue_id(&made.principal, "https://127.0.0.1:8443/adfs", "client").unwrap();
    assert_eq!(world.identity.authenticate(&token, Audience::Arm), Err(AuthError::Invalid));
}

#[tokio::test]
async fn keys_rotate_and_old_tokens_live_out_their_hour() {
    let world = World::new().await;
    let made = world.service("deploy").await;
    let key_of = |token: &str| token.split('.').next().map(str::to_owned);
    let before = world.identity.issue(&made.principal, Audience::Arm).unwrap().token;
    world.identity.maintain().await.unwrap();
    assert_eq!(key_of(&world.identity.issue(&made.principal, Audience::Arm).unwrap().token), key_of(&before), "not due yet");
    world.identity.rotate_token_key().await.unwrap();
    let after = world.identity.issue(&made.principal, Audience::Arm).unwrap().token;
    assert_ne!(key_of(&before), key_of(&after));
    assert!(world.identity.authenticate(&before, Audience::Arm).is_ok(), "its key still verifies");

    let world = world.restarted().await;
    for token in [&before, &after] {
        assert!(world.identity.authenticate(token, Audience::Arm).is_ok(), "keys outlive a restart");
    }
    world.wait(3 * HOUR_MS);
    world.identity.rotate_token_key().await.unwrap();
    assert_eq!(world.identity.authenticate(&before, Audience::Arm), Err(AuthError::Invalid), "its key is gone");
    assert_eq!(world.identity.authenticate(&after, Audience::Arm), Err(AuthError::Expired), "its key is not");
    world.wait(31 * 24 * HOUR_MS);
    let old = key_of(&world.identity.issue(&made.principal, Audience::Arm).unwrap().token);
    world.identity.maintain().await.unwrap();
    assert_ne!(key_of(&world.identity.issue(&made.principal, Audience::Arm).unwrap().token), old, "a month is enough");
}

#[tokio::test]
async fn a_revoked_principal_is_out_at_once_and_stays_out() {
    let world = World::new().await;
    let made = world.service("deploy").await;
    let token = world.identity.issue(&made.principal, Audience::Arm).unwrap().token;
    world.identity.revoke(&Caller::machine(), "deploy").await.unwrap();
    let unknown = Err(AuthError::Unknown(made.principal.id.clone()));
    assert_eq!(world.identity.authenticate(&token, Audience::Arm), unknown);
    let world = world.restarted().await;
    assert_eq!(world.identity.authenticate(&token, Audience::Arm), unknown);
    assert!(world.identity.revoke(&Caller::machine(), "deploy").await.is_err());
    world.service("deploy").await;
    assert_eq!(world.identity.authenticate(&token, Audience::Arm), unknown, "the name is free, the old token stays dead");
}

#[tokio::test]
async fn ids_outlive_a_restart_and_differ_between_servers() {
    let world = World::new().await;
    let other = World::new().await;
    let ids = (world.identity.tenant().to_owned(), world.identity.subscription().to_owned());
    assert_ne!(ids.0, other.identity.tenant());
    let seed = world.identity.seed("ssh");
    let world = world.restarted().await;
    assert_eq!(ids, (world.identity.tenant().to_owned(), world.identity.subscription().to_owned()));
    assert_eq!(seed, world.identity.seed("ssh"));
}
