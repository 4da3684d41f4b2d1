//! The main job, start to end: pack three images, push them to a real registry, run the app from it, use it.

use std::{
    fs,
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use clap::Args;
use pillion_e2e::{Images, Packed, Part, Registry, Users, built, get, part};
use serde_json::Value;

use crate::{
    packages,
    run::{Outcome, cargo, output, run, workspace},
};

/// Run the example app with a real Redis and a real collector, from a real registry.
#[derive(Args)]
pub struct Demo {
    /// Run it through once and exit 0 or 1, instead of waiting for Ctrl-C
    #[arg(long)]
    once: bool,
}

const REQUESTS: u64 = 5;

impl Demo {
    pub fn run(self) -> Outcome {
        if !rustix::process::geteuid().is_root() {
            return Err("containers need namespaces and mounts: run `cargo xtask demo` as root".to_owned());
        }
        packages::install(packages::EVERYTHING)?;
        run(cargo().args(["build", "--locked", "-p", "pillion", "-p", "pillion-supervisor", "-p", "counter"]))?;

        let registry = Registry::start(Users::Anyone);
        say(&format!("a docker-registry listens on {}", registry.host()));
        let file = app_file(&push_images(&registry))?;
        // The root is short-lived: nothing of the demo stays on the machine.
        let root = tempfile::Builder::new().prefix("pillion-demo-").tempdir().map_err(|error| error.to_string())?;
        let app = root.path().join("pillion.yaml");
        fs::write(&app, file).map_err(|error| error.to_string())?;

        say(&format!("pillion up -f {}", app.display()));
        let up = Up::start(root.path(), &app)?;
        let url = up.ready_url()?;
        let traces = make_requests(&url)?;
        find_traces(root.path(), &traces)?;
        say(&format!("counted in Redis, traced in the collector: all {REQUESTS} requests arrived"));
        if self.once {
            return up.stop();
        }
        say(&format!("the app answers at {url}"));
        eprintln!("\nTry, in another terminal:\n");
        let (root, program) = (root.path().display(), built("pillion"));
        let programs = program.parent().unwrap_or(Path::new("/usr/local/bin")).display();
        for line in [
            format!("cd {root} && export PILLION_ROOT={root} PATH={programs}:$PATH URL={url}"),
            "curl $URL".to_owned(),
            "pillion status counter".to_owned(),
            "pillion logs counter -c telemetry -f".to_owned(),
            "pillion exec counter -c cache -- /bin/redis-server --version".to_owned(),
            "pillion sidecar update counter cache --memory 96Mi    # replaces that container only".to_owned(),
            "pillion apply                                         # after you changed pillion.yaml there".to_owned(),
        ] {
            eprintln!("  {line}");
        }
        eprintln!("\nCtrl-C stops the app and removes everything.");
        up.wait()
    }
}

fn push_images(registry: &Registry) -> [String; 3] {
    let images = Images::new(registry);
    say("packing the example app, redis-server and rotel into images, and pushing them");
    let web = images.push("counter/web:1", &Packed::program(&built("counter")).with(&["--expose", "8080"]));
    let options = ["--dir", "/data", "--appendonly", "yes"];
    let words: Vec<&str> = options.iter().flat_map(|word| ["--cmd", *word]).collect();
    let cache = images.push("counter/redis:7", &Packed::program(&part(Part::Redis)).with(&words));
    [web, cache, images.rotel()]
}

/// Returns the example's own app file with the images' real names in it.
fn app_file(images: &[String; 3]) -> Outcome<String> {
    let path = workspace().join("examples/counter/pillion.yaml");
    let mut text = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    let names = ["127.0.0.1:5000/counter/web:1", "127.0.0.1:5000/counter/redis:7", "127.0.0.1:5000/counter/rotel:1"];
    for (name, image) in names.iter().zip(images) {
        if !text.contains(name) {
            return Err(format!("{} does not name {name}", path.display()));
        }
        text = text.replace(name, image);
    }
    Ok(text)
}

/// Counts in Redis; returns the trace ids the app gave.
fn make_requests(url: &str) -> Outcome<Vec<String>> {
    let mut traces = Vec::new();
    for n in 1..=REQUESTS {
        let answer = get(url)?;
        print!("  GET {url} -> {} {}", answer.status, answer.body);
        let body: Value = serde_json::from_str(&answer.body).map_err(|error| format!("{}: {error}", answer.body))?;
        if answer.status != 200 || body["visits"] != n {
            return Err(format!("visit {n} was answered with {} {}", answer.status, answer.body));
        }
        traces.push(body["traceId"].as_str().unwrap_or_default().to_owned());
    }
    Ok(traces)
}

/// Reads the collector's own output, by the same command a person would use, until every trace is in it.
fn find_traces(root: &Path, traces: &[String]) -> Outcome {
    pillion_e2e::until("every trace id in the collector's output", Duration::from_secs(30), || {
        let log = output(pillion(root).args(["logs", "counter", "-c", "telemetry"])).ok()?;
        traces.iter().all(|trace| log.contains(trace.as_str())).then_some(())
    });
    Ok(())
}

/// `pillion up`, running.
struct Up {
    child: Option<Child>,
    root: std::path::PathBuf,
}

impl Up {
    fn start(root: &Path, app: &Path) -> Outcome<Up> {
        let child = pillion(root)
            .args(["up", "-f"])
            .arg(app)
            .stdin(Stdio::null())
            .spawn()
            .map_err(|error| format!("pillion up: {error}"))?;
        Ok(Up { child: Some(child), root: root.to_owned() })
    }

    /// Waits until the app is ready and returns its own loopback URL.
    fn ready_url(&self) -> Outcome<String> {
        let mut ended = None;
        let url = pillion_e2e::until("the app is ready", Duration::from_secs(120), || {
            if let Some(pid) = self.child.as_ref().map(Child::id)
                && !Path::new(&format!("/proc/{pid}/root")).exists()
            {
                ended = Some("`pillion up` ended before the app was ready".to_owned());
                return Some(String::new());
            }
            let status = output(pillion(&self.root).args(["status", "counter", "--output", "json"])).ok()?;
            let status: Value = serde_json::from_str(&status).ok()?;
            let ready = status["instances"].as_array()?.iter().any(|instance| instance["phase"] == "ready");
            let url =
                status["urls"].as_array()?.iter().filter_map(Value::as_str).find(|url| url.starts_with("http://127.0.0.1:"))?;
            ready.then(|| url.to_owned())
        });
        ended.map_or(Ok(url), Err)
    }

    /// Presses Ctrl-C.
    fn stop(mut self) -> Outcome {
        if let Some(child) = &self.child {
            let _ = rustix::process::kill_process(rustix::process::Pid::from_child(child), rustix::process::Signal::INT);
        }
        self.end()
    }

    /// Waits for somebody else's Ctrl-C, which the terminal sends to all of us.
    fn wait(mut self) -> Outcome {
        self.end()
    }

    fn end(&mut self) -> Outcome {
        let Some(mut child) = self.child.take() else { return Ok(()) };
        let status = child.wait().map_err(|error| error.to_string())?;
        if status.success() { Ok(()) } else { Err(format!("`pillion up` ended with {status}")) }
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        if let Some(child) = &self.child {
            let _ = rustix::process::kill_process(rustix::process::Pid::from_child(child), rustix::process::Signal::INT);
            let _ = self.end();
        }
    }
}

fn pillion(root: &Path) -> Command {
    let mut command = Command::new(built("pillion"));
    command.env("PILLION_ROOT", root);
    command
}

fn say(what: &str) {
    eprintln!("demo: {what}");
}
