//! The helper's side: makes the namespaces, then sets them up from within. One thread, a few milliseconds.

use std::{
    error::Error,
    ffi::OsString,
    fs,
    io::{self, BufRead, Write},
    process::ExitCode,
};

use rustix::thread::{UnshareFlags, unshare_unsafe};

use crate::{
    network,
    spec::{IdRange, SandboxSpec},
};

/// Runs the helper's role; its only argument is the spec as JSON.
pub(crate) fn role(arguments: Vec<OsString>) -> ExitCode {
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // One line, with the causes: the supervisor reads it as the reason.
            let mut reason = error.to_string();
            let mut cause = error.source();
            while let Some(error) = cause {
                reason.push_str(&format!(": {error}"));
                cause = error.source();
            }
            println!("{}", reason.replace('\n', " "));
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[OsString]) -> Result<(), Box<dyn Error>> {
    let text = arguments.first().and_then(|text| text.to_str()).ok_or("the spec is missing")?;
    let spec: SandboxSpec = serde_json::from_str(text)?;
    let mut flags = UnshareFlags::NEWNET | UnshareFlags::NEWIPC | UnshareFlags::NEWUTS;
    if spec.ids.is_some() {
        // In one call: the others then belong to the user namespace, else its root could neither set them up nor
        // let containers join them.
        flags |= UnshareFlags::NEWUSER;
    }
    // SAFETY: `FILES`, the one flag that could pull file descriptors from under another thread, is not among them.
    unsafe { unshare_unsafe(flags) }.map_err(|error| format!("cannot make the namespaces: {}", io::Error::from(error)))?;
    say("ready")?;
    let mut line = String::new();
    if io::stdin().lock().read_line(&mut line)? == 0 {
        // The supervisor gave up, or died.
        return Ok(());
    }
    if spec.ids.is_some() {
        become_root()?;
    }
    nix::unistd::sethostname(&spec.hostname)?;
    network::configure_inside(&spec.network)?;
    open_to_ordinary_programs(spec.ids)?;
    say("done")?;
    Ok(())
}

/// Takes the ids that the map made available; before, this process is nobody in its own namespace.
fn become_root() -> nix::Result<()> {
    nix::unistd::setgroups(&[])?;
    nix::unistd::setresgid(0.into(), 0.into(), 0.into())?;
    nix::unistd::setresuid(0.into(), 0.into(), 0.into())
}

/// Lets every user inside use low ports and ICMP echo sockets, so that no program needs a capability for them.
fn open_to_ordinary_programs(ids: Option<IdRange>) -> io::Result<()> {
    fs::write("/proc/sys/net/ipv4/ip_unprivileged_port_start", "0")?;
    // Every id of the range must be mapped in the user namespace.
    let last = ids.map_or(i32::MAX as u32, |ids| ids.len.saturating_sub(1));
    fs::write("/proc/sys/net/ipv4/ping_group_range", format!("0 {last}"))
        .or_else(|_| fs::write("/proc/sys/net/ipv4/ping_group_range", "0 65535"))
}

fn say(word: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{word}")?;
    stdout.flush()
}
