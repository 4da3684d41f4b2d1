//! A process in one of a site's containers.

use axum::http::StatusCode;
use pillion_azure::Azure;
use pillion_control::ControlError;
use pillion_engine::{ExecRequest, ExecSession, TtySize};
use pillion_model::{AppName, ContainerName, InstanceId};

use super::{Scm, answer::Refusal, site::Call};

/// The one shell that an image has if it has any.
const SH: &str = "/bin/sh";
/// Chooses as `sshd` would, which knows the user's shell: `$SHELL` is what the container's environment says (or a bash that
/// is `/bin/sh` has read of passwd(5), where it may be no shell), else bash where the image has it; `$run` is what command
/// lines are for, bash or what there is. In words that dash and busybox's ash know.
macro_rules! chosen {
    ($then:literal) => {
        concat!(
            "run=$(command -v bash || echo /bin/sh); case $SHELL in */nologin|*/false) SHELL=;; esac; ",
            "[ -x \"$SHELL\" ] || SHELL=$run; export SHELL; ",
            $then
        )
    };
}
/// What `az webapp ssh` runs at its terminal, whatever the image: first this, and then that.
const AZ_GREETING: &str = "cat /etc/motd";
const AZ_SHELL: &str = "source /etc/profile; exec $SHELL -l";

/// Which container of which instance.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) app: AppName,
    pub(super) instance: Option<InstanceId>,
    /// Main where absent.
    pub(super) container: Option<ContainerName>,
}

impl Place {
    /// Reads `container` and `instance` (or the cookie) of a request.
    pub(super) async fn of(scm: &Scm, call: &Call) -> Result<Place, Refusal> {
        if call.query("target").is_some_and(|target| target.eq_ignore_ascii_case("kudu")) {
            let message = "there is no SCM container here; leave `--target` out to reach the main container, or name one";
            return Err(Refusal::new(StatusCode::NOT_IMPLEMENTED, "ScmContainerNotAvailable", message));
        }
        let container = call.query("container").filter(|name| !name.is_empty()).map(str::parse::<ContainerName>).transpose();
        let container = container.map_err(|error| Refusal::bad_request("NameInvalid", error.to_string()))?;
        let instance = call.instance(call.status(scm).await?.as_ref())?;
        Ok(Place { app: call.app.clone(), instance, container })
    }

    pub(super) async fn run(&self, azure: &Azure, request: ExecRequest) -> Result<ExecSession, NotRun> {
        let session = azure.control().exec(&self.app, self.instance.as_ref(), self.container.as_ref(), request).await;
        session.map_err(|error| match error {
            ControlError::ProgramMissing { app, container, program } if program == SH => NotRun::NoShell { app, container },
            other => NotRun::Refused(other.into()),
        })
    }
}

/// Why there is no process.
pub(super) enum NotRun {
    NoShell { app: AppName, container: String },
    Refused(Refusal),
}

impl From<NotRun> for Refusal {
    fn from(not: NotRun) -> Refusal {
        match not {
            NotRun::Refused(refusal) => refusal,
            NotRun::NoShell { app, container } => {
                let message = format!(
                    "the image of container `{container}` has no shell (`{SH}`): put one into it, or open one in a container \
                     beside it that has one and shares its network and volumes, with `pillion exec {app} --container NAME \
                     --tty -- sh`"
                );
                Refusal::bad_request("ShellMissing", message)
            }
        }
    }
}

/// Returns the command of a shell.
pub(super) fn shell(asked: Option<&str>) -> Vec<String> {
    match asked.filter(|shell| !shell.is_empty()) {
        Some(shell) => vec![shell.to_owned()],
        None => by_sh(chosen!("exec \"$SHELL\"")),
    }
}

/// What an SSH client wants to run.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) argv: Vec<String>,
    /// The same where the image has no shell; none where it needs one.
    pub(super) without_shell: Option<Vec<String>>,
    /// Whether nothing is said where it cannot be run.
    pub(super) silent: bool,
}

impl Wanted {
    /// A shell that reads the user's profile first.
    pub(super) fn login_shell() -> Wanted {
        Wanted { argv: by_sh(chosen!("exec \"$SHELL\" -l")), without_shell: None, silent: false }
    }

