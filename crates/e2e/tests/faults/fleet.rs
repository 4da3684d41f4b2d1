//! The apps that are shot at: small ones, several on one copy, so that back-offs of one never hold up the others.

use std::time::Duration;

use pillion_e2e::{Copy, Images, Registry, Role, Users, of_role, until};
use serde_json::Value;

/// How long a recovery may take; back-offs are part of it.
pub const RECOVERY: Duration = Duration::from_secs(40);

/// Apps of one main and one sidecar each.
pub struct Fleet {
    pub copy: Copy,
    pub image: String,
    pub apps: Vec<String>,
    _registry: Registry,
}

/// One container as `status` shows it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Member {
    pub app: String,
    pub instance: String,
    pub container: String,
    pub pid: i32,
}

impl Fleet {
    pub fn of(count: usize) -> Fleet {
        let registry = Registry::start(Users::Anyone);
        let image = Images::new(&registry).puppet();
        let copy = Copy::serving();
        let apps: Vec<String> = (0..count).map(|n| format!("app{n}")).collect();
        let fleet = Fleet { copy, image, apps, _registry: registry };
        for app in &fleet.apps {
            fleet.apply(app, "", 1);
        }
        fleet
    }

    /// The file of an app; `mark` makes another revision of its main.
    pub fn text(&self, app: &str, mark: &str, scale: u32) -> String {
        let image = &self.image;
        let mark = if mark.is_empty() { String::new() } else { format!("print, '{mark}', ") };
        format!(
            "name: {app}
scale: {scale}
containers:
  web: {{ main: true, image: '{image}', port: 8080, command: [{mark}serve, '8080'] }}
  side: {{ image: '{image}', port: 9000, command: [serve, '9000'] }}
"
        )
    }

    pub fn apply(&self, app: &str, mark: &str, scale: u32) {
        let ran = self.copy.apply(&self.text(app, mark, scale));
        assert_eq!(ran.code, 0, "{}", ran.said());
    }

    pub fn status(&self, app: &str) -> Value {
        self.copy.json(&["status", app])
    }

    /// Every container that runs, of apps that are whole; none while the app is not.
    pub fn members(&self, app: &str) -> Option<Vec<Member>> {
        let ran = self.copy.run(["status", app, "--output", "json"]);
        let status: Value = serde_json::from_str(&ran.stdout).ok()?;
        let wanted = status["wanted"].as_u64()?;
        let instances = status["instances"].as_array()?;
        if status["state"] != "running" || status["ready"].as_u64()? != wanted || instances.len() as u64 != wanted {
            return None;
        }
        let mut members = Vec::new();
        for instance in instances {
            for container in instance["containers"].as_array()? {
                members.push(Member {
                    app: app.to_owned(),
                    instance: instance["id"].as_str()?.to_owned(),
                    container: container["name"].as_str()?.to_owned(),
                    pid: i32::try_from(container["pid"].as_i64()?).ok()?,
                });
            }
        }
        members.sort();
        Some(members)
    }

    /// Waits until the app is whole.
    pub fn whole(&self, app: &str) -> Vec<Member> {
        let began = std::time::Instant::now();
        until(&format!("{app} is whole"), RECOVERY + Duration::from_secs(5), || {
            let members = self.members(app);
            assert!(members.is_some() || began.elapsed() < RECOVERY, "{app} is not whole: {:#}", self.status(app));
            members
        })
    }

    /// Waits until every app is whole; what runs, of all of them.
    pub fn all_whole(&self) -> Vec<Member> {
        self.apps.iter().flat_map(|app| self.whole(app)).collect()
    }

    /// The processes that guard an instance.
    pub fn guard(&self, role: Role, instance: &str) -> Option<i32> {
        of_role(&self.copy, role)
            .into_iter()
            .find(|process| process.instance.as_deref() == Some(instance))
            .map(|process| process.pid)
    }

    /// Everything that ran in the control groups of these instances, or guarded them, is gone.
    pub fn is_gone(&self, instance: &str) -> bool {
        pillion_e2e::processes(&self.copy).iter().all(|process| process.instance.as_deref() != Some(instance))
    }
}

/// The process of one container among these.
pub fn pid_of(members: &[Member], container: &str) -> i32 {
    members.iter().find(|member| member.container == container).map(|member| member.pid).expect("it runs")
}
