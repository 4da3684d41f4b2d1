//! The JSON schemas of the wire types.
//!
//! A test holds every answer of the API against them, so a field that is added to a type and not here is found.

use serde_json::{Map, Value, json};

/// Returns every schema by name.
pub fn all() -> Value {
    let mut all = Map::new();
    for group in [basics(), apps(), status(), streams(), images(), identity(), system()] {
        if let Value::Object(group) = group {
            all.extend(group);
        }
    }
    Value::Object(all)
}

/// An object: fields, those that are always there first.
fn object(required: &[(&str, Value)], optional: &[(&str, Value)]) -> Value {
    let fields = required.iter().chain(optional).map(|(name, schema)| ((*name).to_owned(), schema.clone()));
    let names: Vec<&str> = required.iter().map(|(name, _)| *name).collect();
    let mut object = json!({ "type": "object", "properties": fields.collect::<Map<_, _>>() });
    if !names.is_empty() {
        object["required"] = json!(names);
    }
    object
}

/// A value told apart by the word in one field: each case has fields of its own.
fn tagged(tag: &str, cases: &[(&str, &[(&str, Value)])]) -> Value {
    let case = |(word, fields): &(&str, &[(&str, Value)])| {
        let mut all = vec![(tag, json!({ "const": word }))];
        all.extend(fields.iter().map(|(name, schema)| (*name, schema.clone())));
        object(&all, &[])
    };
    json!({ "oneOf": cases.iter().map(case).collect::<Vec<_>>() })
}

fn to(schema: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{schema}") })
}

fn text() -> Value {
    json!({ "type": "string" })
}

fn count() -> Value {
    json!({ "type": "integer", "minimum": 0 })
}

fn truth() -> Value {
    json!({ "type": "boolean" })
}

fn words(words: &[&str]) -> Value {
    json!({ "type": "string", "enum": words })
}

fn list(of: Value) -> Value {
    json!({ "type": "array", "items": of })
}

fn or_null(schema: Value) -> Value {
    json!({ "anyOf": [schema, { "type": "null" }] })
}

fn basics() -> Value {
    json!({
        "Name": { "type": "string", "pattern": "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$" },
        "Etag": { "type": "string", "description": "names one version of a definition; in headers it stands in quotes" },
        "Done": object(&[], &[]),
        "ErrorBody": object(
            &[("code", text()), ("message", text())],
            &[("hint", text()), ("problems", list(to("Problem"))), ("diagnosis", to("Diagnosis"))],
        ),
        "Problem": object(&[("path", text()), ("message", text())], &[("hint", text())]),
        "Diagnosis": json!({
            "type": "object",
            "description": "a fault: a stable code, its facts as further fields, and the container it struck; see failures.md",
            "required": ["code"],
            "properties": { "code": text(), "container": or_null(text()), "logTail": list(text()) },
        }),
        "FaultView": object(&[("message", text()), ("diagnosis", to("Diagnosis"))], &[("hint", text())]),
        "Exit": tagged("kind", &[
            ("code", &[("code", json!({ "type": "integer" }))]),
            ("signal", &[("signal", json!({ "type": "integer" })), ("core", truth())]),
            ("oom", &[("scope", json!({ "type": "object" }))]),
        ]),
        "Credential": object(&[("username", text()), ("password", text())], &[]),
    })
}

fn apps() -> Value {
    json!({
        "App": { "type": "object", "description": "an app file as JSON; the app file's reference describes it" },
        "AppState": words(&["starting", "running", "updating", "degraded", "failed", "stopping", "stopped", "deleting"]),
        "ApplyRequest": object(
            &[("definition", to("App"))],
            &[("credentials", json!({
                "type": "object",
                "description": "by registry host; only those that the definition's images are on",
                "additionalProperties": to("Credential"),
            }))],
        ),
        "ApplyOutcome": object(
            &[("revision", count()), ("etag", or_null(to("Etag"))), ("steps", list(to("Step"))), ("dryRun", truth())],
            &[],
        ),
        "Step": tagged("step", &[
            ("createApp", &[]),
            ("pullImage", &[("container", to("Name")), ("image", text())]),
            ("startInstances", &[("count", count())]),
            ("addContainer", &[("container", to("Name"))]),
            ("replaceContainer", &[("container", to("Name")), ("changed", list(text()))]),
            ("removeContainer", &[("container", to("Name"))]),
            ("replaceInstances", &[("count", count()), ("because", text())]),
            ("stopInstances", &[("count", count())]),
            ("updateRecord", &[("changed", list(text()))]),
        ]),
        "AppSummary": object(
            &[
                ("name", to("Name")), ("state", to("AppState")), ("revision", or_null(count())), ("ready", count()),
                ("wanted", count()), ("image", text()), ("sidecars", count()), ("host", text()), ("port", count()),
            ],
            &[],
        ),
        "AppDocument": object(&[("etag", to("Etag")), ("revision", count()), ("definition", to("App"))], &[]),
        "ScaleRequest": object(&[("count", count())], &[]),
        "TargetRequest": object(&[], &[("container", to("Name"))]),
        "ExecStart": object(
            &[("command", list(text()))],
            &[
                ("container", to("Name")), ("instance", to("Name")), ("env", list(text())),
                ("tty", object(&[("columns", count()), ("rows", count())], &[])),
            ],
        ),
    })
}

