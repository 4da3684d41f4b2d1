//! The app most of these tests run: a main and a sidecar, both the puppet.

use pillion_e2e::{Copy, Images, Registry, Users};
use serde_json::Value;

pub const MAIN: &str = "[serve, '8080']";
pub const SIDE: &str = "[serve, '9000']";

pub struct Shop {
    pub copy: Copy,
    pub image: String,
    pub registry: Registry,
}

impl Shop {
    /// A server that runs no app yet.
    pub fn empty() -> Shop {
        let registry = Registry::start(Users::Anyone);
        let image = Images::new(&registry).puppet();
        Shop { copy: Copy::serving(), image, registry }
    }

    /// A server with the app ready.
    pub fn open() -> Shop {
        let shop = Shop::empty();
        shop.apply(MAIN, SIDE);
        shop
    }

    pub fn file(&self, main: &str, side: &str) -> String {
        let image = &self.image;
        format!(
            "name: shop\ncontainers:\n  web: {{ main: true, image: '{image}', port: 8080, command: {main} }}\n  side: {{ \
             image: '{image}', port: 9000, command: {side} }}\n"
        )
    }

    pub fn apply(&self, main: &str, side: &str) {
        let applied = self.copy.apply(&self.file(main, side));
        assert_eq!(applied.code, 0, "{}", applied.said());
    }

    /// A container's status in the first instance.
    pub fn container(&self, name: &str) -> Value {
        let status = self.copy.json(&["status", "shop"]);
        let containers = status["instances"][0]["containers"].as_array().cloned().unwrap_or_default();
        containers.into_iter().find(|container| container["name"] == name).unwrap_or_else(|| panic!("no {name} in {status:#}"))
    }

    /// The process of a container that runs.
    pub fn pid(&self, name: &str) -> Option<i64> {
        self.container(name)["pid"].as_i64()
    }
}
