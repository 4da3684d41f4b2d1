//! What a test works in: a root of its own on this machine, a registry with one image, and nothing left afterwards.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU16, Ordering},
    },
    time::Duration,
};

use pillion_e2e::{Registry, Users};
use pillion_engine::{Engine, contract::Given};
use pillion_host::{HostEngine, HostSettings, LogLimits, Subnet};
use pillion_image::{
    ImageName,
    pack::{Add, Recipe, push},
};

static COUNT: AtomicU16 = AtomicU16::new(0);

pub const DOOR: &str = env!("CARGO_BIN_EXE_pillion-host-door");

/// One copy of the engine's surroundings; its network, cgroups and directories go when it is dropped.
pub struct World {
    pub settings: HostSettings,
    pub registry: Registry,
    root: tempfile::TempDir,
}

impl World {
    pub fn new() -> World {
        // Unique among all tests of this machine that run now: process ids are, and subnets and id ranges follow them.
        let (pid, count) = (std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let tag = format!("{:x}", pid * 8 + u32::from(count));
        let root = tempfile::Builder::new().prefix("pillion-host-").tempdir().expect("a temporary directory");
        let run = PathBuf::from(format!("/run/ph-{tag}"));
        let third = ((pid * 8 + u32::from(count)) % 16_000) as u16;
        let settings = HostSettings {
            state: root.path().join("lib"),
            run,
            supervisor: DOOR.into(),
            cgroup_parent: format!("ph-{tag}").into(),
            bridge: format!("ph-{tag}"),
            // Above what copies of the product take, within 10.240.0.0/12.
            subnet: Subnet { base: std::net::Ipv4Addr::from(0x0af0_0000 + u32::from(third) * 64), prefix: 26 },
            first_id: 0x6000_0000 + u32::from(third % 256) * 65_536 * 16,
            gateway_owner: (0x5fff_0001, 0x5fff_0001),
            allowed_host_paths: Vec::new(),
            images: pillion_image::Settings::default(),
            logs: LogLimits::default(),
        };
        std::fs::create_dir_all(&settings.run).expect("the run directory is made");
        std::fs::create_dir_all(&settings.state).expect("the state directory is made");
        World { settings, registry: Registry::start(Users::Anyone), root }
    }

    pub async fn open(&self) -> HostEngine {
        HostEngine::open(self.settings.clone()).await.expect("the engine opens")
    }

    /// Packs the test's own door as `/door`, pushes it under `name` and returns the whole name.
    pub async fn push(&self, name: &str) -> String {
        let layout = self.root.path().join("layout").join(name.replace(':', "-"));
        let recipe = Recipe {
            adds: vec![Add { source: DOOR.into(), destination: "/door".into() }],
            entrypoint: vec!["/door".into()],
            env: vec![("IMAGE".into(), name.into())],
            ..Recipe::default()
        };
        recipe.build(&layout).expect("the image is packed");
        let image = format!("{}/{name}", self.registry.host());
        let target: ImageName = image.parse().expect("a name");
        push(&layout, &target, None, &self.settings.images).await.expect("the image is pushed");
        image
    }

    pub async fn given(&self) -> Given {
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        Given {
            image: self.push("door:1").await,
            other_image: self.push("door:2").await,
            server: words("/door serve 8080"),
            port: 8080,
            idle: words("/door idle"),
            ends_well: words("/door end"),
            echo: words("/door echo"),
            echoed: "good day".into(),
            cat: words("/door cat"),
            absent_image: format!("{}/absent:1", self.registry.host()),
            prefix: "c".into(),
            patience: Duration::from_secs(30),
        }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        // Whatever a failed check left: the supervisors of this world are found by its directory, as after a crash.
        let settings = self.settings.clone();
        let cleared = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                let engine: Arc<HostEngine> = Arc::new(HostEngine::open(settings).await.expect("the engine opens"));
                let ids: Vec<_> = engine.observe().borrow().instances.keys().cloned().collect();
                for id in ids {
                    engine.stop(&id).await.expect("what is left can be stopped");
                }
                engine.close().await;
            });
        });
        let cleared = cleared.join();
        let _ = std::fs::remove_dir_all(&self.settings.run);
        assert!(cleared.is_ok() || std::thread::panicking(), "the world could not be cleared");
    }
}