fn status() -> Value {
    json!({
        "StatusAnswer": object(
            &[
                ("name", to("Name")), ("etag", to("Etag")), ("state", to("AppState")), ("current", or_null(count())),
                ("target", count()), ("ready", count()), ("wanted", count()), ("diagnosis", or_null(to("Diagnosis"))),
                ("urls", list(text())), ("instances", list(to("Instance"))),
            ],
            &[("problem", to("FaultView")), ("owner", text())],
        ),
        "Instance": object(
            &[
                ("id", to("Name")), ("revision", count()),
                ("phase", words(&["pulling", "starting", "ready", "unready", "stopping", "stopped", "failed"])),
                ("port", or_null(count())), ("containers", list(to("Container"))), ("draining", truth()),
                ("diagnoses", list(to("Diagnosis"))),
            ],
            &[("diagnosis", to("Diagnosis"))],
        ),
        "Container": object(
            &[
                ("name", to("Name")),
                ("phase", words(&["waiting", "starting", "running", "backOff", "completed", "failed", "stopped"])),
                ("restarts", count()), ("lastExit", or_null(to("Exit"))), ("listeners", list(to("Listener"))),
                ("memoryBytes", or_null(count())), ("memoryLimitBytes", or_null(count())), ("cpuUsec", or_null(count())),
                ("startedAtMs", or_null(count())),
            ],
            &[
                ("on", list(text())), ("pid", json!({ "type": "integer" })), ("ready", truth()), ("untilMs", count()),
                ("last", to("Diagnosis")),
            ],
        ),
        "Listener": object(
            &[("address", text()), ("container", or_null(text())), ("process", or_null(text()))],
            &[],
        ),
    })
}

fn streams() -> Value {
    json!({
        "RolloutEvent": tagged("event", &[
            ("container", &[("container", to("Name")), ("instance", or_null(to("Name"))), ("progress", to("ContainerProgress"))]),
            ("instances", &[("ready", count()), ("wanted", count())]),
            ("ready", &[("revision", count()), ("millis", count())]),
            ("failed", &[("revision", count()), ("diagnosis", to("Diagnosis")), ("serving", or_null(count()))]),
            ("superseded", &[("by", count())]),
            ("stopped", &[]),
            ("deleted", &[]),
        ]),
        "ContainerProgress": tagged("progress", &[
            ("resolving", &[("image", text())]),
            ("pulling", &[("done", count()), ("total", count())]),
            ("pulled", &[("digest", text()), ("millis", count())]),
            ("waiting", &[("on", list(text()))]),
            ("starting", &[]),
            ("running", &[("diagnosis", or_null(to("Diagnosis")))]),
            ("ready", &[]),
            ("completed", &[]),
            ("backOff", &[("diagnosis", to("Diagnosis")), ("restarts", count())]),
            ("failed", &[("diagnosis", to("Diagnosis"))]),
            ("stopped", &[]),
        ]),
        "Event": object(
            &[("serial", count()), ("atMs", count()), ("app", to("Name")), ("kind", text()), ("text", text())],
            &[("revision", count()), ("instance", to("Name")), ("container", text())],
        ),
        "LogLine": object(
            &[
                ("instance", to("Name")), ("container", text()), ("atMs", count()),
                ("stream", words(&["stdout", "stderr"])), ("text", text()),
            ],
            &[],
        ),
    })
}

fn images() -> Value {
    json!({
        "ImageSummary": object(
            &[("reference", text()), ("digest", text()), ("sizeBytes", count()), ("inUse", truth())],
            &[("pulledAtMs", count())],
        ),
        "PullRequest": object(&[("image", text())], &[("credential", to("Credential"))]),
        "PullLine": tagged("kind", &[
            ("pulling", &[("done", count()), ("total", count())]),
            ("pulled", &[("digest", text())]),
            ("failed", &[("fault", to("FaultView"))]),
        ]),
        "RemoveImageRequest": object(&[("image", text())], &[]),
        "Pruned": object(&[("removed", list(text())), ("freedBytes", count())], &[]),
    })
}

fn identity() -> Value {
    let grant = object(&[("role", words(&["Owner", "Contributor", "Reader"])), ("scope", text())], &[]);
    let principal = [
        ("appId", text()),
        ("displayName", text()),
        ("kind", words(&["service", "user"])),
        ("grants", list(grant)),
        ("createdMs", count()),
    ];
    let mut created = principal.to_vec();
    created.extend([("tenant", text()), ("subscription", text())]);
    json!({
        "PrincipalView": object(&principal, &[("revokedMs", count())]),
        "CreatePrincipal": object(&[], &[
            ("name", text()), ("kind", words(&["service", "user"])), ("password", text()),
            ("role", words(&["Owner", "Contributor", "Reader"])), ("scopes", list(text())),
        ]),
        "PrincipalCreated": object(&created, &[("password", text()), ("revokedMs", count())]),
        "RevokePrincipal": object(&[("principal", text())], &[]),
        "ApproveLogin": object(&[("code", text()), ("principal", text())], &[]),
        "AuditLine": object(
            &[
                ("serial", count()), ("atMs", count()), ("principal", text()), ("caller", text()), ("action", text()),
                ("target", text()), ("status", count()), ("correlation", text()), ("detail", text()),
            ],
            &[],
        ),
        "EndpointInfo": object(
            &[("url", text()), ("tenant", text()), ("subscription", text()), ("caFile", text()), ("bundleFile", text())],
            &[],
        ),
    })
}

fn system() -> Value {
    json!({
        "SystemInfo": object(
            &[
                ("version", text()), ("pid", count()), ("stateDir", text()), ("runDir", text()), ("settingsFile", text()),
                ("gateway", list(text())), ("gatewayPid", or_null(count())), ("kernel", text()),
                ("cgroup", words(&["v1", "hybrid", "v2"])), ("apps", count()), ("instances", count()),
                ("warnings", list(object(&[("message", text())], &[("fix", text())]))),
            ],
            &[],
        ),
        "Reloaded": object(&[("applied", list(text())), ("needsRestart", list(text()))], &[]),
        "StopRequest": object(&[], &[("keepApps", truth())]),
    })
}
