//! One run of an emulated machine: qemu is started, its serial console read line by line, its tests counted.

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::{Duration, Instant},
};

use super::kernel::Kernel;
use crate::run::Outcome;

/// What came out.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub passed: u32,
    /// By name.
    pub failed: Vec<String>,
}

impl Tally {
    /// Adds another's.
    pub fn and(mut self, other: Tally) -> Tally {
        self.passed += other.passed;
        self.failed.extend(other.failed);
        self
    }
}

/// Asks for KVM instead of emulation: `PILLION_VM_ACCEL=kvm`. Nobody else does, since a nested KVM may open and then hang.
const ACCEL: &str = "PILLION_VM_ACCEL";

/// A machine that is to be.
pub struct Guest<'a> {
    /// What its console's lines are shown with.
    pub name: &'a str,
    pub kernel: &'a Kernel,
    pub ramdisk: &'a Path,
    /// The first is its root; what is written to them is lost with the machine.
    pub disks: &'a [&'a Path],
    /// The program on the first disk that becomes process 1.
    pub goto: &'a str,
    /// Further words for the kernel's command line.
    pub options: &'a str,
    pub memory: &'a str,
    /// Emulated processors that run at once now and then see code that the other is changing, and a kernel changes its own
    /// while it boots: a machine that boots often has one.
    pub processors: &'a str,
    pub reset: Reset,
    /// From power to power. An emulated machine is some ten times slower than the one it runs on.
    pub within: Duration,
}

/// What happens when the machine resets itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reset {
    /// It is over.
    Ends,
    /// It boots again, with its disks as they are.
    Boots,
}

impl Guest<'_> {
    /// Boots the machine and waits until it turned itself off.
    ///
    /// # Errors
    /// It broke before its tests ended, or did not end in time.
    pub fn run(&self) -> Outcome<Tally> {
        let mut machine = Machine(self.qemu().spawn().map_err(|error| format!("qemu-system-x86_64: {error}"))?);
        let (send, lines) = mpsc::sync_channel(1024);
        let console = machine.0.stdout.take().ok_or("qemu has no console")?;
        let reader = thread::spawn(move || {
            for line in BufReader::new(console).split(b'\n').map_while(Result::ok) {
                if send.send(String::from_utf8_lossy(&line).trim_end().to_owned()).is_err() {
                    break;
                }
            }
        });
        let ended = listen(self.name, lines, self.within);
        // Killed or over: the console ends, and the reader with it.
        drop(machine);
        let _ = reader.join();
        ended
    }

    fn qemu(&self) -> Command {
        let accel = std::env::var(ACCEL).unwrap_or_else(|_| "tcg,thread=multi".to_owned());
        let mut qemu = Command::new("qemu-system-x86_64");
        qemu.args(["-accel", &accel, "-cpu", "max", "-smp", self.processors, "-m", self.memory])
            .args(["-nodefaults", "-display", "none", "-serial", "stdio"])
            .arg("-kernel")
            .arg(&self.kernel.image)
            .arg("-initrd")
            .arg(self.ramdisk)
            .arg("-append")
            .arg(format!("console=ttyS0 quiet panic=-1 goto={} {}", self.goto, self.options));
        if self.reset == Reset::Ends {
            qemu.arg("-no-reboot");
        }
        for disk in self.disks {
            qemu.arg("-drive").arg(format!("file={},if=virtio,format=raw,snapshot=on,cache=unsafe", disk.display()));
        }
        qemu.stdin(Stdio::null()).stdout(Stdio::piped());
        qemu
    }
}

/// A qemu that does not outlive us.
struct Machine(Child);

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Owns the lines, so that the reader ends with this.
fn listen(name: &str, lines: mpsc::Receiver<String>, within: Duration) -> Outcome<Tally> {
    let began = Instant::now();
    let mut console = Console::default();
    loop {
        let line = match lines.recv_timeout(within.saturating_sub(began.elapsed())) {
            Ok(line) => line,
            Err(RecvTimeoutError::Timeout) => {
                return Err(format!("the emulated machine did not end within {} s, {}", within.as_secs(), console.place()));
            }
            Err(RecvTimeoutError::Disconnected) => return console.end(),
        };
        eprintln!("  [{name} {:>4} s] {line}", began.elapsed().as_secs());
        console.read(&line);
        if console.panicked {
            return Err(format!("the kernel of the emulated machine panicked, {}", console.place()));
        }
    }
}

/// What was understood of the console so far.
#[derive(Default)]
struct Console {
    tally: Tally,
    /// The test that ended last.
    last: Option<String>,
    broken: Option<String>,
    done: bool,
    panicked: bool,
}

impl Console {
    /// Takes a line in; the scripts of the machine say `vm-test SUITE NAME CODE` for each test.
    fn read(&mut self, line: &str) {
        self.panicked |= line.contains("Kernel panic - ");
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            ["vm-test", suite, test, code] => {
                let test = format!("{suite} {test}");
                match *code {
                    "0" => self.tally.passed += 1,
                    // 128 and SIGKILL, which the limit for one test sends.
                    "137" => self.tally.failed.push(format!("{test}, which was killed or did not end in time")),
                    _ => self.tally.failed.push(test.clone()),
                }
                self.last = Some(test);
            }
            ["vm-broken", why @ ..] => self.broken = Some(why.join(" ")),
            ["vm-done"] => self.done = true,
            _ => {}
        }
    }

    fn place(&self) -> String {
        self.last.as_ref().map_or_else(|| "before any test ended".to_owned(), |test| format!("after {test}"))
    }

    fn end(self) -> Outcome<Tally> {
        match (&self.broken, self.done) {
            (Some(why), _) => Err(format!("the emulated machine did not come up: {why}")),
            (None, true) => Ok(self.tally),
            (None, false) => Err(format!("the emulated machine ended too early, {}", self.place())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(text: &str) -> Outcome<Tally> {
        let mut console = Console::default();
        text.lines().for_each(|line| console.read(line));
        console.end()
    }

    #[test]
    fn passed_and_failed_tests_are_counted_over_all_suites() {
        let text = "vm-test a/it one 0\nthread panicked\nvm-test a/it two 101\nvm-test b/it three 0\nvm-done\n";
        assert_eq!(heard(text), Ok(Tally { passed: 2, failed: vec!["a/it two".to_owned()] }));
    }

    #[test]
    fn a_test_that_was_killed_is_said_to_be() {
        let heard = heard("vm-test a/it one 137\nvm-done\n").expect("the machine ended in order");
        assert_eq!(heard.failed, ["a/it one, which was killed or did not end in time"]);
    }

    #[test]
    fn a_machine_that_ends_before_its_tests_do_is_an_error_that_names_the_last_one() {
        assert_eq!(heard("vm-test a/it one 0\n"), Err("the emulated machine ended too early, after a/it one".to_owned()));
    }

    #[test]
    fn a_machine_that_does_not_end_is_an_error_after_the_deadline() {
        let (send, lines) = mpsc::sync_channel(1);
        send.send("vm-test a/it one 0".to_owned()).expect("room for a line");
        let ended = listen("test", lines, Duration::from_millis(20));
        assert_eq!(ended, Err("the emulated machine did not end within 0 s, after a/it one".to_owned()));
    }
}
