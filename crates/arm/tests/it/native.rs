//! A native file that spells out the Azure route's defaults is the same app.

use pillion_arm::compile;
use pillion_model::AppFile;
use serde_json::json;

use crate::world::{SUB, World};

fn facts(image: &str, port: &str) -> String {
    format!(
        "WEBSITE_SITE_NAME: Shop
      WEBSITE_SLOT_NAME: Production
      WEBSITE_HOSTNAME: 'shop.localhost:8080'
      WEBSITE_RESOURCE_GROUP: rg1
      WEBSITE_OWNER_NAME: {SUB}+rg1-localwebspace-Linux
      REGION_NAME: local
      WEBSITE_SKU: PremiumV3
      WEBSITE_COMPUTE_MODE: Dedicated
      WEBSITE_PLATFORM_VERSION: pillion
      WEBSITE_AUTH_ENABLED: 'False'
      HTTP_LOGGING_ENABLED: '0'
      DOCKER_CUSTOM_IMAGE_NAME: {image}
      HOME: /home
      WEBSITE_INSTANCE_ID: {{ fromInstance: id }}
      WEBSITE_ROLE_INSTANCE_ID: {{ fromInstance: index }}
      PORT: '{port}'"
    )
}

#[test]
fn one_container_with_nothing_but_defaults() {
    let mut world = World::with_site();
    world.container("main", json!({ "image": "nginx:1", "isMain": true, "targetPort": "80" })).expect("a container");
    let file = format!(
        "name: shop
containers:
  main:
    main: true
    image: nginx:1
    port: 80
    env:
      {}
    startup: {{ http: {{ path: /robots933456.txt, statuses: any }}, timeout: 30, within: 230 }}
    resources: {{ memory: 8Gi, cpu: 2 }}
    volumes: [{{ volume: home, path: /home }}]
    stop: {{ grace: 5 }}
volumes: {{ home: {{ persistent: true }} }}
",
        facts("nginx:1", "80")
    );
    same(&world, &file);
}

#[test]
fn settings_sidecars_volumes_and_a_health_check() {
    let mut world = World::with_site();
    world.put("serverfarms/plan1", json!({ "sku": { "name": "B1", "capacity": 2 } })).expect("a plan");
    world.put("sites/shop/config/appsettings", json!({ "properties": { "GREETING": "hi" } })).expect("settings");
    let strings = json!({ "properties": { "db": { "value": "Server=x", "type": "Custom" } } });
    world.put("sites/shop/config/connectionstrings", strings).expect("strings");
    world.patch("sites/shop/config/web", json!({ "properties": { "healthCheckPath": "/healthz" } })).expect("web");
    let main = json!({ "image": "nginx:1", "isMain": true, "targetPort": 80,
        "volumeMounts": [{ "volumeSubPath": "/a/b", "containerMountPath": "/data" }] });
    world.container("web", main).expect("a container");
    let side = json!({ "image": "redis:7", "targetPort": 6379, "inheritAppSettingsAndConnectionStrings": false,
        "startUpCommand": "--save ''", "environmentVariables": [{ "name": "HELLO", "value": "GREETING" }] });
    world.container("Cache", side).expect("a container");
    let file = format!(
        "name: shop
scale: 2
unhealthyLimit: 50
containers:
  web:
    main: true
    image: nginx:1
    port: 80
    env:
      {}
      APPSETTING_GREETING: {{ fromSetting: GREETING }}
      GREETING: {{ fromSetting: GREETING }}
      CUSTOMCONNSTR_db: {{ fromSetting: CUSTOMCONNSTR_db }}
    startup: {{ http: {{ path: /robots933456.txt, statuses: any }}, timeout: 30, within: 230 }}
    probe: {{ http: {{ path: /healthz, statuses: 200-299 }}, interval: 1m, timeout: 1m, failures: 10 }}
    resources: {{ memory: 1792Mi, cpu: 1 }}
    volumes: [{{ volume: home, path: /home }}, {{ volume: shared, path: /data, subPath: a/b }}]
    stop: {{ grace: 5 }}
  cache:
    image: redis:7
    port: 6379
    command: [--save, '']
    env:
      {}
      HELLO: {{ fromSetting: GREETING }}
    resources: {{ memory: 1792Mi, cpu: 1 }}
    volumes: [{{ volume: home, path: /home }}]
    stop: {{ grace: 5 }}
volumes: {{ shared: {{}}, home: {{ persistent: true }} }}
settings: {{ GREETING: {{ secret: hi }}, CUSTOMCONNSTR_db: {{ secret: Server=x }} }}
",
        facts("nginx:1", "80").replace("PremiumV3", "Basic"),
        facts("redis:7", "6379").replace("PremiumV3", "Basic"),
    );
    same(&world, &file);
}

#[test]
fn an_image_alone_with_storage_switched_off() {
    let mut world = World::with_site();
    let off = json!({ "properties": { "WEBSITES_ENABLE_APP_SERVICE_STORAGE": "false", "WEBSITES_PORT": "3000" } });
    world.put("sites/shop/config/appsettings", off).expect("settings");
    world.patch("sites/shop/config/web", json!({ "properties": { "linuxFxVersion": "DOCKER|nginx:1" } })).expect("web");
    let file = format!(
        "name: shop
containers:
  main:
    main: true
    image: nginx:1
    port: 3000
    env:
      {}
      APPSETTING_WEBSITES_ENABLE_APP_SERVICE_STORAGE: {{ fromSetting: WEBSITES_ENABLE_APP_SERVICE_STORAGE }}
      WEBSITES_ENABLE_APP_SERVICE_STORAGE: {{ fromSetting: WEBSITES_ENABLE_APP_SERVICE_STORAGE }}
    startup: {{ http: {{ path: /robots933456.txt, statuses: any }}, timeout: 30, within: 230 }}
    resources: {{ memory: 8Gi, cpu: 2 }}
    volumes: [{{ volume: home, path: /home/LogFiles, subPath: LogFiles }}]
    stop: {{ grace: 5 }}
volumes: {{ home: {{ persistent: true }} }}
settings:
  WEBSITES_ENABLE_APP_SERVICE_STORAGE: {{ secret: 'false' }}
  WEBSITES_PORT: {{ secret: '3000' }}
",
        facts("nginx:1", "3000")
    );
    same(&world, &file);
}

fn same(world: &World, file: &str) {
    let native = AppFile::parse(file).unwrap_or_else(|problems| panic!("{problems:#?}\n{file}"));
    let site = compile(&world.parts("sites/shop")).unwrap_or_else(|problems| panic!("{problems:?}")).app;
    assert_eq!(serde_json::to_value(&site).expect("JSON"), serde_json::to_value(&native).expect("JSON"));
    assert_eq!(site, native);
}
