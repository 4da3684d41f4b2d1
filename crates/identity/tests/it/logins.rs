//! Logging in: secrets, passwords, codes, refresh tokens, publishing credentials, and the brake on guessing.

use std::{
    future::Future,
    task::Poll,
    time::{Duration, Instant},
};

use pillion_identity::{
    Audience, AuthError, Caller, Grant, LoginError, NewPrincipal, PrincipalError, PrincipalKind, Role, Scope,
};

use crate::world::{HOUR_MS, World};

#[tokio::test]
async fn a_service_principal_logs_in_with_its_secret_and_nothing_else() {
    let world = World::new().await;
    let made = world.service("deploy").await;
    let secret = made.secret.unwrap();
    for who in [made.principal.id.as_str(), "deploy", "DEPLOY"] {
        assert_eq!(world.identity.log_in_service(who, &secret, "a").await.unwrap().id, made.principal.id);
    }
    assert!(matches!(world.identity.log_in_service("deploy", "wrong", "a").await, Err(LoginError::Client)));
    assert!(matches!(world.identity.log_in_service("nobody", &secret, "a").await, Err(LoginError::Client)));
    assert!(matches!(world.identity.log_in_user("deploy", &secret, "a").await, Err(LoginError::User)), "it is no user");
    let stored = std::fs::read(world.directory.path().join("state.db")).unwrap();
    let wal = std::fs::read(world.directory.path().join("state.db-wal")).unwrap_or_default();
    let holds = |bytes: &[u8]| bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
    assert!(!holds(&stored) && !holds(&wal), "the secret is nowhere on the disk");
}

#[tokio::test]
async fn a_user_logs_in_with_a_password_before_and_after_a_restart() {
    let world = World::new().await;
    let made = world.user("alice@here", "correct horse battery").await;
    assert_eq!(made.secret, None);
    let world = world.restarted().await;
    assert_eq!(world.identity.log_in_user("Alice@here", "correct horse battery", "a").await.unwrap().id, made.principal.id);
    assert!(matches!(world.identity.log_in_user("alice@here", "correct horse", "a").await, Err(LoginError::User)));
}

