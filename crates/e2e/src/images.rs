//! Images made from programs of this machine and pushed to a registry.

use std::process::Command;

use crate::{Part, Registry, built, part};

/// Makes images by `pillion image pack` and pushes them.
pub struct Images<'a> {
    registry: &'a Registry,
}

/// What to pack.
#[derive(Debug, Clone, Default)]
pub struct Packed {
    args: Vec<String>,
}

impl Packed {
    /// A program at `/bin/<name>`, which is the entrypoint too.
    pub fn program(path: &std::path::Path) -> Packed {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let target = format!("/bin/{name}");
        Packed { args: vec!["--program".into(), format!("{}:{target}", path.display()), "--entrypoint".into(), target] }
    }

    /// Returns the arguments for `image pack`.
    pub fn args(&self) -> impl Iterator<Item = &str> {
        self.args.iter().map(String::as_str)
    }

    /// Adds any further arguments of `image pack`.
    pub fn with(mut self, args: &[&str]) -> Packed {
        self.args.extend(args.iter().map(|arg| (*arg).to_owned()));
        self
    }
}

impl<'a> Images<'a> {
    pub fn new(registry: &'a Registry) -> Images<'a> {
        Images { registry }
    }

    /// Packs and pushes; returns the image's full name.
    ///
    /// # Panics
    /// Packing or pushing fails.
    pub fn push(&self, name: &str, packed: &Packed) -> String {
        let reference = format!("{}/{name}", self.registry.host());
        let output = Command::new(built("pillion"))
            .args(["image", "pack", "--push", &reference])
            .args(&packed.args)
            .output()
            .expect("pillion image pack runs");
        assert!(output.status.success(), "packing {name}: {}", String::from_utf8_lossy(&output.stderr));
        reference
    }

    /// The test program (`crates/e2e/src/bin/puppet.rs`), which does what its arguments say.
    pub fn puppet(&self) -> String {
        self.push("puppet:1", &Packed::program(&built("puppet")))
    }

    /// A real Redis, keeping its data in `/data`.
    pub fn redis(&self) -> String {
        let serve = ["--cmd", "--dir", "--cmd", "/data", "--cmd", "--save", "--cmd", "", "--cmd", "--appendonly", "--cmd", "yes"];
        self.push("redis:7", &Packed::program(&part(Part::Redis)).with(&serve).with(&["--expose", "6379"]))
    }

    /// A real OTLP collector that prints the spans it receives.
    pub fn rotel(&self) -> String {
        let options = [
            "start",
            "--exporter",
            "blackhole",
            "--debug-log",
            "traces",
            "--debug-log-verbosity",
            "detailed",
            "--otlp-http-endpoint",
            "0.0.0.0:4318",
            "--otlp-grpc-endpoint",
            "0.0.0.0:4317",
        ];
        let words: Vec<&str> = options.iter().flat_map(|word| ["--cmd", *word]).collect();
        self.push("rotel:1", &Packed::program(&part(Part::Rotel)).with(&words).with(&["--expose", "4318"]))
    }
}
