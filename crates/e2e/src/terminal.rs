//! A terminal of our own: the program believes that a person sits there.

use std::{
    fs::File,
    io::{Read, Write},
    process::{Child, Command, ExitStatus},
    sync::{Arc, Mutex, PoisonError},
    thread::JoinHandle,
    time::{Duration, Instant},
};

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
    /// Starts a command on a terminal of so many columns and rows.
    ///
    /// # Panics
    /// There is no terminal to be had, or the command cannot be started.
    pub fn start(command: &Command, size: (u16, u16)) -> Terminal {
        let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).expect("a terminal");
        grantpt(&ours).and_then(|()| unlockpt(&ours)).expect("the terminal is ours");
        let theirs = ioctl_tiocgptpeer(&ours, OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC);
        let theirs = File::from(theirs.expect("the other end"));
        tcsetwinsize(&ours, winsize(size)).expect("a size is set");
        let end = || theirs.try_clone().expect("a descriptor is copied");
        // A session of its own, so that signals of the terminal reach it and nobody else.
        let mut leader = Command::new("setsid");
        leader.args(["--ctty", "--wait"]).arg(command.get_program()).args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => leader.env(name, value),
                None => leader.env_remove(name),
            };
        }
        if let Some(directory) = command.get_current_dir() {
            leader.current_dir(directory);
        }
        let child = leader.env("TERM", "xterm").stdin(end()).stdout(end()).stderr(end()).spawn().expect("it starts");
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
    ///
    /// # Panics
    /// The other end is gone.
    pub fn say(&self, text: &str) {
        (&self.ours).write_all(text.as_bytes()).expect("it can be typed");
    }

    /// # Panics
    /// The terminal is gone.
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

    /// Types a line until `answer` is shown: what is typed before a program has the terminal as it wants it is thrown away.
    ///
    /// # Panics
    /// As [`Terminal::until`].
    pub fn ask(&self, line: &str, answer: &str) {
        for _ in 0..10 {
            self.say(line);
            if self.shown_within(answer, Duration::from_secs(3)) {
                return;
            }
        }
        self.until(answer);
    }

    /// Waits until `text` is shown.
    ///
    /// # Panics
    /// It is not shown in time, or the command ends before; the message carries what was shown.
    pub fn until(&self, text: &str) {
        assert!(self.shown_within(text, PATIENCE), "{text:?} is not shown: {}", self.text());
    }

    /// Returns false when the command ended before, too.
    fn shown_within(&self, text: &str, patience: Duration) -> bool {
        let ended = || self.child.lock().unwrap_or_else(PoisonError::into_inner).try_wait().is_ok_and(|end| end.is_some());
        let began = Instant::now();
        while !self.shows(text) {
            let over = ended() && !self.shows(text);
            if over || began.elapsed() > patience {
                return false;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        true
    }

    /// Waits for the end; returns the exit code.
    ///
    /// # Panics
    /// It does not end in time; the message carries what was shown.
    pub fn finish(mut self) -> i32 {
        let ended = until_ended(self.child.get_mut().unwrap_or_else(PoisonError::into_inner));
        let ended = ended.unwrap_or_else(|| panic!("it did not end: {}", self.text()));
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

fn until_ended(child: &mut Child) -> Option<ExitStatus> {
    let began = Instant::now();
    while began.elapsed() < PATIENCE {
        if let Some(ended) = child.try_wait().expect("a child can be waited for") {
            return Some(ended);
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    None
}

fn winsize((columns, rows): (u16, u16)) -> Winsize {
    Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 }
}
