//! Images that are not what the app file asks for.

use std::{fs, path::PathBuf};

use crate::{
    pushed::{self, Layer},
    stage::{Stage, swap},
};

#[test]
fn an_image_name_that_is_none() {
    let stage = Stage::new();
    let wrong = stage.image.replace("puppet", "Puppet");
    let broken = stage.app_of(&wrong, &["port: 8080", "command: [serve, '8080']"]);
    let told = stage.fails("Image name wrong", "ImageNameInvalid", "web", &broken);
    assert!(told.hint.contains("lower case"), "{}", told.head);
    stage.heals(&swap(&broken, &wrong, &wrong.to_lowercase()));
}

#[test]
fn an_image_that_the_registry_does_not_have() {
    let stage = Stage::new();
    let broken = stage.app_of(&stage.image.replace("puppet", "pupet"), &["port: 8080", "command: [serve, '8080']"]);
    let told = stage.fails("Image not found", "ImageNotFound", "web", &broken);
    assert!(told.hint.contains("correct the name in `image:`"), "{}", told.head);
    stage.heals(&swap(&broken, "pupet", "puppet"));
}

#[test]
fn a_tag_that_the_image_does_not_have() {
    let stage = Stage::new();
    let wrong = format!("{}:2", stage.image.strip_suffix(":1").expect("the puppet's tag is 1"));
    let broken = stage.app_of(&wrong, &["port: 8080", "command: [serve, '8080']"]);
    let told = stage.fails("Image tag wrong", "ImageTagNotFound", "web", &broken);
    let fix = told.printed(0).replace("TAG", "1");
    stage.heals(&swap(&broken, &format!("image: {wrong}"), &fix));
}

#[test]
fn an_image_for_another_platform_only() {
    let stage = Stage::new();
    let arm = pushed::index(&stage.registry, "arm:1", &stage.image, &["arm64"]);
    let broken = stage.app_of(&arm, &["port: 8080", "command: [serve, '8080']"]);
    let told = stage.fails("Image for another platform", "ImagePlatformMissing", "web", &broken);
    assert!(told.hint.contains("linux/amd64"), "{}", told.head);
    let both = pushed::index(&stage.registry, "arm:2", &stage.image, &["arm64", "amd64"]);
    stage.heals(&swap(&broken, &arm, &both));
}

#[test]
fn an_image_that_the_registry_damaged() {
    let stage = Stage::new();
    let blob = largest(&stage.registry.storage());
    let whole = fs::read(&blob).expect("the blob is read");
    let mut damaged = whole.clone();
    damaged.iter_mut().skip(whole.len() / 2).take(64).for_each(|byte| *byte ^= 0xff);
    fs::write(&blob, damaged).expect("the blob is damaged");
    let broken = stage.app(&["port: 8080", "command: [serve, '8080']"]);
    let told = stage.fails("Image damaged", "ImageDigestMismatch", "web", &broken);
    assert!(told.hint.starts_with("apply again"), "{}", told.head);
    fs::write(&blob, whole).expect("the blob is put right");
    stage.heals(&broken);
}

fn largest(dir: &std::path::Path) -> PathBuf {
    let mut open = vec![dir.to_owned()];
    let mut found = (0, PathBuf::new());
    while let Some(dir) = open.pop() {
        for entry in fs::read_dir(dir).expect("the storage is listed").flatten() {
            let data = entry.metadata().expect("an entry");
            if data.is_dir() {
                open.push(entry.path());
            } else if data.len() > found.0 {
                found = (data.len(), entry.path());
            }
        }
    }
    found.1
}

#[test]
fn an_image_with_an_entry_that_leads_out_of_it() {
    let stage = Stage::new();
    let evil = pushed::with_layer(
        &stage.registry,
        "evil:1",
        &stage.image,
        &Layer::File { path: "../../outside", content: b"x", mode: 0o644 },
    );
    let broken = stage.app_of(&evil, &["port: 8080", "command: [serve, '8080']"]);
    let told = stage.fails("Image layer refused", "ImageLayerRefused", "web", &broken);
    assert!(told.hint.contains("without that entry"), "{}", told.head);
    pushed::with_layer(&stage.registry, "evil:1", &stage.image, &Layer::File { path: "inside", content: b"x", mode: 0o644 });
    stage.heals(&broken);
}

#[test]
fn a_thing_in_the_registry_that_is_no_image() {
    let stage = Stage::new();
    let chart = pushed::chart(&stage.registry, "chart:1");
    let broken = stage.app_of(&chart, &["port: 8080", "command: [serve, '8080']"]);
    let told = stage.fails("Not a container image", "ImageUnsupported", "web", &broken);
    assert!(told.hint.contains("OCI or Docker schema 2 image"), "{}", told.head);
    stage.heals(&swap(&broken, &chart, &stage.image));
}

#[test]
fn an_image_without_a_command() {
    let stage = Stage::new();
    let bare = pushed::without_command(&stage.registry, "bare:1", &stage.image);
    let broken = stage.app_of(&bare, &["port: 8080"]);
    let told = stage.fails("No command", "NoCommand", "web", &broken);
    let fix = format!("{} [/bin/puppet, serve, '8080']", told.printed(0));
    stage.heals(&swap(&broken, "port: 8080", &format!("port: 8080\n    {fix}")));
}
