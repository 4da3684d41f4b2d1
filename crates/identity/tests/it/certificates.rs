//! The machine's own certificates, judged by strict verifiers.

use std::{os::unix::fs::PermissionsExt, process::Command, sync::Arc};

use pillion_identity::Leaf;
use rustls::{
    RootCertStore,
    client::{WebPkiServerVerifier, danger::ServerCertVerifier},
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject},
};

use crate::world::{HOUR_MS, World};

const DAY_MS: u64 = 24 * HOUR_MS;

fn names() -> Vec<String> {
    ["127.0.0.1", "localhost"].map(str::to_owned).to_vec()
}

fn leaf(world: &World) -> Leaf {
    world.identity.certificates().leaf(&names(), world.identity.now_ms()).expect("a certificate")
}

fn authority(world: &World) -> String {
    world.identity.certificates().authority(world.identity.now_ms()).expect("an authority")
}

/// Asks rustls whether a client that trusts `ca` accepts the chain for `name` at the world's time.
fn trusted(world: &World, ca: &str, leaf: &Leaf, name: &str) -> bool {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(ca.as_bytes()).expect("PEM")).expect("a root");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build().expect("a verifier");
    let chain: Vec<_> = CertificateDer::pem_slice_iter(leaf.chain.as_bytes()).map(|one| one.expect("PEM")).collect();
    let now = UnixTime::since_unix_epoch(std::time::Duration::from_millis(world.identity.now_ms()));
    let name = ServerName::try_from(name.to_owned()).expect("a name");
    verifier.verify_server_cert(&chain[0], &chain[1..], &name, &[], now).is_ok()
}

#[tokio::test]
async fn a_chain_satisfies_openssl_at_its_strictest_and_rustls() {
    let world = World::new().await;
    let (leaf, ca) = (leaf(&world), authority(&world));
    for name in ["127.0.0.1", "localhost"] {
        assert!(trusted(&world, &ca, &leaf, name), "{name}");
    }
    assert!(!trusted(&world, &ca, &leaf, "example.com"));
    let dir = world.directory.path();
    std::fs::write(dir.join("leaf"), &leaf.chain).unwrap();
    std::fs::write(dir.join("ca"), &ca).unwrap();
    let at = (world.identity.now_ms() / 1000).to_string();
    let ran = Command::new("openssl")
        .args(["verify", "-x509_strict", "-purpose", "sslserver", "-verify_ip", "127.0.0.1", "-verify_hostname", "localhost"])
        .args(["-attime", &at, "-CAfile"])
        .args([dir.join("ca"), dir.join("leaf")])
        .output()
        .expect("openssl runs");
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
}

#[tokio::test]
async fn keys_are_closed_to_others_and_a_key_that_is_open_is_not_used() {
    let world = World::new().await;
    leaf(&world);
    for file in ["ca.pem", "ca-key.pem", "tls.pem", "tls-key.pem"] {
        let mode = std::fs::metadata(world.keys().join(file)).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o600, "{file}");
    }
    let key = world.keys().join("ca-key.pem");
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
    let refused = world.identity.certificates().authority(world.identity.now_ms()).unwrap_err().to_string();
    assert!(refused.contains("ca-key.pem") && refused.contains("chmod 600"), "{refused}");
}

#[tokio::test]
async fn a_certificate_is_kept_until_it_ends_soon_and_then_renewed_under_the_same_authority() {
    let world = World::new().await;
    let (first, ca) = (leaf(&world), authority(&world));
    assert!(leaf(&world) == first, "nothing to do");
    let world = world.restarted().await;
    assert!(leaf(&world) == first, "it outlives a restart");
    world.wait(366 * DAY_MS);
    assert!(leaf(&world) == first);
    world.wait(2 * DAY_MS);
    let second = leaf(&world);
    assert!(second != first, "a month before its end");
    assert_eq!(authority(&world), ca);
    assert!(trusted(&world, &ca, &second, "localhost") && trusted(&world, &ca, &first, "localhost"));
}

#[tokio::test]
async fn an_authority_made_anew_still_vouches_for_what_it_signed_before() {
    let world = World::new().await;
    let old = authority(&world);
    world.wait(8 * 365 * DAY_MS);
    let served = leaf(&world);
    assert_eq!(authority(&world), old);
    world.wait(380 * DAY_MS);
    // A year before its end there is a new one; both lead to the same key.
    world.wait(10 * DAY_MS);
    let new = authority(&world);
    assert_ne!(new, old);
    let renewed = leaf(&world);
    assert!(renewed != served);
    for ca in [&old, &new] {
        assert!(trusted(&world, ca, &renewed, "127.0.0.1"));
    }
}

#[tokio::test]
async fn other_names_and_a_key_that_does_not_fit_lead_to_a_new_certificate() {
    let world = World::new().await;
    let first = leaf(&world);
    let mut more = names();
    more.push("build.example".to_owned());
    let named = world.identity.certificates().leaf(&more, world.identity.now_ms()).unwrap();
    assert!(named != first && trusted(&world, &authority(&world), &named, "build.example"));
    // What a crash between the two files leaves.
    std::fs::write(world.keys().join("tls-key.pem"), &first.key).unwrap();
    let mended = world.identity.certificates().leaf(&more, world.identity.now_ms()).unwrap();
    assert!(mended.chain != named.chain && trusted(&world, &authority(&world), &mended, "build.example"));
    assert!(world.identity.certificates().leaf(&["a b".to_owned(), "ä".to_owned()], world.identity.now_ms()).is_err());
}
