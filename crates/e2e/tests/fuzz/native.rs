//! The native API under absurd requests: no 5xx, no panic, and a refused request changes nothing.

use std::{
    cell::Cell,
    time::{Duration, Instant},
};

use pillion_e2e::{Copy, Dice, Images, Registry, Users};
use serde_json::{Value, json};

use crate::{
    document::Document,
    wire::{Asked, Told, ask},
    wrong::change,
};

/// Seeds that found something once.
const SEEDS: &[u64] = &[1, 2, 3];
const REQUESTS_PER_SEED: usize = 120;

struct Target {
    copy: Copy,
    socket: std::path::PathBuf,
    document: Document,
    /// A definition that is right, to be made wrong.
    shop: Value,
    taken: Cell<u64>,
    refused: Cell<u64>,
}

#[test]
fn absurd_requests_never_break_the_native_api_and_refused_ones_change_nothing() {
    let registry = Registry::start(Users::Anyone);
    let puppet = Images::new(&registry).puppet();
    let mut copy = Copy::new();
    copy.configure("maxInstances: 2\n");
    copy.serve();
    let socket = copy.run_dir().join("pillion.sock");
    let get = |target: &str| Asked { method: "GET".into(), target: target.into(), headers: Vec::new(), body: Vec::new() };
    let whole = ask(&socket, &get("/v1/openapi.json")).expect("the document is given");
    let whole = serde_json::from_str(&whole.body).expect("the document is JSON");
    // These end the server, or wait for what chance does not bring.
    let document = Document::new(whole, &["/v1/system/stop", "/v1/apps/{app}/rollout"]);
    assert!(document.operations.len() > 15, "the document has operations");
    let target = Target { copy, socket, document, shop: definition(&puppet), taken: Cell::default(), refused: Cell::default() };
    for seed in SEEDS {
        let mut dice = Dice::from(*seed);
        target.try_some(&mut dice);
    }
    let seconds = std::env::var("PILLION_FUZZ_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(10);
    let end = Instant::now() + Duration::from_secs(seconds);
    let mut dice = Dice::seeded("fuzzing the native API");
    while Instant::now() < end {
        let seed = dice.below(u64::MAX);
        eprintln!("seed {seed}");
        target.try_some(&mut Dice::from(seed));
    }
    let (taken, refused) = (target.taken.get(), target.refused.get());
    eprintln!("{taken} requests were taken and {refused} refused");
    assert!(taken > 20 && refused > 100, "chance has to make both: {taken} taken, {refused} refused");
    let log = std::fs::read_to_string(target.copy.root().join("lib/logs/serve.log")).unwrap_or_default();
    assert!(!log.contains("panicked"), "{log}");
}

impl Target {
    fn try_some(&self, dice: &mut Dice) {
        for _ in 0..REQUESTS_PER_SEED {
            let asked = self.request(dice);
            let before = self.definitions();
            let pid = self.copy.server_pid();
            let Some(told) = ask(&self.socket, &asked) else {
                assert!(may_take_long(&asked), "no answer began to {}", shown(&asked));
                continue;
            };
            assert!(alive(pid), "the server died of {}", shown(&asked));
            // Not in time is an honest answer to a wait that chance asked for.
            assert!(told.status < 500 || told.status == 504, "{} answered {told:?}", shown(&asked));
            let count = if told.status < 400 { &self.taken } else { &self.refused };
            count.set(count.get() + 1);
            if (400..500).contains(&told.status) {
                well_said(&asked, &told);
                assert_eq!(self.definitions(), before, "refused, and yet it changed something: {}", shown(&asked));
            }
        }
    }

    fn request(&self, dice: &mut Dice) -> Asked {
        let operation = dice.one(&self.document.operations).clone();
        let target = self.document.target(&operation, &["shop", "other", "nothing"], dice);
        let mut headers = self.document.headers(&operation, dice);
        let mut body = Vec::new();
        if let Some(mut value) = self.document.body(&operation, dice) {
            if value.get("definition").is_some() && dice.below(8) != 0 {
                value = json!({ "definition": self.shop });
            }
            for _ in 0..dice.below(4) {
                change(&mut value, dice);
            }
            body = value.to_string().into_bytes();
            if dice.below(12) == 0 {
                body.truncate(dice.below(body.len() as u64 + 1) as usize);
            }
            if dice.below(20) != 0 {
                headers.push(("Content-Type".into(), "application/json".into()));
            }
        }
        Asked { method: operation.method, target, headers, body }
    }

    /// What must not change by a refusal: every app's newest definition and revision.
    fn definitions(&self) -> Vec<(String, Value)> {
        let get = |target: String| Asked { method: "GET".into(), target, headers: Vec::new(), body: Vec::new() };
        let list = ask(&self.socket, &get("/v1/apps".into())).expect("the list is given");
        let list: Value = serde_json::from_str(&list.body).unwrap_or_else(|error| panic!("{error}: {list:?}"));
        let names = list.as_array().into_iter().flatten().filter_map(|app| app["name"].as_str().map(str::to_owned));
        names
            .filter_map(|name| {
                let shown = ask(&self.socket, &get(format!("/v1/apps/{name}")))?;
                let shown: Value = serde_json::from_str(&shown.body).ok()?;
                // An app that is being deleted goes by itself.
                shown.get("definition").map(|definition| (name, json!([definition, shown["revision"]])))
            })
            .collect()
    }
}

fn definition(image: &str) -> Value {
    json!({
        "name": "shop",
        "containers": {
            "web": {
                "main": true, "image": image, "port": 8080, "command": ["serve", "8080"], "probe": { "http": "/", "timeout": "1s" },
                "env": { "A": "1", "B": { "fromSetting": "S" } }, "dependsOn": { "cache": "started" },
                "resources": { "memory": "64Mi", "cpu": 0.5, "pids": 50 }, "volumes": [{ "volume": "data", "path": "/data", "subPath": "a/b" }],
                "files": [{ "path": "/etc/x", "content": "y", "mode": "0644" }], "tmpfs": [{ "path": "/t", "size": "1Mi" }],
                "stop": { "signal": "SIGTERM", "grace": "1s" }, "ulimits": { "nofile": 1024 }, "user": "0:0", "workingDir": "/"
            },
            "cache": { "image": image, "port": 9000, "command": "serve 9000", "essential": false, "readOnly": true }
        },
        "volumes": { "data": { "persistent": true } }, "settings": { "S": { "secret": "hush" } }, "scale": 1, "hosts": ["shop.example"],
        "network": "outbound", "readyWithin": "10s"
    })
}

fn well_said(asked: &Asked, told: &Told) {
    let body: Result<Value, _> = serde_json::from_str(&told.body);
    let said = body.is_ok_and(|body| body["message"].as_str().is_some_and(|text| !text.is_empty()) && body["code"].is_string());
    assert!(said, "{} was refused without a reason: {told:?}", shown(asked));
}

fn may_take_long(asked: &Asked) -> bool {
    // Starts and restarts answer once the containers run, and what chance made of a probe may keep one from it for a minute.
    ["waitSeconds", "follow", "/exec", "/pull", "/restart", "/start"].iter().any(|word| asked.target.contains(word))
        || asked.method == "DELETE"
}

fn alive(pid: Option<i32>) -> bool {
    pid.is_some_and(|pid| std::path::Path::new(&format!("/proc/{pid}")).exists())
}

fn shown(asked: &Asked) -> String {
    let body: String = String::from_utf8_lossy(&asked.body).chars().take(2_000).collect();
    format!("{} {} {:?} {body}", asked.method, asked.target, asked.headers)
}
