//! `system reload`: what changes at once, what waits for a restart, and what is refused whole.

use std::{fs, time::Duration};

use pillion_e2e::{Role, free_port, get, of_role, request, until};

use crate::shop::Shop;

#[test]
fn changed_settings_come_into_force_while_the_app_runs_on() {
    let shop = Shop::open();
    let pid = shop.pid("web");
    let host = tempfile::tempdir().expect("a directory");
    fs::write(host.path().join("note"), "from the host").expect("a file");
    let path = host.path().display();
    let image = &shop.image;
    let file = format!(
        "name: files\ncontainers:\n  web: {{ main: true, image: '{image}', port: 8080, command: [read, /host/note, serve, '8080'], \
         volumes: [{{ volume: host, path: /host }}] }}\nvolumes: {{ host: {{ hostPath: '{path}' }} }}\n"
    );
    let refused = shop.copy.apply(&file);
    assert!(refused.code == 1 && refused.stderr.contains("allowHostPaths"), "{}", refused.said());

    let port = free_port();
    shop.copy
        .configure(&format!("allowHostPaths: ['{path}']\nmaxInstances: 2\nlisten: ['127.0.0.1:{port}']\naccessLog: /tmp/x\ntrustedProxies: [127.0.0.1]\n"));
    let reloaded = shop.copy.json(&["system", "reload"]);
    assert_eq!(reloaded["applied"], serde_json::json!(["listen", "allowHostPaths", "maxInstances"]));
    assert_eq!(reloaded["needsRestart"], serde_json::json!(["accessLog", "trustedProxies"]));

    let applied = shop.copy.apply(&file);
    assert_eq!(applied.code, 0, "{}", applied.said());
    assert!(shop.copy.ok(["logs", "files"]).contains("from the host"));
    let many = shop.copy.run(["scale", "shop", "3"]);
    assert!(many.code == 1 && many.stderr.contains('2'), "{}", many.said());
    let url = format!("http://127.0.0.1:{port}/");
    let answer = request("GET", &url, &[("Host", "shop.localhost")], "").expect("the gateway listens there");
    assert_eq!(answer.status, 200);
    assert_eq!(shop.pid("web"), pid);
}

#[test]
fn what_the_gateway_is_told_at_its_start_reaches_it_with_the_next_server_while_the_app_runs_on() {
    let mut shop = Shop::open();
    let (gateway, web) = (of_role(&shop.copy, Role::Gateway), shop.pid("web"));
    let logs = tempfile::tempdir().expect("a directory");
    let log = logs.path().join("access.log");
    shop.copy.configure(&format!("accessLog: '{}'\ntrustedProxies: [127.0.0.1]\n", log.display()));
    let url = shop.copy.url("shop");
    shop.copy.kill_server();
    shop.copy.serve();
    until("another gateway takes its place", Duration::from_secs(30), || {
        let now = of_role(&shop.copy, Role::Gateway);
        (!now.is_empty() && !now.iter().any(|one| gateway.contains(one))).then_some(())
    });
    assert_eq!(get(&url).expect("it answers").status, 200);
    until("the request is in the log", Duration::from_secs(10), || {
        fs::read_to_string(&log).ok().filter(|text| text.contains("200"))
    });
    assert_eq!(shop.pid("web"), web);

    let gateway = of_role(&shop.copy, Role::Gateway);
    shop.copy.kill_server();
    shop.copy.serve();
    assert_eq!(get(&url).expect("it answers").status, 200);
    assert_eq!(of_role(&shop.copy, Role::Gateway), gateway, "the same settings need no other gateway");
}

#[test]
fn an_access_log_that_cannot_be_opened_is_refused_when_set_and_stops_no_site_when_it_comes_to_light_later() {
    let mut shop = Shop::open();
    let url = shop.copy.url("shop");
    let logs = tempfile::tempdir().expect("a directory");
    let directory = logs.path().join("logs");
    let log = directory.join("access.log");
    let settings = format!("accessLog: '{}'\n", log.display());
    let warnings = |shop: &Shop| shop.copy.json(&["system", "info"])["warnings"].to_string();
    for (path, says) in [(logs.path(), "Is a directory"), (log.as_path(), "No such file")] {
        shop.copy.configure(&format!("accessLog: '{}'\n", path.display()));
        let refused = shop.copy.run(["system", "reload"]);
        assert_eq!(refused.code, 1, "{}", refused.said());
        assert!(
            ["`accessLog`", says, "still the old ones"].iter().all(|part| refused.stderr.contains(part)),
            "{}",
            refused.stderr
        );
    }
    fs::create_dir(&directory).expect("a directory");
    shop.copy.configure(&settings);
    assert_eq!(shop.copy.json(&["system", "reload"])["needsRestart"], serde_json::json!(["accessLog"]));
    fs::remove_dir(&directory).expect("nothing was left in it");

    shop.copy.kill_server();
    shop.copy.serve();
    until("the server says that nothing is logged", Duration::from_secs(30), || {
        warnings(&shop).contains("access.log cannot be opened").then_some(())
    });
    assert_eq!(get(&url).expect("it answers").status, 200);
    let unlogged = of_role(&shop.copy, Role::Gateway);
    shop.copy.kill_server();
    shop.copy.serve();
    until("the next server says so, too", Duration::from_secs(30), || {
        warnings(&shop).contains("access.log cannot be opened").then_some(())
    });
    assert_eq!(of_role(&shop.copy, Role::Gateway), unlogged, "another gateway could do no better");

    fs::create_dir(&directory).expect("a directory");
    shop.copy.kill_server();
    shop.copy.serve();
    until("another gateway has taken its place", Duration::from_secs(30), || {
        (log.exists() && !warnings(&shop).contains("cannot be opened")).then_some(())
    });
    assert_eq!(get(&url).expect("it answers").status, 200);
    until("the request is in the log", Duration::from_secs(10), || {
        fs::read_to_string(&log).ok().filter(|text| text.contains("200"))
    });
}

#[test]
fn settings_that_are_wrong_are_refused_and_nothing_changes() {
    let shop = Shop::open();
    let before = shop.copy.json(&["system", "info"])["gateway"].clone();
    let port = free_port();
    for (settings, says) in [
        (format!("maxInstances: 1\nlisten: ['127.0.0.1:{port}']\nlistne: 1\n"), "listne"),
        (format!("listen: ['127.0.0.1:{port}']\nmaxInstances: 0\n"), "maxInstances"),
        (format!("listen: ['127.0.0.1:{port}']\nregistryCertificates: [/nowhere.pem]\n"), "/nowhere.pem"),
        (format!("listen: ['127.0.0.1:{port}']\ntrustedProxies: ['10.0.0.0/33']\n"), "trustedProxies"),
        ("maxInstances: 1\nlisten: ['192.0.2.1:80']\n".to_owned(), "192.0.2.1"),
    ] {
        shop.copy.configure(&settings);
        let refused = shop.copy.run(["system", "reload"]);
        assert_eq!(refused.code, 1, "{}", refused.said());
        assert!(refused.stderr.contains(says) && refused.stderr.contains("still the old ones"), "{}", refused.stderr);
        assert_eq!(shop.copy.json(&["system", "info"])["gateway"], before);
    }
    shop.copy.ok(["scale", "shop", "2"]);
    assert_eq!(get(&shop.copy.url("shop")).expect("it answers").status, 200);
}
