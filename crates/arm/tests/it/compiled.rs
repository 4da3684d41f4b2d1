//! What app a site becomes.

use pillion_arm::{Compiled, SiteProblem, compile};
use pillion_fault::Fault;
use pillion_model::{Check, EnvValue, InstanceFact, Probe};
use serde_json::{Value, json};

use crate::world::{World, id};

fn site(settings: Value, main: Value) -> World {
    let mut world = World::with_site();
    world.put("sites/shop/config/appsettings", json!({ "properties": settings })).expect("settings");
    let mut body = json!({ "image": "registry.example/web:1", "isMain": true, "targetPort": 8080 });
    body.as_object_mut().expect("an object").extend(main.as_object().expect("an object").clone());
    world.container("main", body).expect("a main container");
    world
}

fn app(world: &World) -> Compiled {
    compile(&world.parts("sites/shop")).unwrap_or_else(|problems| panic!("{problems:?}"))
}

fn faults(world: &World) -> Vec<Fault> {
    let problems = compile(&world.parts("sites/shop")).expect_err("it cannot run");
    let fault = |problem| match problem {
        SiteProblem::Fails { fault, .. } => fault,
        SiteProblem::NotYet => panic!("nothing is missing"),
    };
    problems.into_iter().map(fault).collect()
}

fn env(world: &World, variable: &str) -> Option<EnvValue> {
    app(world).app.main().expect("a main").1.env.get(variable).cloned()
}

fn literal(text: &str) -> Option<EnvValue> {
    Some(EnvValue::Literal(text.to_owned()))
}

fn setting(name: &str) -> Option<EnvValue> {
    Some(EnvValue::FromSetting { from_setting: name.to_owned() })
}

fn web(world: &mut World, properties: Value) {
    world.patch("sites/shop/config/web", json!({ "properties": properties })).expect("config/web");
}

#[test]
fn a_site_without_exactly_one_main_waits() {
    let mut world = World::with_site();
    assert_eq!(compile(&world.parts("sites/shop")).expect_err("nothing yet"), [SiteProblem::NotYet]);
    world.container("side", json!({ "image": "redis" })).expect("a sidecar");
    assert_eq!(compile(&world.parts("sites/shop")).expect_err("nothing yet"), [SiteProblem::NotYet]);
}

#[test]
fn settings_come_twice_and_colons_become_underscores() {
    let world = site(
        json!({ "A": "1", "Log:Level": "warn", "PORT": "9", "DOCKER_REGISTRY_SERVER_PASSWORD": "x", "WEBSITES_PORT": "80" }),
        json!({}),
    );
    assert_eq!((env(&world, "A"), env(&world, "APPSETTING_A")), (setting("A"), setting("A")));
    assert_eq!(env(&world, "Log__Level"), setting("Log:Level"));
    assert_eq!(env(&world, "APPSETTING_Log__Level"), setting("Log:Level"));
    assert_eq!(env(&world, "PORT"), setting("PORT"), "the owner's word wins");
    assert_eq!(env(&world, "WEBSITES_PORT"), None);
    assert_eq!(env(&world, "DOCKER_REGISTRY_SERVER_PASSWORD"), None);
}

#[test]
fn connection_strings_have_the_prefix_of_their_type() {
    let mut world = site(json!({ "CUSTOMCONNSTR_taken": "mine" }), json!({}));
    let types = [
        ("SQLServer", "SQLCONNSTR_"),
        ("SQLAzure", "SQLAZURECONNSTR_"),
        ("MySql", "MYSQLCONNSTR_"),
        ("PostgreSQL", "POSTGRESQLCONNSTR_"),
        ("Custom", "CUSTOMCONNSTR_"),
        ("RedisCache", "REDISCACHECONNSTR_"),
        ("DocDb", "DOCDBCONNSTR_"),
        ("ServiceBus", "SERVICEBUSCONNSTR_"),
        ("EventHub", "EVENTHUBCONNSTR_"),
        ("NotificationHub", "NOTIFICATIONHUBCONNSTR_"),
    ];
    let mut all: serde_json::Map<String, Value> =
        types.iter().map(|(kind, _)| (format!("db{kind}"), json!({ "value": "v", "type": kind }))).collect();
    all.insert("taken".into(), json!({ "value": "theirs", "type": "Custom" }));
    world.put("sites/shop/config/connectionstrings", json!({ "properties": all })).expect("strings");
    for (kind, prefix) in types {
        let variable = format!("{prefix}db{kind}");
        assert_eq!(env(&world, &variable), setting(&variable));
    }
    let settings = app(&world).app.settings;
    assert_eq!(json!(settings["CUSTOMCONNSTR_taken"]), json!({ "secret": "mine" }));
}

