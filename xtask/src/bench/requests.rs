//! Row: requests per second of the gateway and of nginx, in front of the same program, by wrk.
//!
//! The program runs in a network namespace, as a container does. The gateway reaches it as it reaches every instance, over
//! a socket made in there; nginx reaches it over the namespace's veth, the only way it has.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
    time::Duration,
};

use pillion_e2e::{free_port, until};

use super::{
    figures::{Row, Spread},
    namespace::Namespace,
    proxy::Nginx,
    say,
};
use crate::run::{Outcome, output, workspace};

const ROUNDS: usize = 5;
const SECONDS: u32 = 3;
const CONNECTIONS: u32 = 64;

/// The gateway, with its access log on, in front of a program of this host; ends when dropped.
struct Gateway {
    child: Child,
    _dir: tempfile::TempDir,
}

/// What wrk measured.
struct Measured {
    rate: f64,
    p99_ms: f64,
}

/// Measures the row.
///
/// # Errors
/// A side does not come up.
pub fn measure() -> Outcome<Vec<Row>> {
    say(&format!("requests per second, {ROUNDS} rounds of {SECONDS} s a side"));
    let (behind, ours_port, theirs_port) = (free_port(), free_port(), free_port());
    let namespace = Namespace::new()?;
    let _program = Nginx::answering(&namespace, behind)?;
    let _gateway = Gateway::start(ours_port, behind, &namespace)?;
    let _nginx = Nginx::proxy(theirs_port, &format!("{}:{behind}", namespace.address()))?;
    // Both warm up.
    let _ = (wrk(ours_port, 1)?, wrk(theirs_port, 1)?);
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for round in 1..=ROUNDS {
        ours.push(wrk(ours_port, SECONDS)?);
        theirs.push(wrk(theirs_port, SECONDS)?);
        if let (Some(ours), Some(theirs)) = (ours.last(), theirs.last()) {
            say(&format!("round {round}: gateway {:.0}/s, nginx {:.0}/s", ours.rate, theirs.rate));
        }
    }
    let spread = |side: &[Measured], of: fn(&Measured) -> f64| Spread::of(&side.iter().map(of).collect::<Vec<_>>());
    let (rate, peer) = (spread(&ours, |m| m.rate), spread(&theirs, |m| m.rate));
    let (p99, peer_p99) = (spread(&ours, |m| m.p99_ms), spread(&theirs, |m| m.p99_ms));
    let shown = |rate: Spread, p99: Spread| format!("{}, p99 {}", rate.shown("/s", 0), p99.shown("ms", 1));
    let ratio = rate.median / peer.median;
    Ok(vec![Row {
        what: format!(
            "gateway requests per second, small answer of a program in a network namespace, {CONNECTIONS} connections, access log \
             and upstream keep-alive on"
        ),
        ours: shown(rate, p99),
        peer: format!("nginx, over veth: {}", shown(peer, peer_p99)),
        ratio: Some(ratio),
        target: "≥ 1.0 of nginx, p99 ≤ nginx's".to_owned(),
        met: ratio >= 1.0 && p99.median <= peer_p99.median,
    }])
}

impl Gateway {
    fn start(port: u16, behind: u16, namespace: &Namespace) -> Outcome<Gateway> {
        let dir = tempfile::Builder::new().prefix("bench-gateway-").tempdir().map_err(|error| error.to_string())?;
        // The gateway gives up root before it opens its log.
        std::os::unix::fs::chown(dir.path(), Some(65534), Some(65534)).map_err(|error| error.to_string())?;
        let built = workspace().join("target/release");
        let mut child = Command::new(built.join("examples/front"))
            .arg(built.join("pillion-gateway-door"))
            .args([port.to_string(), behind.to_string()])
            .arg(dir.path().join("access.log"))
            .arg(namespace.file())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("front: {error}"))?;
        let mut line = String::new();
        if let Some(stdout) = child.stdout.as_mut() {
            // It says its process id once the gateway listens.
            BufReader::new(stdout).read_line(&mut line).map_err(|error| format!("front: {error}"))?;
        }
        let url = format!("http://127.0.0.1:{port}/");
        until("the gateway answers", Duration::from_secs(10), || {
            pillion_e2e::get(&url).ok().filter(|answer| answer.status == 200)
        });
        Ok(Gateway { child, _dir: dir })
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        // It ends when its standard input does, and takes the gateway along.
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

fn wrk(port: u16, seconds: u32) -> Outcome<Measured> {
    let mut command = Command::new("wrk");
    command.args([
        "--threads",
        "2",
        "--latency",
        "--connections",
        &CONNECTIONS.to_string(),
        "--duration",
        &format!("{seconds}s"),
    ]);
    let text = output(command.arg(format!("http://127.0.0.1:{port}/")))?;
    if text.contains("Non-2xx") || text.contains("Socket errors") {
        return Err(format!("wrk was refused: {text}"));
    }
    let after = |label: &str| text.lines().find_map(|line| line.trim().strip_prefix(label)).map(str::trim);
    let rate = after("Requests/sec:").and_then(|figure| figure.parse().ok());
    let p99_ms = after("99%").and_then(millis);
    rate.zip(p99_ms).map(|(rate, p99_ms)| Measured { rate, p99_ms }).ok_or_else(|| format!("wrk said: {text}"))
}

fn millis(figure: &str) -> Option<f64> {
    let unit = figure.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
    let number: f64 = figure.strip_suffix(unit)?.parse().ok()?;
    match unit {
        "us" => Some(number / 1e3),
        "ms" => Some(number),
        "s" => Some(number * 1e3),
        _ => None,
    }
}
