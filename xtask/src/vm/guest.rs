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

/// For one kernel. An emulated machine is some ten times slower than the one it runs on.
const DEADLINE: Duration = Duration::from_secs(15 * 60);

/// Asks for KVM instead of emulation: `PILLION_VM_ACCEL=kvm`. Nobody else does, since a nested KVM may open and then hang.
const ACCEL: &str = "PILLION_VM_ACCEL";

/// Boots the machine and waits until it turned itself off.
///
/// # Errors
/// It broke before its tests ended, or did not end in time.
pub fn run(kernel: &Kernel, ramdisk: &Path, disk: &Path) -> Outcome<Tally> {
    let accel = std::env::var(ACCEL).unwrap_or_else(|_| "tcg,thread=multi".to_owned());
    let child = Command::new("qemu-system-x86_64")
        .args([
            "-accel",
            &accel,
            "-cpu",
            "max",
            "-smp",
            "2",
            "-m",
            "3G",
            "-nodefaults",
            "-no-reboot",
            "-display",
            "none",
            "-serial",
            "stdio",
        ])
        .arg("-kernel")
        .arg(&kernel.image)
        .arg("-initrd")
        .arg(ramdisk)
        .args(["-append", "console=ttyS0 quiet panic=-1"])
        .arg("-drive")
        .arg(format!("file={},if=virtio,format=raw,snapshot=on,cache=unsafe", disk.display()))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| format!("qemu-system-x86_64: {error}"))?;
    let mut machine = Machine(child);
    let (send, lines) = mpsc::sync_channel(1024);
    let console = machine.0.stdout.take().ok_or("qemu has no console")?;
    let reader = thread::spawn(move || {
        for line in BufReader::new(console).split(b'\n').map_while(Result::ok) {
            if send.send(String::from_utf8_lossy(&line).trim_end().to_owned()).is_err() {
                break;
            }
        }
    });
    let ended = listen(&lines, DEADLINE);
    // Killed or over: the console ends, and the reader with it.
    drop(machine);
    let _ = reader.join();
    ended
}

/// A qemu that does not outlive us.
struct Machine(Child);

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn listen(lines: &mpsc::Receiver<String>, within: Duration) -> Outcome<Tally> {
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
        eprintln!("  [{:>4} s] {line}", began.elapsed().as_secs());
        console.read(&line);
    }
}

/// What was understood of the console so far.
#[derive(Default)]
struct Console {
    tally: Tally,
    suite: Option<String>,
    /// Of the suite that runs.
    failed: usize,
    broken: Option<String>,
    done: bool,
}

impl Console {
    fn read(&mut self, line: &str) {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            ["vm-begin", suite] => (self.suite, self.failed) = (Some((*suite).to_owned()), 0),
            ["vm-end", suite, code] => {
                // A suite that was killed names no test.
                if *code != "0" && self.failed == 0 {
                    self.tally.failed.push(format!("{suite} ended with {code}"));
                }
                self.suite = None;
            }
            ["vm-broken", why @ ..] => self.broken = Some(why.join(" ")),
            ["vm-done"] => self.done = true,
            ["test", .., "ok"] => self.tally.passed += 1,
            ["test", name, "...", .., "FAILED"] => {
                self.failed += 1;
                self.tally.failed.push(format!("{} {name}", self.suite.as_deref().unwrap_or_default()));
            }
            _ => {}
        }
    }

    fn place(&self) -> String {
        self.suite.as_ref().map_or_else(|| "outside of any suite".to_owned(), |suite| format!("in suite {suite}"))
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
        let text = "vm-begin a/it\ntest one ... ok\ntest two ... FAILED\nvm-end a/it 101\nvm-begin b/it\ntest three ... ok\nvm-end b/it 0\nvm-done\n";
        assert_eq!(heard(text), Ok(Tally { passed: 2, failed: vec!["a/it two".to_owned()] }));
    }

    #[test]
    fn a_suite_that_was_killed_counts_as_a_failure() {
        let text = "vm-begin a/it\ntest one ... ok\nvm-end a/it 137\nvm-done\n";
        assert_eq!(heard(text), Ok(Tally { passed: 1, failed: vec!["a/it ended with 137".to_owned()] }));
    }

    #[test]
    fn a_machine_that_ends_before_its_tests_do_is_an_error_that_names_the_suite() {
        assert_eq!(
            heard("vm-begin a/it\ntest one ... ok\n"),
            Err("the emulated machine ended too early, in suite a/it".to_owned())
        );
    }

    #[test]
    fn a_machine_that_does_not_end_is_an_error_after_the_deadline() {
        let (send, lines) = mpsc::sync_channel(1);
        send.send("vm-begin a/it".to_owned()).expect("room for a line");
        let ended = listen(&lines, Duration::from_millis(20));
        assert_eq!(ended, Err("the emulated machine did not end within 0 s, in suite a/it".to_owned()));
    }
}
