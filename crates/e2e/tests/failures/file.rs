//! App files that are refused as they stand: place, cause and fix, before anything is changed.

use crate::stage::{Stage, swap};

const WEB: [&str; 2] = ["port: 8080", "command: [serve, '8080']"];

#[test]
fn an_unknown_key() {
    let stage = Stage::new();
    let broken = stage.app(&["prot: 8080", "command: [serve, '8080']"]);
    let told = stage.refused("Unknown key", "web", &broken);
    stage.heals(&swap(&broken, "prot", told.printed(0)));
}

#[test]
fn a_value_of_the_wrong_type() {
    let stage = Stage::new();
    let broken = stage.app(&["port: eighty", "command: [serve, '8080']"]);
    let told = stage.refused("Wrong type", "web", &broken);
    assert!(told.head.contains("a port from 1 to 65535"), "{}", told.head);
    stage.heals(&swap(&broken, "eighty", "8080"));
}

#[test]
fn two_main_containers() {
    let stage = Stage::new();
    let broken = format!("{}{}", stage.app(&WEB), stage.sidecar("api", &["main: true", "command: [sleep]"]));
    stage.refused("Two mains", "web", &broken);
    stage.heals(&swap(&broken, "    main: true\n    command: [sleep]", "    command: [sleep]"));
}

#[test]
fn no_main_container() {
    let stage = Stage::new();
    let broken = swap(&stage.app(&WEB), "    main: true\n", "");
    let told = stage.refused("No main", "containers", &broken);
    stage.heals(&swap(&broken, "  web:\n", &format!("  web:\n    {}\n", told.printed(0))));
}

#[test]
fn ten_sidecars() {
    let stage = Stage::new();
    let sidecar = |n: u32| stage.sidecar(&format!("side{n}"), &["command: [sleep]"]);
    let nine: String = (1..=9).map(sidecar).collect();
    let broken = format!("{}{nine}{}", stage.app(&WEB), sidecar(10));
    let told = stage.refused("Ten sidecars", "sidecars", &broken);
    assert!(told.hint.contains("take some out"), "{}", told.head);
    stage.heals(&swap(&broken, &sidecar(10), ""));
}

#[test]
fn a_setting_that_does_not_exist() {
    let stage = Stage::new();
    let broken = stage.app(&["port: 8080", "command: [serve, '8080']", "env: { DB_URL: { fromSetting: DB_URL } }"]);
    let told = stage.refused("Setting missing", "web", &broken);
    assert_eq!(told.printed(0), "settings:");
    stage.heals(&format!("{broken}settings: {{ DB_URL: 'postgres://db' }}\n"));
}

#[test]
fn a_volume_that_does_not_exist() {
    let stage = Stage::new();
    let app = stage.app(&["port: 8080", "command: [serve, '8080']", "volumes: [{ volume: dta, path: /data }]"]);
    let broken = format!("{app}volumes: {{ data: {{}} }}\n");
    let told = stage.refused("Volume unknown", "web", &broken);
    stage.heals(&swap(&broken, "volume: dta", &format!("volume: {}", told.printed(0))));
}

#[test]
fn a_container_without_an_image() {
    let stage = Stage::new();
    let whole = stage.app(&WEB);
    let line = format!("    image: {}\n", stage.image);
    let told = stage.refused("Image missing", "web", &swap(&whole, &line, ""));
    assert!(told.head.contains("`image`"), "{}", told.head);
    stage.heals(&whole);
}
