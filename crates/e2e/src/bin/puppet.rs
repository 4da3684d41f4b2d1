//! The program most test images hold: it does what its arguments say, one after another.
//!
//! ```text
//! puppet print TEXT          a line on stdout           puppet warn TEXT     a line on stderr
//! puppet serve PORT [STATUS [DELAY_MS]]                 answer every HTTP request; /env, /pid, /slow?ms=N, /count, /status/CODE,
//!                                                       /peer/PORT/PATH (asks its neighbour), /file/PATH (its content)
//! puppet bind PORT           listen and answer nothing (fails if the port is taken)
//! puppet write PATH TEXT     make a file                puppet read PATH     print a file
//! puppet eat MIB             use so much memory         puppet fork N        start so many processes
//! puppet sleep               for ever                   puppet nap MS        a while
//! puppet exit CODE                                      puppet crash
//! puppet ignore-term         SIGTERM changes nothing    puppet die SIGNAL
//! puppet farewell PATH TEXT  SIGTERM adds a line to a file and ends
//! ```

use std::{
    env, fs,
    io::{BufRead, BufReader, Write},
    net::{TcpListener, TcpStream},
    process::{Command, ExitCode, exit},
    sync::atomic::{AtomicU64, Ordering},
    thread,
    time::Duration,
};

static COUNT: AtomicU64 = AtomicU64::new(0);

fn main() -> ExitCode {
    let words: Vec<String> = env::args().skip(1).collect();
    let mut words = words.iter().map(String::as_str);
    while let Some(verb) = words.next() {
        let mut next = || words.next().unwrap_or_default();
        match verb {
            "print" => println!("{}", next()),
            "warn" => eprintln!("{}", next()),
            "serve" => {
                let port = number(next());
                let status = words.next().map_or(200, number);
                let delay = words.next().map_or(0, number);
                serve(port, status, delay);
            }
            "bind" => {
                let listener = listen(number(next()));
                thread::spawn(move || listener.incoming().for_each(drop));
            }
            "write" => {
                let (path, text) = (next(), words.next().unwrap_or_default());
                if let Err(error) = fs::write(path, text) {
                    eprintln!("puppet: cannot write {path}: {error}");
                    return ExitCode::FAILURE;
                }
            }
            "read" => match fs::read_to_string(next()) {
                Ok(text) => println!("{text}"),
                Err(error) => eprintln!("puppet: cannot read: {error}"),
            },
            "eat" => eat(number(next())),
            "fork" => fork(number(next())),
            "sleep" => loop {
                thread::sleep(Duration::from_secs(3600));
            },
            "nap" => thread::sleep(Duration::from_millis(number(next()))),
            "ignore-term" => ignore_term(),
            "farewell" => {
                let (path, text) = (next().to_owned(), words.next().unwrap_or_default().to_owned());
                farewell(path, text);
            }
            "crash" => std::process::abort(),
            "exit" => exit(number(next())),
            "die" => die(number(next())),
            other => {
                eprintln!("puppet: what is `{other}`?");
                return ExitCode::FAILURE;
            }
        }
    }
    ExitCode::SUCCESS
}

fn number<T: std::str::FromStr>(text: &str) -> T {
    text.parse().unwrap_or_else(|_| {
        eprintln!("puppet: `{text}` is no number");
        exit(2)
    })
}

fn listen(port: u16) -> TcpListener {
    TcpListener::bind(("0.0.0.0", port)).unwrap_or_else(|error| {
        eprintln!("puppet: cannot listen on port {port}: {error}");
        exit(98)
    })
}

fn serve(port: u16, status: u16, delay_ms: u64) {
    let listener = listen(port);
    println!("puppet listens on {port}");
    for stream in listener.incoming().flatten() {
        thread::spawn(move || {
            // A client that goes away in the middle is its own business.
            let _ = converse(stream, status, delay_ms);
        });
    }
}

