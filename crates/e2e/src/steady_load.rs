//! A client that makes requests at a constant rate, whatever the answers take: what a user population does.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

/// Connections that share the rate.
const CONNECTIONS: u32 = 20;
const PATIENCE: Duration = Duration::from_secs(10);

/// Requests under way, until [`SteadyLoad::end`].
pub struct SteadyLoad {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
    began: Instant,
    made: Arc<Mutex<Vec<Sample>>>,
}

/// What became of all requests.
pub struct Account {
    pub made: usize,
    pub failed: usize,
    /// The longest time in which no request was answered with 200.
    pub gap: Duration,
    /// 99 of 100 were answered within this, counted from when they were due.
    pub p99: Duration,
}

struct Sample {
    due: Duration,
    done: Duration,
    fine: bool,
}

impl SteadyLoad {
    /// Begins to ask `front` for `host`, so often a second.
    pub fn begin(front: SocketAddr, host: &str, rate: u32) -> SteadyLoad {
        let stop = Arc::new(AtomicBool::new(false));
        let made: Arc<Mutex<Vec<Sample>>> = Arc::default();
        let began = Instant::now();
        let every = Duration::from_secs(1) * CONNECTIONS / rate;
        let threads = (0..CONNECTIONS)
            .map(|n| {
                let (stop, made, host) = (stop.clone(), made.clone(), host.to_owned());
                let first = every * n / CONNECTIONS;
                thread::spawn(move || ask_again_and_again(front, &host, began, first, every, &stop, &made))
            })
            .collect();
        SteadyLoad { stop, threads, began, made }
    }

    /// Stops asking and reckons.
    pub fn end(self) -> Account {
        self.stop.store(true, Ordering::Relaxed);
        let ended = self.began.elapsed();
        for thread in self.threads {
            let _ = thread.join();
        }
        let samples = std::mem::take(&mut *self.made.lock().unwrap_or_else(PoisonError::into_inner));
        let mut fine: Vec<_> = samples.iter().filter(|sample| sample.fine).map(|sample| sample.done).collect();
        fine.push(ended);
        fine.sort_unstable();
        let gap = fine.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or(ended);
        let mut took: Vec<_> = samples.iter().map(|sample| sample.done.saturating_sub(sample.due)).collect();
        took.sort_unstable();
        Account {
            made: samples.len(),
            failed: samples.iter().filter(|sample| !sample.fine).count(),
            gap,
            p99: took.get(took.len() * 99 / 100).copied().unwrap_or_default(),
        }
    }
}

fn ask_again_and_again(
    front: SocketAddr,
    host: &str,
    began: Instant,
    first: Duration,
    every: Duration,
    stop: &AtomicBool,
    made: &Mutex<Vec<Sample>>,
) {
    let mut connection = None;
    let mut due = first;
    while !stop.load(Ordering::Relaxed) {
        thread::sleep(due.saturating_sub(began.elapsed()));
        let fine = match ask(&mut connection, front, host) {
            Ok(status) => status == 200,
            Err(_) => {
                connection = None;
                false
            }
        };
        let sample = Sample { due, done: began.elapsed(), fine };
        made.lock().unwrap_or_else(PoisonError::into_inner).push(sample);
        due += every;
    }
}

/// Makes one request, on the connection that is there or a new one, which it keeps as long as the other side does.
fn ask(connection: &mut Option<BufReader<TcpStream>>, front: SocketAddr, host: &str) -> std::io::Result<u16> {
    if connection.is_none() {
        let stream = TcpStream::connect_timeout(&front, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        *connection = Some(BufReader::new(stream));
    }
    let Some(reader) = connection.as_mut() else { return Err(std::io::ErrorKind::NotConnected.into()) };
    let request = format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n");
    reader.get_mut().write_all(request.as_bytes())?;
    let (mut status, mut length, mut close) = (0, 0, false);
    let mut line = String::new();
    loop {
        line.clear();
        if reader.read_line(&mut line)? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        let text = line.trim_end().to_ascii_lowercase();
        if text.is_empty() {
            break;
        }
        if text.starts_with("http/1.1 ") {
            status = text.get(9..12).and_then(|code| code.parse().ok()).unwrap_or(0);
        }
        match text.split_once(':') {
            Some(("content-length", value)) => length = value.trim().parse().unwrap_or(0),
            Some(("connection", value)) => close = value.trim() == "close",
            Some(_) | None => {}
        }
    }
    reader.read_exact(&mut vec![0; length])?;
    if close {
        *connection = None;
    }
    Ok(status)
}
