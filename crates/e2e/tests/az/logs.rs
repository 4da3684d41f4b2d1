//! Logs, status, diagnosis, credentials, and the ways into a container.

use std::time::Duration;

use pillion_e2e::{Images, Packed, Running, Terminal, built, until};
use rustix::process::Signal;

use crate::stage::Stage;

/// Runs a command that never ends by itself until it has said something, then ends it.
fn said_while_running(stage: &Stage, line: &str, wanted: &str) {
    let log = stage.az.directory().join("streamed");
    let file = std::fs::File::create(&log).expect("a file");
    let mut command = stage.az.command(line.split(' '));
    // It prints what it streams as warnings.
    command.env("AZURE_CORE_ONLY_SHOW_ERRORS", "false");
    command.stdout(file.try_clone().expect("a file")).stderr(file).stdin(std::process::Stdio::null());
    let mut child = command.spawn().expect("az starts");
    let seen = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        until(&format!("az {line} prints {wanted}"), Duration::from_secs(40), || {
            std::fs::read_to_string(&log).is_ok_and(|text| text.contains(wanted)).then_some(())
        });
    }));
    let _ = child.kill();
    let _ = child.wait();
    assert!(seen.is_ok(), "it said: {}", std::fs::read_to_string(&log).unwrap_or_default());
}

#[test]
fn the_status_of_each_container_is_told() {
    let stage = Stage::shop();
    stage.container("side", 9000, false, "print ready serve 9000");
    stage.until_answers("shop", "/peer/9000/", |answer| answer.body.starts_with("hello"));
    let all = stage.az.ok("webapp sitecontainers status -g rg1 -n shop -o json".split(' '));
    assert!(all.contains("main") && all.contains("side"), "{all}");
    let one = stage.az.ok("webapp sitecontainers status -g rg1 -n shop --container-name side -o json".split(' '));
    assert!(one.contains("side") && !one.contains("\"main\""), "{one}");
}

#[test]
fn logs_are_streamed_per_container_and_for_the_app_and_downloaded() {
    let stage = Stage::shop();
    stage.container("side", 9000, false, "print a-word-from-the-side serve 9000");
    stage.until_answers("shop", "/peer/9000/", |answer| answer.body.starts_with("hello"));
    said_while_running(&stage, "webapp sitecontainers log -g rg1 -n shop --container-name side", "a-word-from-the-side");
    said_while_running(&stage, "webapp log tail -g rg1 -n shop", "puppet listens on 8080");
    let file = stage.az.directory().join("logs.zip");
    stage.az.ok(["webapp", "log", "download", "-g", "rg1", "-n", "shop", "--log-file", file.to_str().expect("a path")]);
    let listed = std::process::Command::new("python3")
        .args([
            "-c",
            "import sys, zipfile; z = zipfile.ZipFile(sys.argv[1]); print(b''.join(z.read(n) for n in z.namelist()).decode())",
        ])
        .arg(&file)
        .output()
        .expect("python runs");
    assert!(String::from_utf8_lossy(&listed.stdout).contains("a-word-from-the-side"), "{listed:?}");
}

#[test]
fn log_configuration_and_publishing_credentials_are_kept() {
    let stage = Stage::shop();
    let az = &stage.az;
    az.ok("webapp log config -g rg1 -n shop --docker-container-logging filesystem".split(' '));
    assert!(az.json("webapp log show -g rg1 -n shop").to_string().contains("fileSystem"));
    let credentials = az.json("webapp deployment list-publishing-credentials -g rg1 -n shop");
    assert_eq!(credentials["publishingUserName"], "$shop", "{credentials}");
    let hook = az.json("webapp deployment container config -g rg1 -n shop --enable-cd true");
    assert!(hook["CI_CD_URL"].as_str().is_some_and(|url| url.contains("/_scm/shop")), "{hook}");
    let settings = az.json("webapp config appsettings list -g rg1 -n shop").to_string();
    assert!(settings.contains("DOCKER_ENABLE_CI"), "{settings}");
    let profiles = az.json("webapp deployment list-publishing-profiles -g rg1 -n shop");
    assert!(profiles[0]["publishMethod"].is_string(), "{profiles}");
}