#[test]
fn the_sites_facts_are_in_every_container() {
    let mut world = site(json!({ "A": "1" }), json!({}));
    world
        .container("side", json!({ "image": "redis", "targetPort": 6379, "inheritAppSettingsAndConnectionStrings": false }))
        .expect("a sidecar");
    let app = app(&world).app;
    for (name, port) in [("main", "8080"), ("side", "6379")] {
        let env = &app.containers[name].env;
        let text = |name: &str| match &env[name] {
            EnvValue::Literal(text) => text.clone(),
            EnvValue::FromSetting { .. } | EnvValue::FromInstance { .. } => panic!("{name} is a literal"),
        };
        assert_eq!(text("WEBSITE_SITE_NAME"), "Shop");
        assert_eq!(text("WEBSITE_SLOT_NAME"), "Production");
        assert_eq!(text("WEBSITE_HOSTNAME"), "shop.localhost:8080");
        assert_eq!(text("WEBSITE_RESOURCE_GROUP"), "rg1");
        assert_eq!(text("WEBSITE_OWNER_NAME"), format!("{}+rg1-localwebspace-Linux", crate::world::SUB));
        assert_eq!((text("REGION_NAME"), text("WEBSITE_SKU")), ("local".into(), "PremiumV3".into()));
        assert_eq!((text("HOME"), text("PORT")), ("/home".into(), port.into()));
        assert_eq!(env["WEBSITE_INSTANCE_ID"], EnvValue::FromInstance { from_instance: InstanceFact::Id });
        assert_eq!(env["WEBSITE_ROLE_INSTANCE_ID"], EnvValue::FromInstance { from_instance: InstanceFact::Index });
    }
    assert!(!app.containers["side"].env.contains_key("A"), "inheritance is switched off");
    assert!(!app.containers["side"].env.contains_key("APPSETTING_A"));
}

#[test]
fn a_variable_names_a_setting_and_one_that_names_none_fails_by_name() {
    let variables =
        json!({ "environmentVariables": [{ "name": "GREETING", "value": "HELLO" }, { "name": "EMPTY", "value": "" }] });
    let good = site(json!({ "hello": "hi" }), variables.clone());
    assert_eq!((env(&good, "GREETING"), env(&good, "EMPTY")), (setting("hello"), literal("")));
    let bad = site(json!({}), variables.clone());
    assert_eq!(faults(&bad), [Fault::SettingMissing { variable: "GREETING".into(), setting: "HELLO".into() }]);
    let literals = site(json!({ "PILLION_ENV_LITERALS": "1" }), variables);
    assert_eq!((env(&literals, "GREETING"), env(&literals, "PILLION_ENV_LITERALS")), (literal("HELLO"), None));
}

fn probe(world: &World) -> (Probe, Option<Probe>) {
    let app = app(world).app;
    let main = app.main().expect("a main").1;
    (main.startup.clone().expect("a start-up ping"), main.probe.clone())
}

fn http(probe: &Probe) -> (&str, &str) {
    match &probe.check {
        Check::Http(http) => (http.path.as_str(), http.statuses.as_deref().unwrap_or_default()),
        Check::Tcp(_) | Check::Exec(_) | Check::None(_) => panic!("the ping is HTTP"),
    }
}

