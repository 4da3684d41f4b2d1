//! The unmodified Azure CLI, pointed at a copy of Pillion by what `pillion az env` prints.

use std::{ffi::OsStr, process::Command};

use serde_json::Value;

use crate::{Copy, Part, Ran, Running, part};

/// An Azure CLI with a configuration of its own.
pub struct Az {
    directory: tempfile::TempDir,
    variables: Vec<(String, String)>,
}

/// How `az` ends when a resource is not there.
pub const NOT_FOUND: i32 = 3;

impl Az {
    /// Points a CLI at a copy whose server runs; nobody is logged in.
    pub fn unauthenticated(copy: &Copy) -> Az {
        let directory = tempfile::Builder::new().prefix("pillion-az-").tempdir().expect("a temporary directory");
        let exports = copy.ok(["az", "env"]);
        let unquoted = |value: &str| value.trim_matches(['\'', '"']).to_owned();
        let variables = exports.lines().filter_map(|line| {
            let (name, value) = line.trim().strip_prefix("export ")?.split_once('=')?;
            Some((name.to_owned(), unquoted(value)))
        });
        // The CLI's own directory must be this one's: tests run beside each other.
        let variables = variables.filter(|(name, _)| name != "AZURE_CONFIG_DIR").collect();
        Az { directory, variables }
    }

    /// Points a CLI at a copy and logs in as a new principal with this role.
    ///
    /// # Panics
    /// The login fails.
    pub fn logged_in(copy: &Copy, role: &str, scope: Option<&str>) -> Az {
        let az = Az::unauthenticated(copy);
        let mut create = vec!["principal", "create", "--role", role];
        create.extend(scope.iter().flat_map(|scope| ["--scope", scope]));
        let principal = copy.json(&create);
        az.register(copy);
        az.ok(az.login(&principal));
        az
    }

    /// Registers the copy as a cloud and chooses it.
    pub fn register(&self, copy: &Copy) {
        let endpoint = format!("{}/", endpoint(copy));
        self.ok(["cloud", "register", "-n", "pillion", "--endpoint-resource-manager", &endpoint]);
        self.ok(["cloud", "set", "-n", "pillion"]);
    }

    /// Returns the arguments that log in as a principal, as `pillion principal create` prints one.
    pub fn login(&self, principal: &Value) -> Vec<String> {
        let text = |name: &str| principal[name].as_str().unwrap_or_else(|| panic!("no {name} in {principal}")).to_owned();
        let words = ["login", "--service-principal", "-u", &text("appId"), "-p", &text("password"), "--tenant", &text("tenant")];
        words.map(str::to_owned).to_vec()
    }

    /// Makes the command `az ARGS`.
    pub fn command<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> Command {
        let mut command = Command::new(part(Part::Az));
        command.args(args);
        self.surround(&mut command);
        command
    }

    /// Makes a Python program that uses Azure's SDK, with the same trust as the CLI.
    pub fn python(&self, program: &str) -> Command {
        let mut command = Command::new(part(Part::AzPython));
        command.args(["-c", program]);
        self.surround(&mut command);
        command
    }

    /// Runs `az LINE` on a terminal and answers its questions with yes.
    ///
    /// # Panics
    /// It fails.
    pub fn agree(&self, line: &str) {
        let mut command = self.on_terminal(line);
        let output =
            command.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped()).spawn().and_then(|mut child| {
                if let Some(mut stdin) = child.stdin.take() {
                    std::io::Write::write_all(&mut stdin, b"y\n")?;
                }
                child.wait_with_output()
            });
        let output = output.expect("`script` runs");
        assert!(output.status.success(), "az {line} failed: {}", String::from_utf8_lossy(&output.stdout));
    }

    /// Makes the command `az LINE` with a terminal of its own, which `script` of Debian's essential packages gives it.
    pub fn on_terminal(&self, line: &str) -> Command {
        let mut command = Command::new("script");
        command.args(["-qec", &format!("{} {line}", part(Part::Az).display()), "/dev/null"]);
        self.surround(&mut command);
        command
    }

    fn surround(&self, command: &mut Command) {
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command.env("AZURE_CONFIG_DIR", self.directory.path()).env("AZURE_CORE_NO_COLOR", "true");
        command.env("AZURE_CORE_ONLY_SHOW_ERRORS", "true").env("PYTHONWARNINGS", "ignore").current_dir(self.directory.path());
    }

    pub fn directory(&self) -> &std::path::Path {
        self.directory.path()
    }

    /// Runs `az ARGS` to its end.
    pub fn run<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> Ran {
        Running::start(&mut self.command(args)).finish()
    }

    /// Runs `az ARGS` and insists on success; returns its stdout.
    ///
    /// # Panics
    /// It ends with another code than 0; the message carries what it said.
    pub fn ok<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> String {
        let args: Vec<_> = args.into_iter().map(|arg| arg.as_ref().to_owned()).collect();
        let ran = self.run(&args);
        assert!(ran.code == 0, "az {args:?} ended with {}:\n{}{}", ran.code, ran.stdout, ran.stderr);
        ran.stdout
    }

    /// Runs `az LINE`, the words being separated by spaces, and returns the JSON it prints (null where it prints none).
    ///
    /// # Panics
    /// It fails or prints something else.
    pub fn json(&self, line: &str) -> Value {
        let text = self.ok(line.split_whitespace().chain(["-o", "json"]));
        if text.trim().is_empty() {
            return Value::Null;
        }
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("az {line} printed no JSON ({error}): {text}"))
    }

    /// Runs `az LINE` and insists that it is refused; returns the exit code and what it said.
    ///
    /// # Panics
    /// It succeeds.
    pub fn refused(&self, line: &str) -> (i32, String) {
        let ran = self.run(line.split_whitespace());
        assert!(ran.code != 0, "az {line} was not refused: {}", ran.said());
        (ran.code, ran.said())
    }
}

/// Returns where the copy's Azure Resource Manager is, without a slash at the end.
pub fn endpoint(copy: &Copy) -> String {
    let exports = copy.ok(["az", "env"]);
    let found = exports.lines().find_map(|line| line.trim().strip_prefix("export PILLION_ENDPOINT="));
    let found = found.unwrap_or_else(|| panic!("`pillion az env` names no endpoint: {exports}"));
    found.trim_matches(['\'', '"', '/']).to_owned()
}