    pub(super) fn line(command: &str) -> Wanted {
        match command.trim() {
            // `source` is bash's word: dash says that it does not know it, to everybody who has no bash in the image. A login
            // shell reads /etc/profile by itself.
            AZ_SHELL => Wanted::login_shell(),
            // Most images have no greeting, and some no `cat`: neither is news to who wants a shell.
            AZ_GREETING => Wanted { argv: by_sh("exec cat /etc/motd 2>/dev/null"), without_shell: None, silent: true },
            _ => {
                let mut argv = by_sh(chosen!("exec \"$run\" -c \"$0\""));
                argv.push(command.to_owned());
                Wanted { argv, without_shell: words(command), silent: false }
            }
        }
    }
}

/// Takes a command line apart that means the same without a shell.
fn words(command: &str) -> Option<Vec<String>> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b" -_./=:,@%+".contains(&byte);
    let plain = command.bytes().all(plain) && !command.trim().is_empty();
    plain.then(|| command.split_whitespace().map(str::to_owned).collect())
}

fn by_sh(script: &str) -> Vec<String> {
    [SH, "-c", script].map(str::to_owned).to_vec()
}

/// Makes a request for a process at a terminal.
pub(super) fn at_terminal(argv: Vec<String>, term: Option<&str>, size: TtySize) -> ExecRequest {
    // Whatever a client says goes into the environment of a process: plain names only.
    let plain = |term: &&str| term.len() < 64 && term.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._+".contains(&byte));
    let term = term.filter(plain).unwrap_or("xterm-256color");
    ExecRequest { argv, env: vec![format!("TERM={term}")], tty: Some(size) }
}

/// Keeps a size that a terminal can have.
pub(super) fn size(columns: u64, rows: u64) -> TtySize {
    let bounded = |count: u64, otherwise: u16| match u16::try_from(count) {
        Ok(0) => otherwise,
        Ok(count) => count.min(1000),
        Err(_) => 1000,
    };
    TtySize { columns: bounded(columns, 80), rows: bounded(rows, 24) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_words_need_no_shell() {
        assert_eq!(words("ls -la /tmp").unwrap(), ["ls", "-la", "/tmp"]);
        for line in ["echo $HOME", "a | b", "", " "] {
            assert_eq!(words(line), None, "{line:?}");
        }
    }

    /// Runs what would run in a container, here.
    fn ran(mut argv: Vec<String>, sh: &str, shell: Option<&str>) -> String {
        argv[0] = sh.to_owned();
        let mut command = std::process::Command::new(&argv[0]);
        command.args(&argv[1..]).env_remove("SHELL").stdin(std::process::Stdio::null());
        command.envs(shell.map(|shell| ("SHELL", shell)));
        String::from_utf8(command.output().unwrap().stdout).unwrap()
    }

    #[test]
    fn command_lines_are_run_by_bash_and_know_the_users_shell() {
        for sh in ["/bin/sh", "/bin/bash"] {
            let told = ran(Wanted::line("echo ${BASH_VERSION:+bash} $SHELL \"it's\"").argv, sh, None);
            assert!(told.starts_with("bash /") && told.ends_with("bash it's\n"), "{sh}: {told}");
            for no_shell in ["/usr/sbin/nologin", "/no/such/shell"] {
                let told = ran(Wanted::line("echo $SHELL").argv, sh, Some(no_shell));
                assert!(told.ends_with("/bash\n"), "{sh}, {no_shell}: {told}");
            }
            assert_eq!(ran(Wanted::line("echo $SHELL").argv, sh, Some("/bin/sh")), "/bin/sh\n");
        }
    }

    #[test]
    fn what_az_runs_at_its_terminal_is_a_login_shell() {
        assert_eq!(Wanted::line(" source /etc/profile; exec $SHELL -l"), Wanted::login_shell());
        // A shell that says how it was called.
        assert_eq!(ran(Wanted::login_shell().argv, "/bin/sh", Some("/bin/echo")), "-l\n");
    }

    #[test]
    fn sizes_and_terminals_stay_sensible_whatever_comes() {
        let bounded = |columns, rows| {
            let size = size(columns, rows);
            (size.columns, size.rows)
        };
        assert_eq!(bounded(0, 0), (80, 24));
        assert_eq!(bounded(u64::MAX, 50), (1000, 50));
        let request = |term| at_terminal(Vec::new(), Some(term), size(80, 24)).env;
        assert_eq!(request("vt100"), ["TERM=vt100"]);
        assert_eq!(request("x\nLD_PRELOAD=y"), ["TERM=xterm-256color"]);
    }
}