#[test]
fn the_start_ping_takes_any_answer_unless_it_is_told_otherwise() {
    let (startup, readiness) = probe(&site(json!({}), json!({})));
    assert_eq!((http(&startup), startup.within, readiness), (("/robots933456.txt", "any"), Some(230.0), None));
    let told = site(
        json!({ "WEBSITE_WARMUP_PATH": "up", "WEBSITE_WARMUP_STATUSES": "200, 202", "WEBSITES_CONTAINER_START_TIME_LIMIT": "600" }),
        json!({}),
    );
    let (startup, _) = probe(&told);
    assert_eq!((http(&startup), startup.within), (("/up", "200,202"), Some(600.0)));
    assert_eq!(app(&told).app.ready_within, 600);
    for (name, value) in [
        ("WEBSITE_WARMUP_STATUSES", "good"),
        ("WEBSITE_WARMUP_PATH", "/a b"),
        ("WEBSITES_CONTAINER_START_TIME_LIMIT", "long"),
        ("WEBSITES_CONTAINER_STOP_TIME_LIMIT", "-1"),
    ] {
        let refused = faults(&site(json!({ name: value }), json!({})));
        assert!(matches!(refused.as_slice(), [Fault::SettingRefused { setting, .. }] if setting == name), "{refused:?}");
    }
}

#[test]
fn times_outside_their_range_are_the_nearest_inside() {
    for (given, wanted) in [("1", 10), ("9999", 1800), ("45", 45)] {
        assert_eq!(app(&site(json!({ "WEBSITES_CONTAINER_START_TIME_LIMIT": given }), json!({}))).app.ready_within, wanted);
    }
    for (given, wanted) in [(json!({}), 5.0), (json!({ "WEBSITES_CONTAINER_STOP_TIME_LIMIT": "500" }), 120.0)] {
        assert_eq!(app(&site(given, json!({}))).app.containers["main"].stop.grace, Some(wanted));
    }
}

#[test]
fn the_health_check_asks_each_minute_and_never_takes_the_last_instance() {
    let mut world = site(
        json!({ "WEBSITE_HEALTHCHECK_MAXPINGFAILURES": "1", "WEBSITE_HEALTHCHECK_MAXUNHEALTHYWORKERPERCENT": "100" }),
        json!({}),
    );
    assert_eq!(app(&world).app.unhealthy_limit, 100, "there is no check");
    web(&mut world, json!({ "healthCheckPath": "/healthz" }));
    let check = probe(&world).1.expect("a health check");
    assert_eq!(http(&check), ("/healthz", "200-299"));
    assert_eq!((check.interval, check.timeout, check.failures), (Some(60.0), Some(60.0), Some(2)));
    assert_eq!(app(&world).app.unhealthy_limit, 99);
    world.put("sites/shop/config/appsettings", json!({ "properties": {} })).expect("settings");
    assert_eq!((probe(&world).1.expect("a check").failures, app(&world).app.unhealthy_limit), (Some(10), 50));
}

#[test]
fn home_is_kept_for_all_unless_it_is_switched_off() {
    let mounts = |world: &World| json!(app(world).app.containers["main"].volumes);
    let mut world = site(json!({}), json!({}));
    assert_eq!(mounts(&world), json!([{ "volume": "home", "path": "/home", "readOnly": false }]));
    assert!(app(&world).app.volumes["home"].persistent);
    world
        .put("sites/shop/config/appsettings", json!({ "properties": { "WEBSITES_ENABLE_APP_SERVICE_STORAGE": "FALSE" } }))
        .expect("settings");
    assert_eq!(mounts(&world), json!([{ "volume": "home", "path": "/home/LogFiles", "subPath": "LogFiles", "readOnly": false }]));
    let own = site(json!({}), json!({ "volumeMounts": [{ "volumeSubPath": "/h", "containerMountPath": "/home" }] }));
    assert_eq!(mounts(&own), json!([{ "volume": "shared", "path": "/home", "subPath": "h", "readOnly": false }]));
}

