//! The peer: podman with storage and settings of its own, away from whatever podman the machine has.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use super::pod::Images;
use crate::run::{Outcome, output};

/// The bridge of podman's default network.
const BRIDGE: &str = "/sys/class/net/cni-podman0";
/// What the names of its directories begin with.
pub const PREFIX: &str = "podman-";
/// Where a pod that nginx proxies to is found.
pub const ADDRESS: &str = "10.88.0.77";

/// Podman; when dropped its pods, mounts and files are removed.
pub struct Podman {
    dir: PathBuf,
    /// The bridge was not there before.
    makes_bridge: bool,
}

impl Podman {
    /// Sets it up and pulls the images.
    ///
    /// # Errors
    /// Podman refuses.
    pub fn with(images: &Images) -> Outcome<Podman> {
        let dir = tempfile::Builder::new().prefix(PREFIX).tempdir().map_err(|error| error.to_string())?.keep();
        let conf = format!(
            "[containers]
default_ulimits = []
[engine]
runtime = \"runc\"
cgroup_manager = \"cgroupfs\"
\
             events_logger = \"file\"
infra_image = \"{}\"
",
            images.pause
        );
        fs::write(dir.join("containers.conf"), conf).map_err(|error| error.to_string())?;
        let podman = Podman { dir, makes_bridge: !Path::new(BRIDGE).exists() };
        for image in images.all() {
            podman.pull(image)?;
        }
        Ok(podman)
    }

    /// Removes what a run that was killed left in its directory; whose the bridge is nobody knows any more.
    pub fn left(dir: &Path) {
        drop(Podman { dir: dir.to_owned(), makes_bridge: false });
    }

    /// Returns a command line up to podman's own arguments.
    fn command(&self) -> Command {
        let path = |name: &str| self.dir.join(name);
        let mut command = Command::new("podman");
        command.env("CONTAINERS_CONF", path("containers.conf"));
        for (option, place) in [("--root", "root"), ("--runroot", "run"), ("--tmpdir", "tmp")] {
            command.arg(option).arg(path(place));
        }
        command.args([
            "--storage-driver",
            "overlay",
            "--cgroup-manager",
            "cgroupfs",
            "--runtime",
            "runc",
            "--log-level",
            "error",
        ]);
        command
    }

    /// Returns the command that plays a pod; its network is podman's default one, as for any other container.
    pub fn play(&self, pod: &str, more: &[&str]) -> Outcome<Command> {
        let mut command = self.command();
        command.args(["kube", "play", "--quiet", "--network", "podman"]).args(more).arg(self.file(pod)?);
        Ok(command)
    }

    /// Pulls an image.
    ///
    /// # Errors
    /// Podman refuses.
    pub fn pull(&self, image: &str) -> Outcome {
        output(self.command().args(["pull", "--quiet", "--tls-verify=false", image])).map(drop)
    }

    /// Removes an image with its layers.
    ///
    /// # Errors
    /// Podman refuses.
    pub fn forget(&self, image: &str) -> Outcome {
        output(self.command().args(["rmi", "--force", image])).map(drop)
    }

    /// Makes an image of which each layer holds one tree of this machine, pushes it, and keeps nothing of it.
    ///
    /// # Errors
    /// Podman refuses.
    pub fn push_layers(&self, trees: &[&str], name: &str) -> Outcome {
        let empty = self.dir.join("empty.tar");
        output(Command::new("tar").args(["--create", "--files-from", "/dev/null", "--file"]).arg(&empty))?;
        let made = |n: usize| format!("localhost/layers:{n}");
        output(self.command().arg("import").arg(&empty).arg(made(0)))?;
        for (n, tree) in trees.iter().enumerate() {
            output(self.command().args(["create", "--name", "layers", "--network", "none", &made(n), "/none"]))?;
            output(self.command().args(["cp", tree, &format!("layers:/tree{n}")]))?;
            output(self.command().args(["commit", "--quiet", "layers", &made(n + 1)]))?;
            output(self.command().args(["rm", "layers"]))?;
        }
        output(self.command().args(["push", "--quiet", "--tls-verify=false", &made(trees.len()), name]))?;
        (0..=trees.len()).rev().try_for_each(|n| self.forget(&made(n)))
    }

    /// Writes a pod's file.
    ///
    /// # Errors
    /// The file cannot be written.
    fn file(&self, pod: &str) -> Outcome<PathBuf> {
        let path = self.dir.join("pod.yaml");
        fs::write(&path, pod).map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(path)
    }

    /// Removes all pods.
    ///
    /// # Errors
    /// Podman refuses.
    pub fn clear(&self) -> Outcome {
        output(self.command().args(["pod", "rm", "--force", "--all", "--time", "0"])).map(drop)
    }

    /// Returns the process ids of the helpers that podman left running for its containers.
    pub fn helpers(&self) -> Vec<u32> {
        super::footprint::processes(|words| {
            words.first().is_some_and(|program| program.ends_with("conmon"))
                && words.iter().any(|word| Path::new(word).starts_with(&self.dir))
        })
    }
}

impl Drop for Podman {
    fn drop(&mut self) {
        if let Err(reason) = self.clear() {
            eprintln!("bench: podman's pods are not removed: {reason}");
        }
        let overlay = self.dir.join("root/overlay");
        let _ = Command::new("umount").arg("--lazy").arg(overlay).output();
        if let Err(error) = fs::remove_dir_all(&self.dir) {
            eprintln!("bench: {}: {error}", self.dir.display());
        }
        if self.makes_bridge {
            let _ = Command::new("ip").args(["link", "delete", "cni-podman0"]).output();
        }
    }
}
