//! The main job: a web app with a real Redis and a real collector beside it.

use pillion_e2e::{Copy, Images, Packed, Registry, Users, built, eventually, get};
use serde_json::Value;

fn counter(registry: &Registry) -> String {
    let images = Images::new(registry);
    let web = images.push("counter/web:1", &Packed::program(&built("counter")));
    let (redis, rotel) = (images.redis(), images.rotel());
    format!(
        "name: counter
containers:
  web:
    main: true
    image: {web}
    port: 8080
    env: {{ REDIS_URL: 'redis://cache:6379', OTEL_EXPORTER_OTLP_ENDPOINT: 'http://telemetry:4318', OTEL_BSP_SCHEDULE_DELAY: 50 }}
    dependsOn: {{ cache: healthy, telemetry: healthy }}
    probe: {{ http: /healthz }}
  cache:
    image: {redis}
    port: 6379
    volumes: [{{ volume: cache, path: /data }}]
  telemetry:
    image: {rotel}
    port: 4318
volumes: {{ cache: {{ persistent: true }} }}
"
    )
}

fn visit(url: &str) -> (u64, String) {
    let answer = get(url).expect("the app answers");
    assert_eq!(answer.status, 200, "{}", answer.body);
    let body: Value = serde_json::from_str(&answer.body).expect("the app answers JSON");
    (body["visits"].as_u64().expect("a count"), body["traceId"].as_str().expect("a trace id").to_owned())
}

#[test]
fn an_app_counts_in_the_redis_beside_it_and_its_traces_reach_the_collector_beside_it() {
    let registry = Registry::start(Users::Anyone);
    let copy = Copy::serving();
    let applied = copy.apply(&counter(&registry));
    assert_eq!(applied.code, 0, "{}", applied.said());
    let url = copy.url("counter");
    let traces: Vec<String> = (1..=5)
        .map(|n| {
            let (visits, trace) = visit(&url);
            assert_eq!(visits, n);
            trace
        })
        .collect();
    eventually("every trace id is in the collector's own output", || {
        let log = copy.ok(["logs", "counter", "-c", "telemetry"]);
        traces.iter().all(|trace| log.contains(trace.as_str()))
    });
}

#[test]
fn a_persistent_volume_outlives_its_container_its_instance_and_the_server() {
    let registry = Registry::start(Users::Anyone);
    let mut copy = Copy::serving();
    let applied = copy.apply(&counter(&registry));
    assert_eq!(applied.code, 0, "{}", applied.said());
    let mut counted = 0;
    let mut goes_on = |copy: &Copy| {
        // The app answers 503 while its Redis is away, and may have counted all the same; what it counted must stay.
        let visits = pillion_e2e::until("the app counts again", std::time::Duration::from_secs(30), || {
            let answer = get(&copy.url("counter")).ok()?;
            let body: Value = serde_json::from_str(&answer.body).ok()?;
            (answer.status == 200).then(|| body["visits"].as_u64()).flatten()
        });
        assert!(visits > counted, "it counted {counted} before and {visits} now");
        counted = visits;
    };
    goes_on(&copy);
    copy.ok(["restart", "counter", "-c", "cache"]);
    goes_on(&copy);
    copy.ok(["restart", "counter"]);
    goes_on(&copy);
    copy.ok(["stop", "counter"]);
    copy.ok(["start", "counter"]);
    goes_on(&copy);
    copy.kill_server();
    copy.serve();
    goes_on(&copy);
}