#[test]
fn sub_paths_are_directories_of_one_volume_and_data_is_a_file() {
    let mount = |sub: &str, path: &str, read_only: bool| json!({ "volumeMounts": [{ "volumeSubPath": sub, "containerMountPath": path, "readOnly": read_only }] });
    let mut world = site(json!({}), mount("/directory1/directory2", "/container1Vol", false));
    for (name, sub, path, read_only) in [
        ("c2", "/directory1/directory2", "/container2Vol", true),
        ("c3", "/directory1/directory2/directory3", "/container3Vol", false),
        ("c4", "/directory4", "/container1Vol", false),
    ] {
        let mut body = mount(sub, path, read_only);
        body["image"] = json!("x");
        world.container(name, body).expect("a sidecar");
    }
    let app = app(&world).app;
    let seen = |name: &str| {
        let mount = &app.containers[name].volumes[1];
        (mount.volume.to_string(), mount.sub_path.clone().unwrap_or_default(), mount.path.clone(), mount.read_only)
    };
    let shared = |sub: &str, path: &str, read_only| ("shared".to_owned(), sub.to_owned(), path.to_owned(), read_only);
    assert_eq!(seen("main"), shared("directory1/directory2", "/container1Vol", false));
    assert_eq!(seen("c2"), shared("directory1/directory2", "/container2Vol", true));
    assert_eq!(seen("c3"), shared("directory1/directory2/directory3", "/container3Vol", false));
    assert_eq!(seen("c4"), shared("directory4", "/container1Vol", false));
    assert!(!app.volumes["shared"].persistent);
    let file = site(
        json!({}),
        json!({ "volumeMounts": [{ "volumeSubPath": "/c", "containerMountPath": "/etc/otel.yaml", "data": "a: 1" }] }),
    );
    let files = &self::app(&file).app.containers["main"].files;
    assert_eq!(json!(files), json!([{ "path": "/etc/otel.yaml", "content": "a: 1" }]));
}

#[test]
fn docker_mode_runs_one_main_and_ignores_site_containers() {
    let settings = json!({ "WEBSITES_PORT": "3000", "DOCKER_REGISTRY_SERVER_URL": "https://registry.example/v2",
        "DOCKER_REGISTRY_SERVER_USERNAME": "ada", "DOCKER_REGISTRY_SERVER_PASSWORD": "s3cret" });
    let mut world = site(settings, json!({}));
    web(&mut world, json!({ "linuxFxVersion": "docker|registry.example/shop:2", "appCommandLine": "serve --name 'a b'" }));
    let compiled = app(&world);
    assert_eq!(compiled.app.containers.len(), 1);
    let main = &compiled.app.containers["main"];
    assert_eq!((main.image.as_str(), main.port, main.main), ("registry.example/shop:2", Some(3000), true));
    assert_eq!(main.command.as_deref(), Some(&["serve".to_owned(), "--name".into(), "a b".into()][..]));
    assert_eq!(compiled.credentials["registry.example"].username, "ada");
    web(&mut world, json!({ "linuxFxVersion": "DOCKER|other.example/shop:2" }));
    let elsewhere = app(&world);
    assert!(elsewhere.credentials.is_empty(), "a password is for its own registry");
    assert_eq!(elsewhere.warnings.len(), 1);
    web(&mut world, json!({ "acrUseManagedIdentityCreds": true }));
    assert!(matches!(faults(&world).as_slice(), [Fault::IdentityPullNotAvailable { .. }]));
}

#[test]
fn compose_and_code_fail_by_name() {
    let mut world = site(json!({}), json!({}));
    web(&mut world, json!({ "linuxFxVersion": "COMPOSE|dmVyc2lvbjogIjMiCg==" }));
    assert_eq!(faults(&world), [Fault::ComposeNotYetSupported { mode: "COMPOSE".into() }]);
    web(&mut world, json!({ "linuxFxVersion": "PYTHON|3.12" }));
    assert_eq!(faults(&world), [Fault::CodeNotYetSupported { stack: "PYTHON|3.12".into() }]);
}

#[test]
fn a_password_is_a_settings_name_or_the_password_itself() {
    let login = |secret: &str| json!({ "authType": "UserCredentials", "userName": "ada", "passwordSecret": secret });
    let named = app(&site(json!({ "REG_PASSWORD": "s3cret" }), login("REG_PASSWORD")));
    assert_eq!(named.credentials["registry.example"].password, "s3cret");
    let itself = app(&site(json!({}), login("s3cret")));
    assert_eq!(itself.credentials["registry.example"].password, "s3cret");
    let hub = app(&site(
        json!({}),
        json!({ "image": "ada/web", "authType": "UserCredentials", "userName": "ada", "passwordSecret": "x" }),
    ));
    assert!(hub.credentials.contains_key("docker.io"));
}

