//! Row: one main and nine sidecars, images present, from the command to the first 200 through the front end.

use std::{
    io::{Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    process::Stdio,
    thread,
    time::{Duration, Instant},
};

use pillion_e2e::{Copy, eventually, free_port};

use super::{
    figures::{Row, Spread},
    pod::{Images, PORT},
    podman::{ADDRESS, Podman},
    proxy::Nginx,
    say,
};
use crate::run::Outcome;

const APP: &str = "bench";
/// Between two tries of the client; the same for both sides.
const PAUSE: Duration = Duration::from_millis(2);
const DEADLINE: Duration = Duration::from_secs(30);

/// Measures the row.
///
/// # Errors
/// A side does not come up.
pub fn measure(images: &Images, rounds: usize) -> Outcome<Vec<Row>> {
    say("1 main + 9 sidecars: setting up");
    let copy = Copy::serving();
    copy.file("app.yaml", &images.app_file(APP, 1));
    // Pulls the images, and tells where the gateway is.
    copy.ok(["apply", "-f", &path(&copy)]);
    let gateway = gateway(&copy)?;
    remove(&copy);
    let podman = Podman::with(images)?;
    let front = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
    let _nginx = Nginx::proxy(front.port(), &format!("{ADDRESS}:{PORT}"))?;
    // The first run of a fresh podman makes its network and database.
    play(&podman, images, front)?;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for round in 1..=rounds {
        let millis = apply(&copy, gateway)?;
        ours.push(millis);
        let peer = play(&podman, images, front)?;
        theirs.push(peer);
        say(&format!("round {round}: pillion {millis:.1} ms, podman {peer:.0} ms"));
    }
    let (ours, theirs) = (Spread::of(&ours), Spread::of(&theirs));
    let ratio = ours.median / theirs.median;
    Ok(vec![Row {
        what: "1 main + 9 sidecars, images present: command → first 200 through the front end".to_owned(),
        ours: ours.shown("ms", 0),
        peer: format!("`podman kube play` + nginx: {}", theirs.shown("ms", 0)),
        ratio: Some(ratio),
        target: "≤ 0.1 of the peer; < 120 ms".to_owned(),
        met: ratio <= 0.1 && ours.median < 120.0,
    }])
}

/// Returns the gateway's common address, from the app's URL by name.
pub fn gateway(copy: &Copy) -> Outcome<SocketAddr> {
    let status = copy.json(&["status", APP]);
    let urls = status["urls"].as_array().cloned().unwrap_or_default();
    let prefix = format!("http://{APP}.localhost:");
    let port = urls.iter().find_map(|url| url.as_str()?.strip_prefix(&prefix)?.trim_end_matches('/').parse::<u16>().ok());
    let port = port.ok_or_else(|| format!("no URL by name in {status:#}"))?;
    Ok(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))
}

fn apply(copy: &Copy, gateway: SocketAddr) -> Outcome<f64> {
    let began = Instant::now();
    let apply = copy.spawn(["apply", "-f", &path(copy)]);
    let millis = first_ok(gateway, began)?;
    let ran = apply.finish();
    if ran.code != 0 {
        return Err(format!("apply: {}", ran.said()));
    }
    remove(copy);
    Ok(millis)
}

fn remove(copy: &Copy) {
    copy.ok(["delete", APP, "--yes"]);
    eventually("the app is gone", || copy.run(["show", APP]).code == 3);
}

fn play(podman: &Podman, images: &Images, front: SocketAddr) -> Outcome<f64> {
    let mut command = podman.play(&images.pod(APP, false), &["--ip", ADDRESS])?;
    let began = Instant::now();
    let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn();
    let child = child.map_err(|error| format!("podman: {error}"))?;
    let millis = first_ok(front, began);
    let ended = child.wait_with_output().map_err(|error| format!("podman: {error}"))?;
    if !ended.status.success() {
        return Err(format!("podman kube play: {}", String::from_utf8_lossy(&ended.stderr)));
    }
    podman.clear()?;
    millis
}

/// Asks until a 200 comes; returns the milliseconds since `began`.
fn first_ok(front: SocketAddr, began: Instant) -> Outcome<f64> {
    while began.elapsed() < DEADLINE {
        if ask(front).is_ok_and(|status| status == 200) {
            return Ok(began.elapsed().as_secs_f64() * 1e3);
        }
        thread::sleep(PAUSE);
    }
    Err(format!("no 200 from {front} within {DEADLINE:?}"))
}

fn ask(front: SocketAddr) -> std::io::Result<u16> {
    let mut stream = TcpStream::connect(front)?;
    stream.set_read_timeout(Some(DEADLINE))?;
    write!(stream, "GET / HTTP/1.1\r\nHost: {APP}.localhost\r\nConnection: close\r\n\r\n")?;
    let mut head = [0; 12];
    stream.read_exact(&mut head)?;
    let status = std::str::from_utf8(&head).ok().and_then(|head| head.get(9..)?.parse().ok());
    status.ok_or_else(|| std::io::ErrorKind::InvalidData.into())
}

fn path(copy: &Copy) -> String {
    copy.root().join("app.yaml").display().to_string()
}
