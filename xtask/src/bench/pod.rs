//! What runs on both sides: one main and nine sidecars, as an app file and as a Kubernetes pod.

use std::fmt::Write as _;

use pillion_e2e::{Packed, Registry, built};

/// Containers of an instance, the main one among them.
pub const CONTAINERS: u16 = 10;
/// The main container's port.
pub const PORT: u16 = 8080;

/// The images, one a container: the same test program under ten names, as ten different ones would be.
pub struct Images {
    names: Vec<String>,
    /// What holds a podman pod's namespaces open: the same program, asleep.
    pub pause: String,
    /// A second tag of the last sidecar's image.
    pub newer: String,
}

impl Images {
    /// Packs and pushes them.
    pub fn push(registry: &Registry) -> Images {
        let images = pillion_e2e::Images::new(registry);
        let puppet = Packed::program(&built("puppet"));
        let names = (0..CONTAINERS).map(|n| images.push(&format!("bench/c{n}:1"), &puppet)).collect();
        let pause = images.push("bench/pause:1", &puppet.clone().with(&["--cmd", "sleep"]));
        let newer = images.push("bench/newer:2", &puppet.with(&["--env", "RELEASE=2"]));
        Images { names, pause, newer }
    }

    /// Returns all names.
    pub fn all(&self) -> impl Iterator<Item = &str> {
        self.names.iter().chain([&self.pause, &self.newer]).map(String::as_str)
    }

    /// Returns the app file of an app `name` with `scale` instances.
    pub fn app_file(&self, name: &str, scale: u32) -> String {
        self.file(name, scale, &self.names)
    }

    /// Returns the app file of an app of just a main container.
    pub fn lone_app_file(&self, name: &str) -> String {
        self.short_app_file(name, 1, 1)
    }

    /// Returns the app file of an app with `scale` instances of so many containers.
    pub fn short_app_file(&self, name: &str, scale: u32, containers: usize) -> String {
        self.file(name, scale, self.names.get(..containers).unwrap_or_default())
    }

    fn file(&self, name: &str, scale: u32, images: &[String]) -> String {
        let mut text = format!("name: {name}\nscale: {scale}\ncontainers:\n");
        for (n, image) in (0..).zip(images) {
            let main = if n == 0 { "main: true, " } else { "" };
            let port = port(n);
            let _ = writeln!(text, "  c{n}: {{ {main}image: '{image}', port: {port}, command: [serve, '{port}'] }}");
        }
        text
    }

    /// Returns the same as a pod; `newer` takes the newer image for the last sidecar.
    pub fn pod(&self, name: &str, newer: bool) -> String {
        let mut text = format!("apiVersion: v1\nkind: Pod\nmetadata: {{ name: {name} }}\nspec:\n  containers:\n");
        for (n, image) in (0..).zip(&self.names) {
            let image = if newer && n == CONTAINERS - 1 { &self.newer } else { image };
            let _ = writeln!(
                text,
                "  - {{ name: c{n}, image: '{image}', imagePullPolicy: Never, command: [/bin/puppet], args: [serve, '{}'] }}",
                port(n)
            );
        }
        text
    }
}

fn port(n: u16) -> u16 {
    if n == 0 { PORT } else { 9000 + n }
}