#[test]
fn the_scm_site_takes_a_token_where_its_password_is_switched_off() {
    let stage = Stage::shop();
    let id = stage.az.json("webapp show -g rg1 -n shop --query id");
    let id = id.as_str().expect("an id");
    let url = format!("{id}/basicPublishingCredentialsPolicies/scm?api-version=2024-11-01");
    stage.az.ok(["rest", "--method", "put", "--url", &url, "--body", r#"{"properties":{"allow":false}}"#]);
    let status = stage.az.ok("webapp sitecontainers status -g rg1 -n shop -o json".split(' '));
    assert!(status.contains("main"), "{status}");
}

#[test]
fn troubleshooting_names_the_cause_of_a_failed_start() {
    let stage = Stage::new();
    stage.create_shop();
    stage.main_container("print going exit 3");
    // The first exit is no failure yet: the program is started again a few times.
    let failed = || stage.copy.run(["status", "shop"]).stdout.starts_with("shop  failed");
    pillion_e2e::eventually("the start is given up", failed);
    let said = stage.az.run("webapp troubleshoot status -g rg1 -n shop -o json".split(' ')).said();
    assert!(said.contains("exit"), "{said}");
    let startup = stage.az.json("webapp log startup list -g rg1 -n shop --outcome failure");
    assert_eq!(startup[0]["type"], "failure", "{startup}");
    let shown = stage.az.json("webapp log startup show -g rg1 -n shop");
    assert!(shown["outcome"] == "failure" && shown.to_string().contains("exit"), "{shown}");
    let configuration = stage.az.json("webapp troubleshoot config -g rg1 -n shop");
    assert!(configuration.to_string().contains("exit"), "{configuration}");
}

#[test]
fn a_command_is_executed_in_the_main_container() {
    let stage = Stage::shop();
    let executed =
        stage.az.run("webapp exec -g rg1 -n shop --mode execute --command".split(' ').chain(["puppet write /tmp/mark made"]));
    assert_eq!(executed.code, 0, "{}", executed.said());
    stage.until_answers("shop", "/file/tmp/mark", |answer| answer.body == "made");
}

/// Runs commands with the SSH client that `az` brings, through a tunnel of its own; tells how each ended and what it said.
fn over_ssh(stage: &Stage, lines: &[&str]) -> String {
    let port = pillion_e2e::free_port().to_string();
    let line = format!("webapp create-remote-connection -g rg1 -n shop --port {port} --timeout 60");
    let tunnel = Running::start(&mut stage.az.command(line.split(' ')));
    let program = format!(
        "import paramiko, time\n\
         c = paramiko.SSHClient()\n\
         c.set_missing_host_key_policy(paramiko.AutoAddPolicy())\n\
         for n in range(200):\n\
         \x20   try:\n\
         \x20       c.connect('127.0.0.1', port={port}, username='root', password='Docker!', allow_agent=False, look_for_keys=False, banner_timeout=30)\n\
         \x20       break\n\
         \x20   except (OSError, paramiko.SSHException) as e:\n\
         \x20       last = e; time.sleep(0.2)\n\
         else: raise last\n\
         for line in {lines:?}:\n\
         \x20   i, o, e = c.exec_command(line)\n\
         \x20   said = (o.read() + e.read()).decode().strip()\n\
         \x20   print(o.channel.recv_exit_status(), said)\n"
    );
    let ran = Running::start(&mut stage.az.python(&program)).finish();
    tunnel.signal(Signal::KILL);
    let said = tunnel.finish().said();
    assert_eq!(ran.code, 0, "{}\n{said}", ran.said());
    ran.stdout
}

#[test]
fn ssh_through_the_tunnel_reaches_the_container() {
    let stage = Stage::shop();
    // The image has no shell: plain words need none.
    let said = over_ssh(&stage, &["puppet print from-inside exit 5", "echo $SHELL", "nothing"]);
    let told: Vec<&str> = said.lines().collect();
    assert_eq!(told[0], "5 from-inside", "{said}");
    assert!(told[1].starts_with("126 the image of container `main` has no shell (`/bin/sh`)"), "{said}");
    assert!(told[2].starts_with("126 the image of container `main` of app `shop` has no program `nothing`"), "{said}");
}

#[test]
fn deploying_code_is_refused_with_what_to_do_instead() {
    let stage = Stage::shop();
    let zip = stage.az.directory().join("app.zip");
    std::fs::write(&zip, b"PK\x05\x06\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0").expect("a file");
    let path = zip.to_str().expect("a path");
    let ran = stage.az.run(["webapp", "deploy", "-g", "rg1", "-n", "shop", "--type", "zip", "--src-path", path]);
    assert_ne!(ran.code, 0, "{}", ran.said());
    assert!(ran.said().contains("not") && ran.said().to_lowercase().contains("image"), "{}", ran.said());
    let ran = stage.az.run(["webapp", "deployment", "source", "config-zip", "-g", "rg1", "-n", "shop", "--src", path]);
    assert_ne!(ran.code, 0, "{}", ran.said());
    assert!(ran.said().to_lowercase().contains("image"), "{}", ran.said());
    assert_eq!(stage.az.json("webapp log deployment list -g rg1 -n shop"), serde_json::json!([]));
    assert_eq!(stage.until_answers("shop", "/", |answer| answer.status == 200).status, 200, "the app goes on");
}

#[test]
fn an_app_made_of_code_by_webapp_up_is_refused_with_what_to_do_instead() {
    let stage = Stage::new();
    std::fs::write(stage.az.directory().join("app.py"), "app = None\n").expect("a file");
    std::fs::write(stage.az.directory().join("requirements.txt"), "").expect("a file");
    let line = "webapp up -g rg1 -p plan1 -n code -l local --runtime PYTHON:3.12 --os-type linux --sku P1V3";
    let (code, said) = stage.az.refused(line);
    assert_eq!(code, 1, "{said}");
    assert!(!said.contains("Traceback"), "{said}");
    assert!(said.to_lowercase().contains("image"), "{said}");
}

/// Makes `shop` anew of an image of this tag that holds these programs beside the test program, and waits until it is so.
fn shop_of(stage: &Stage, tag: &str, programs: &[&str]) {
    let programs: Vec<&str> = programs.iter().flat_map(|program| ["--program", program]).collect();
    let image = Images::new(&stage.registry).push(&format!("shell:{tag}"), &Packed::program(&built("puppet")).with(&programs));
    let line = "webapp sitecontainers create -g rg1 -n shop --container-name main --is-main true --target-port 8080 --image";
    let command = format!("write /tmp/mark {tag} serve 8080");
    stage.az.ok(line.split(' ').chain([image.as_str(), "--startup-cmd", &command]));
    stage.until_answers("shop", "/file/tmp/mark", |answer| answer.body == tag);
}

/// Types into a shell on a terminal and ends it; returns what was shown. `prompt` is what it shows when it listens.
fn talk(stage: &Stage, line: &str, prompt: &str) -> String {
    let mut command = stage.az.command(line.split(' '));
    command.env("AZURE_CORE_ONLY_SHOW_ERRORS", "false");
    let terminal = Terminal::start(&command, (100, 30));
    terminal.until(prompt);
    terminal.ask("echo in-$((40+2))\n", "in-42");
    terminal.say("exit\n");
    let shown = terminal.text();
    assert_eq!(terminal.finish(), 0, "{shown}");
    shown
}

#[test]
fn ssh_opens_a_terminal_whatever_shell_the_image_has_and_says_so_where_it_has_none() {
    // dash as /bin/sh, as Debian's images have it; it knows no `source`.
    let stage = Stage::new();
    stage.create_shop();
    shop_of(&stage, "dash", &["/usr/bin/dash:/bin/sh"]);
    let ssh = "webapp ssh -g rg1 -n shop";
    let shown = talk(&stage, ssh, "# ");
    assert!(!shown.contains("not found"), "{shown}");
    // A command line that is not `az`'s own, and one that needs no shell.
    let said = over_ssh(&stage, &["echo $SHELL", "puppet print from-inside exit 5", "echo gone >&2; exit 3"]);
    assert_eq!(said, "0 /bin/sh\n5 from-inside\n3 gone\n");
    // bash wins where there is one; busybox beside it.
    shop_of(&stage, "bash", &["/usr/bin/busybox:/bin/sh", "/usr/bin/bash:/usr/bin/bash"]);
    let shown = talk(&stage, ssh, "bash-");
    assert!(!shown.contains("not found"), "{shown}");
    shop_of(&stage, "busybox", &["/usr/bin/busybox:/bin/sh"]);
    talk(&stage, ssh, "# ");
    // No shell at all: the message says what to do, and the session ends.
    shop_of(&stage, "none", &[]);
    let terminal = Terminal::start(&stage.az.command(ssh.split(' ')), (100, 30));
    terminal.until("has no shell");
    let shown = terminal.text();
    terminal.finish();
    assert!(!shown.contains("cat"), "{shown}");
}

#[test]
fn a_terminal_opens_in_the_main_container() {
    let stage = Stage::new();
    stage.create_shop();
    shop_of(&stage, "busybox", &["/usr/bin/busybox:/bin/sh"]);
    talk(&stage, "webapp exec -g rg1 -n shop --shell /bin/sh", "# ");
}

/// Runs a Python program on the site's own pages: `s` is a session of requests that proves itself, `scm` where the pages are.
fn on_the_pages(stage: &Stage, program: &str) {
    let credentials = stage.az.json("webapp deployment list-publishing-credentials -g rg1 -n shop");
    let text = |name: &str| credentials[name].as_str().unwrap_or_else(|| panic!("no {name} in {credentials}")).to_owned();
    let hosts = stage.az.json("webapp show -g rg1 -n shop --query enabledHostNames");
    let prelude = format!(
        "import requests\nscm = 'https://' + {scm:?}\ns = requests.Session()\ns.auth = ({user:?}, {password:?})\n",
        scm = hosts[1].as_str().expect("the SCM site's address"),
        user = text("publishingUserName"),
        password = text("publishingPassword"),
    );
    let ran = Running::start(&mut stage.az.python(&format!("{prelude}{program}\nprint('done')\n"))).finish();
    assert_eq!((ran.code, ran.stdout.trim()), (0, "done"), "{}", ran.said());
}

#[test]
fn every_log_that_is_listed_can_be_read_also_of_what_is_gone() {
    let stage = Stage::shop();
    stage.container("side", 9000, false, "print a-word-from-the-side serve 9000");
    stage.until_answers("shop", "/peer/9000/", |answer| answer.body.starts_with("hello"));
    stage.az.ok("webapp sitecontainers delete -g rg1 -n shop --container-name side".split(' '));
    stage.until_answers("shop", "/peer/9000/", |answer| answer.body.starts_with("nobody"));
    let first = stage.az.json("webapp list-instances -g rg1 -n shop");
    // A restart makes another instance.
    stage
        .az
        .ok("webapp config appsettings set -g rg1 -n shop --settings WEBSITES_ENABLE_APP_SERVICE_STORAGE=true A=1".split(' '));
    stage.until_answers("shop", "/env", |answer| answer.body.contains("\nA=1"));
    pillion_e2e::eventually("the first instance has ended", || {
        let status = stage.copy.json(&["status", "shop"]).to_string();
        !status.contains(first[0]["name"].as_str().expect("a name"))
    });
    on_the_pages(
        &stage,
        r#"
logs = s.get(scm + "/api/logs/docker").json()
assert len(logs) >= 3 and len({one["machineName"] for one in logs}) >= 2, logs
for one in logs:
    got = s.get(one["href"])
    assert got.status_code == 200 and got.content, (one, got.text)
    file = s.get(scm + "/api/vfs/" + one["path"].removeprefix("/home/"))
    assert file.status_code == 200 and file.headers["ETag"], (one, file.text)
    assert file.content.startswith(got.content) or got.content.startswith(file.content), one
    for changed in [s.put(file.url, data=b"x", headers={"If-Match": "*"}), s.delete(file.url, headers={"If-Match": "*"})]:
        assert changed.status_code == 405 and changed.headers["Allow"] == "GET, HEAD", changed.text
side = [one for one in logs if "/side/" in one["href"]][0]
assert b"a-word-from-the-side" in s.get(side["href"]).content
ended = side["href"].replace("follow=false", "follow=true")
assert b"a-word-from-the-side" in s.get(ended, timeout=20).content, "what has ended is not followed"
assert s.get(scm + "/api/sitecontainers/main/logs?follow=false&instance=nothing").status_code == 404
assert s.get(scm + "/api/sitecontainers/nothing/logs?follow=false").status_code == 404
assert s.put(scm + "/api/vfs/LogFiles/own.txt", data=b"mine").status_code == 201
listed = {one["name"]: one for one in s.get(scm + "/api/vfs/LogFiles/").json()}
assert set(listed) == {one["path"].rsplit("/", 1)[1] for one in logs} | {"own.txt"}, listed
assert all(s.get(one["href"]).status_code == 200 for one in listed.values()), listed
instance = logs[0]["machineName"]
for wanted in {one["machineName"] for one in logs}:
    files = s.get(scm + "/api/startuplogs", params={"instance": wanted}).json()["files"]
    assert files, wanted
    for file in files:
        told = s.get(file["href"])
        assert told.status_code == 200 and told.headers["X-StartupLog-Outcome"] == file["type"], told.text
everything = s.get(scm + "/api/startuplogs").json()["files"]
assert len(everything) > len(files), (everything, files)
assert s.get(scm + "/api/startuplogs?instance=nothing").json() == {"files": []}
"#,
    );
    let instance = stage.az.json("webapp list-instances -g rg1 -n shop");
    let instance = instance[0]["name"].as_str().expect("a name");
    let listed = stage.az.json(&format!("webapp log startup list -g rg1 -n shop --instance {instance}"));
    let name = listed[0]["name"].as_str().unwrap_or_else(|| panic!("{listed}"));
    let shown = stage.az.json(&format!("webapp log startup show -g rg1 -n shop --instance {instance}"));
    assert_eq!(shown["filename"], name, "{shown}");
    let named = stage.az.json(&format!("webapp log startup show -g rg1 -n shop --filename {name}"));
    assert!(named.to_string().contains("ready"), "{named}");
}

#[test]
fn the_scm_pages_tell_of_files_logs_settings_and_keep_to_the_apps_own_home() {
    let stage = Stage::shop();
    stage
        .az
        .ok("webapp config appsettings set -g rg1 -n shop --settings WEBSITES_ENABLE_APP_SERVICE_STORAGE=true A=1".split(' '));
    stage.until_answers("shop", "/env", |answer| answer.body.contains("\nA=1"));
    on_the_pages(
        &stage,
        r#"
assert requests.get(scm + "/api/settings").status_code == 401
assert s.get(scm + "/api/settings").json()["A"] == "1"
note = scm + "/api/vfs/site/note.txt"
made = s.put(note, data=b"by scm")
assert made.status_code == 201, made.text
read = s.get(note)
assert read.content == b"by scm" and read.headers["ETag"], read.text
part = s.get(note, headers={"Range": "bytes=3-4"})
assert (part.status_code, part.content, part.headers["Content-Range"]) == (206, b"sc", "bytes 3-4/6"), part.text
assert s.get(note, headers={"Range": "bytes=-3"}).content == b"scm"
assert s.get(note, headers={"Range": "bytes=6-"}).status_code == 416
for stale in [{}, {"If-Match": '"stale"'}]:
    again = s.put(note, data=b"other", headers=stale)
    assert again.status_code == 412, again.status_code
assert s.get(note).content == b"by scm"
assert s.put(note, data=b"second", headers={"If-Match": read.headers["ETag"]}).status_code == 204
assert s.put(note, data=b"third", headers={"If-Match": "*"}).status_code == 204
assert s.get(note).content == b"third"
assert "note.txt" in [one["name"] for one in s.get(scm + "/api/vfs/site/").json()]
for bad in ["../../etc/passwd", "..%2f..%2fetc%2fpasswd", "%2e%2e/%2e%2e/etc/passwd", "site/../../../etc/passwd"]:
    got = s.get(scm + "/api/vfs/" + bad)
    assert got.status_code >= 400 and b"root:" not in got.content, (bad, got.status_code)
assert s.get(scm + "/api/logs/docker/zip").content[:2] == b"PK"
told = s.get(scm + "/api/troubleshoot/config")
assert told.status_code == 200 and told.json()["Settings"], told.text
assert s.delete(note, headers={"If-Match": "*"}).status_code in (200, 204)
assert s.get(note).status_code == 404
"#,
    );
    // Changes of settings reach the containers, and are written down.
    on_the_pages(
        &stage,
        r#"
settings = scm + "/api/settings"
assert s.post(settings, json={"B": "two", "C": True}).status_code == 204
assert s.get(settings + "/B").json() == "two"
assert {"A": "1", "B": "two", "C": "true"}.items() <= s.get(settings).json().items(), s.get(settings).text
assert s.get(settings + "/D").status_code == s.delete(settings + "/D").status_code == 404
reserved = s.post(settings, json={"WEBSITE_HOSTNAME": "mine", "E": "1"})
assert reserved.status_code == 400 and "WEBSITE_HOSTNAME" in reserved.text, reserved.text
assert s.post(settings, data=b"[1]").status_code == 400
assert s.put(settings, json={}).status_code == 405
assert s.delete(settings + "/A").status_code == 204
assert "A" not in s.get(settings).json() and "E" not in s.get(settings).json()
"#,
    );
    let env = stage.until_answers("shop", "/env", |answer| answer.body.contains("\nB=two") && !answer.body.contains("\nA=1"));
    assert!(env.body.contains("\nC=true"), "{}", env.body);
    let audit = stage.copy.ok(["audit"]);
    assert!(audit.lines().any(|line| line.contains("$shop") && line.contains("config/write")), "{audit}");
}