#[tokio::test]
async fn who_fails_too_often_waits_even_with_the_right_secret() {
    let world = World::new().await;
    let made = world.service("deploy").await;
    let secret = made.secret.unwrap();
    for _ in 0..6 {
        assert!(matches!(world.identity.log_in_service("deploy", "wrong", "a").await, Err(LoginError::Client)));
    }
    let refused = world.identity.log_in_service("deploy", &secret, "a").await;
    assert!(matches!(refused, Err(LoginError::Throttled { seconds: 1 })), "{refused:?}");
    assert!(world.identity.log_in_service("deploy", &secret, "b").await.is_ok(), "elsewhere nobody failed");
    world.wait(1000);
    assert!(world.identity.log_in_service("deploy", &secret, "a").await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn guessing_passwords_all_at_once_is_braked_as_one_after_the_other_is() {
    let world = World::new().await;
    world.user("alice", "correct horse battery").await;
    let guesses = (0..40).map(|n| {
        let identity = world.identity.clone();
        tokio::spawn(async move { identity.log_in_user("alice", &format!("guess {n}"), "a").await })
    });
    let guesses: Vec<_> = guesses.collect();
    let mut judged = 0;
    for guess in guesses {
        match guess.await.unwrap() {
            Err(LoginError::User) => judged += 1,
            Err(LoginError::Throttled { .. }) => {}
            other => panic!("{other:?}"),
        }
    }
    assert!((6..=8).contains(&judged), "{judged} guesses were compared with the password");
}

#[tokio::test]
async fn a_guess_whose_sender_hangs_up_is_counted() {
    let world = World::new().await;
    world.user("alice", "correct horse battery").await;
    for _ in 0..8 {
        let mut guess = Box::pin(world.identity.log_in_user("alice", "guess", "a"));
        std::future::poll_fn(|cx| Poll::Ready(guess.as_mut().poll(cx).is_pending())).await;
        drop(guess);
        // Takes its turn among the hashes, so that those of the guesses end meanwhile.
        assert!(world.identity.log_in_user("alice", "correct horse battery", "b").await.is_ok());
    }
    let refused = world.identity.log_in_user("alice", "correct horse battery", "a").await;
    assert!(matches!(refused, Err(LoginError::Throttled { .. })), "{refused:?}");
}

#[tokio::test]
async fn who_is_revoked_by_somebody_that_hangs_up_is_out_in_memory_too() {
    let world = World::new().await;
    let made = world.user("alice", "a long password").await;
    let token = world.identity.issue(&made.principal, Audience::Arm).unwrap().token;
    let machine = Caller::machine();
    let mut revoking = Box::pin(world.identity.revoke(&machine, "alice"));
    // One look begins it; then its asker is gone.
    assert!(std::future::poll_fn(|cx| Poll::Ready(revoking.as_mut().poll(cx).is_pending())).await);
    drop(revoking);
    let deadline = Instant::now() + Duration::from_secs(10);
    while world.identity.authenticate(&token, Audience::Arm).is_ok() {
        assert!(Instant::now() < deadline, "the principal is still let in");
        tokio::task::yield_now().await;
    }
    assert!(matches!(world.identity.revoke(&machine, "alice").await, Err(PrincipalError::Revoked(_))));
}

#[tokio::test]
async fn a_device_login_is_approved_at_the_machine() {
    let world = World::new().await;
    let made = world.user("alice", "a long password").await;
    let code = world.identity.begin_device_login();
    assert!(matches!(world.identity.ask_device_login(&code.device_code, "a").await, Err(LoginError::Pending)));
    let machine = Caller::machine();
    let unknown = world.identity.approve(&machine, &code.user_code, "nobody").await;
    assert!(matches!(unknown, Err(PrincipalError::Unknown(_))));
    let wrong = world.identity.approve(&machine, "ZZZZ-ZZZZ", "alice").await;
    assert!(matches!(wrong, Err(PrincipalError::Code(_))));
    world.identity.approve(&machine, &code.user_code, "alice").await.unwrap();
    assert_eq!(world.identity.ask_device_login(&code.device_code, "a").await.unwrap().id, made.principal.id);
    assert!(matches!(world.identity.ask_device_login(&code.device_code, "a").await, Err(LoginError::DeviceCode)));
}

#[tokio::test]
async fn a_login_is_renewed_until_it_idles_or_its_principal_is_revoked() {
    let world = World::new().await;
    let made = world.user("alice", "a long password").await;
    let token = world.identity.begin_session(&made.principal).await.unwrap();
    let world = world.restarted().await;
    assert_eq!(world.identity.refresh(&token).await.unwrap().id, made.principal.id);
    world.wait(80 * 24 * HOUR_MS);
    assert!(world.identity.refresh(&token).await.is_ok());
    world.wait(80 * 24 * HOUR_MS);
    assert!(world.identity.refresh(&token).await.is_ok(), "each use counts");
    assert!(matches!(world.identity.refresh("guess").await, Err(LoginError::Refresh)));
    world.identity.revoke(&Caller::machine(), "alice").await.unwrap();
    assert!(matches!(world.identity.refresh(&token).await, Err(LoginError::Refresh)));
    let again = world.user("bob", "a long password").await;
    let token = world.identity.begin_session(&again.principal).await.unwrap();
    world.wait(91 * 24 * HOUR_MS);
    assert!(matches!(world.identity.refresh(&token).await, Err(LoginError::Refresh)));
}

#[tokio::test]
async fn every_login_and_change_is_in_the_audit_log_without_secrets() {
    let world = World::new().await;
    let made = world.service("deploy").await;
    let secret = made.secret.unwrap();
    world.identity.log_in_service("deploy", &secret, "192.0.2.1").await.unwrap();
    let _ = world.identity.log_in_service("mallory", "guess", "192.0.2.2").await;
    world.identity.revoke(&Caller::machine(), "deploy").await.unwrap();
    let records = world.identity.audit("", 0, None, 100).await.unwrap();
    let told: Vec<_> = records.iter().map(|r| (r.entry.action.as_str(), r.entry.caller.as_str(), r.entry.status)).collect();
    assert_eq!(
        told,
        [
            ("principals/revoke", "local administrator", 200),
            ("login", "mallory", 401),
            ("login", "deploy", 200),
            ("principals/create", "local administrator", 200),
        ]
    );
    assert!(!format!("{records:?}").contains(&secret));
    assert!(records[1].entry.detail.contains("192.0.2.2"));
}

#[tokio::test]
async fn a_name_a_password_and_a_kind_have_rules() {
    let world = World::new().await;
    let create = |name: &str, kind, password: Option<&str>| {
        let grants = vec![Grant { role: Role::Reader, scope: Scope::root() }];
        let new = NewPrincipal { name: name.to_owned(), kind, password: password.map(str::to_owned), grants };
        let identity = world.identity.clone();
        async move { identity.create(&Caller::machine(), new).await }
    };
    for name in ["", "a b", "-x", "x.", "ä", &"x".repeat(65)] {
        assert!(matches!(create(name, PrincipalKind::Service, None).await, Err(PrincipalError::Name(_))), "{name}");
    }
    assert!(matches!(create("a", PrincipalKind::User, Some("short")).await, Err(PrincipalError::Password)));
    let service = create("a", PrincipalKind::Service, Some("a long password")).await;
    assert!(matches!(service, Err(PrincipalError::ServicePassword)));
    assert!(create("a", PrincipalKind::User, None).await.unwrap().secret.is_some(), "the server makes one up");
    assert!(matches!(create("A", PrincipalKind::Service, None).await, Err(PrincipalError::Taken(_))));
}

#[tokio::test]
async fn publishing_credentials_belong_to_one_site_and_one_epoch() {
    let world = World::new().await;
    let shop = world.identity.publishing("Shop", "1");
    assert_eq!(shop.user, "$shop");
    assert_ne!(shop.password, world.identity.publishing("shop", "2").password);
    assert_ne!(shop.password, world.identity.publishing("shop__staging", "1").password);
    let check = |user: &str, password: &str| world.identity.check_publishing("shop", "1", (user, password), "a");
    let itself = Ok("$shop".to_owned());
    for spelling in ["$shop", "Shop\\$SHOP", "alice\n\u{1b}]0;x\\$shop"] {
        assert_eq!(check(spelling, &shop.password), itself, "what was written before the name is no part of it");
    }
    for _ in 0..6 {
        assert_eq!(check("$shop", "guess"), Err(AuthError::Credentials));
    }
    assert_eq!(check("$shop", &shop.password), Err(AuthError::Throttled { seconds: 1 }));
    let world = world.restarted().await;
    assert_eq!(world.identity.publishing("shop", "1"), shop);
}