#[test]
fn an_identity_cannot_pull_yet() {
    let mut world = World::with_site();
    world.put("sites/shop", json!({ "location": "local", "identity": { "type": "SystemAssigned" } })).expect("a site");
    world.container("main", json!({ "image": "a", "isMain": true, "authType": "SystemIdentity" })).expect("a container");
    let wanted = Fault::IdentityPullNotAvailable { image: "a".into(), identity: "the system-assigned identity".into() };
    assert_eq!(faults(&world), [wanted]);
}

#[test]
fn mains_port_is_declared_or_a_setting_or_found_out() {
    let port = |settings, main| app(&site(settings, main)).app.containers["main"].port;
    assert_eq!(port(json!({ "WEBSITES_PORT": "3000" }), json!({})), Some(8080));
    assert_eq!(port(json!({ "WEBSITES_PORT": "3000" }), json!({ "targetPort": null })), Some(3000));
    assert_eq!(port(json!({}), json!({ "targetPort": "" })), None);
    let bad = faults(&site(json!({ "WEBSITES_PORT": "http" }), json!({ "targetPort": null })));
    assert!(matches!(bad.as_slice(), [Fault::SettingRefused { .. }]), "{bad:?}");
}

#[test]
fn the_plan_says_how_many_and_how_large() {
    let mut world = site(json!({}), json!({}));
    let scale = |world: &World| app(world).app.scale;
    world.put("serverfarms/plan1", json!({ "sku": { "name": "P0v3", "capacity": 3 } })).expect("a plan");
    assert_eq!(scale(&world), 3);
    let resources = app(&world).app.containers["main"].resources.clone();
    assert_eq!(json!(resources), json!({ "memory": "4Gi", "cpu": 1.0 }));
    web(&mut world, json!({ "numberOfWorkers": 1 }));
    assert_eq!(scale(&world), 3, "every tool echoes a 1");
    web(&mut world, json!({ "numberOfWorkers": 2 }));
    assert_eq!(scale(&world), 2);
    web(&mut world, json!({ "numberOfWorkers": 1 }));
    world.put("serverfarms/plan1", json!({ "properties": { "perSiteScaling": true } })).expect("a plan");
    assert_eq!(scale(&world), 1);
}

#[test]
fn shares_are_named_as_not_mounted_and_open_quotes_fail() {
    let mut world = site(json!({}), json!({ "startUpCommand": "run 'x" }));
    let share = json!({ "properties": { "d": { "accountName": "a", "shareName": "s", "mountPath": "/d" } } });
    world.put("sites/shop/config/azurestorageaccounts", share).expect("a share");
    assert!(matches!(faults(&world).as_slice(), [Fault::DefinitionRefused { field, .. }] if field == "startUpCommand"));
    world.container("main", json!({ "image": "a", "isMain": true })).expect("a container");
    let warnings = app(&world).warnings;
    assert!(warnings[0].contains("'d'") && warnings[0].contains("not mounted"), "{warnings:?}");
}

#[test]
fn a_slot_is_told_its_own_name() {
    let mut world = site(json!({}), json!({}));
    world.put("sites/shop/slots/Blue", json!({})).expect("a slot");
    let main = json!({ "properties": { "image": "a", "isMain": true } });
    world.put("sites/shop/slots/blue/sitecontainers/web", main).expect("a container");
    let parts = world.parts("sites/shop/slots/blue");
    assert_eq!(parts.containers.len(), 1);
    assert_eq!(world.parts("sites/shop").containers.len(), 1, "a slot's containers are its own");
    let compiled = compile(&parts).expect("an app");
    let env = &compiled.app.containers["web"].env;
    assert_eq!(
        (&env["WEBSITE_SLOT_NAME"], &env["WEBSITE_SITE_NAME"]),
        (&literal("Blue").expect("x"), &literal("Shop").expect("x"))
    );
    assert!(id("sites/shop").within(&id("")));
}
