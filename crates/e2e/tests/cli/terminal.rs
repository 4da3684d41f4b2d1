//! A terminal of our own: the program believes that a person sits there.

use std::{
    fs::File,
    io::{Read, Write},
    process::{Child, Command},
    sync::{Arc, Mutex, PoisonError},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use pillion_e2e::{Copy, built};
use rustix::{
    pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt},
    termios::{Winsize, tcsetwinsize},
};

const PATIENCE: Duration = Duration::from_secs(60);

/// A command whose standard streams are a terminal.
pub struct Terminal {
    child: Mutex<Child>,
    ours: File,
    shown: Arc<Mutex<Vec<u8>>>,
    reader: Option<JoinHandle<()>>,
}

impl Terminal {
    /// Starts `pillion ARGS` on a terminal of so many columns and rows.
    pub fn start(copy: &Copy, args: &[&str], size: (u16, u16)) -> Terminal {
        let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).expect("a terminal");
        grantpt(&ours).and_then(|()| unlockpt(&ours)).expect("the terminal is ours");
        let theirs = ioctl_tiocgptpeer(&ours, OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC);
        let theirs = File::from(theirs.expect("the other end"));
        tcsetwinsize(&ours, winsize(size)).expect("a size is set");
        let end = || theirs.try_clone().expect("a descriptor is copied");
        // A session of its own, so that signals of the terminal reach it and nobody else.
        let child = Command::new("setsid")
            .args(["--ctty", "--wait"])
            .arg(built("pillion"))
            .args(args)
            .env("PILLION_ROOT", copy.root())
            .env("TERM", "xterm")
            .stdin(end())
            .stdout(end())
            .stderr(end())
            .spawn()
            .expect("it starts");
        let ours = File::from(ours);
        let shown = Arc::new(Mutex::new(Vec::new()));
        let (mut from, to) = (ours.try_clone().expect("a descriptor is copied"), shown.clone());
        let reader = std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            // A terminal whose other end is gone fails to be read: that is its end.
            while let Ok(count @ 1..) = from.read(&mut buffer) {
                to.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(&buffer[..count]);
            }
        });
        Terminal { child: Mutex::new(child), ours, shown, reader: Some(reader) }
    }

    /// Types.
    pub fn say(&self, text: &str) {
        (&self.ours).write_all(text.as_bytes()).expect("it can be typed");
    }

    pub fn resize(&self, size: (u16, u16)) {
        tcsetwinsize(&self.ours, winsize(size)).expect("a size is set");
    }

    /// Everything that was shown so far.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.shown.lock().unwrap_or_else(PoisonError::into_inner)).into_owned()
    }

    pub fn shows(&self, text: &str) -> bool {
        self.text().contains(text)
    }

    /// Waits until `text` is shown.
    pub fn until(&self, text: &str) {
        let ended = || self.child.lock().unwrap_or_else(PoisonError::into_inner).try_wait().is_ok_and(|end| end.is_some());
        let began = Instant::now();
        while !self.shows(text) {
            let over = ended() && !self.shows(text);
            assert!(!over && began.elapsed() < PATIENCE, "{text:?} is not shown (ended: {over}): {}", self.text());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits for the end; returns the exit code.
    pub fn finish(mut self) -> i32 {
        let ended = self.child.lock().unwrap_or_else(PoisonError::into_inner).wait().expect("a child can be waited for");
        if let Some(reader) = self.reader.take() {
            reader.join().expect("the reader ends");
        }
        ended.code().unwrap_or(-1)
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let child = self.child.get_mut().unwrap_or_else(PoisonError::into_inner);
        let _ = child.kill();
        let _ = child.wait();
    }
}

fn winsize((columns, rows): (u16, u16)) -> Winsize {
    Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 }
}