/// Answers the requests of one connection, keeping it alive.
fn converse(stream: TcpStream, status: u16, delay_ms: u64) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut writer = stream.try_clone()?;
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    loop {
        line.clear();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let target = line.split_whitespace().nth(1).unwrap_or("/").to_owned();
        let mut length = 0;
        let mut headers = String::new();
        loop {
            line.clear();
            if reader.read_line(&mut line)? == 0 || line == "\r\n" {
                break;
            }
            headers.push_str(&line.to_ascii_lowercase().replace('\r', ""));
            if let Some((name, value)) = line.split_once(':')
                && name.eq_ignore_ascii_case("content-length")
            {
                length = value.trim().parse().unwrap_or(0);
            }
        }
        let mut body = vec![0; length];
        std::io::Read::read_exact(&mut reader, &mut body)?;
        let slow = target.strip_prefix("/slow?ms=").and_then(|ms| ms.parse().ok()).unwrap_or(delay_ms);
        thread::sleep(Duration::from_millis(slow));
        let status = target.strip_prefix("/status/").and_then(|code| code.parse().ok()).unwrap_or(status);
        let answer = match target.as_str() {
            "/env" => env::vars().map(|(name, value)| format!("{name}={value}\n")).collect(),
            "/headers" => headers,
            "/pid" => format!("{}\n", std::process::id()),
            "/count" => format!("{}\n", COUNT.fetch_add(1, Ordering::Relaxed) + 1),
            peer if peer.starts_with("/peer/") => ask(&peer["/peer/".len()..]),
            file if file.starts_with("/file/") => {
                fs::read_to_string(&file["/file".len()..]).unwrap_or_else(|error| format!("{error}\n"))
            }
            "/hosts" => fs::read_to_string("/etc/hosts").unwrap_or_default(),
            _ => format!("hello from {}\n", fs::read_to_string("/etc/hostname").unwrap_or_default().trim()),
        };
        write!(writer, "HTTP/1.1 {status} Puppet\r\nContent-Length: {}\r\n\r\n{answer}", answer.len())?;
    }
}

/// Asks whoever listens on a port beside it: `PORT/PATH`.
fn ask(whom: &str) -> String {
    let (port, path) = whom.split_once('/').unwrap_or((whom, ""));
    let asked = TcpStream::connect(("localhost", number(port))).and_then(|mut stream| {
        write!(stream, "GET /{path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
        let mut reader = BufReader::new(stream);
        let mut line = String::new();
        let mut length = 0;
        while reader.read_line(&mut line)? > 2 {
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap_or(0);
            }
            line.clear();
        }
        let mut body = vec![0; length];
        std::io::Read::read_exact(&mut reader, &mut body)?;
        Ok(String::from_utf8_lossy(&body).into_owned())
    });
    asked.unwrap_or_else(|error| format!("nobody answers on {port}: {error}\n"))
}

fn eat(mib: usize) {
    let mut meal = vec![0u8; mib << 20];
    // Every page must be touched, or the kernel gives nothing.
    for byte in meal.iter_mut().step_by(4096) {
        *byte = 1;
    }
    println!("puppet has eaten {mib} MiB");
    std::mem::forget(meal);
}

fn fork(count: usize) {
    let me = env::current_exe().unwrap_or_default();
    for n in 0..count {
        if let Err(error) = Command::new(&me).arg("sleep").spawn() {
            eprintln!("puppet: process {n} cannot be started: {error}");
            exit(11);
        }
    }
}

fn ignore_term() {
    // SAFETY: SIG_IGN is a valid disposition and no handler is involved.
    unsafe { libc::signal(libc::SIGTERM, libc::SIG_IGN) };
}

fn farewell(path: String, text: String) {
    // SAFETY: an all-zero set is a valid value to be filled, and all pointers are to locals.
    let term = unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&mut set);
        libc::sigaddset(&mut set, libc::SIGTERM);
        // Before there are threads, which inherit it.
        libc::pthread_sigmask(libc::SIG_BLOCK, &set, std::ptr::null_mut());
        set
    };
    thread::spawn(move || {
        let mut signal = 0;
        // SAFETY: both are locals of this thread.
        unsafe { libc::sigwait(&term, &mut signal) };
        let file = fs::OpenOptions::new().create(true).append(true).open(&path);
        if let Err(error) = file.and_then(|mut file| writeln!(file, "{text}")) {
            eprintln!("puppet: cannot write {path}: {error}");
            exit(1);
        }
        exit(0)
    });
}

fn die(signal: i32) {
    // SAFETY: raise has no precondition.
    unsafe { libc::raise(signal) };
    // A process 1 is not killed by most of its own signals.
    exit(128 + signal);
}
