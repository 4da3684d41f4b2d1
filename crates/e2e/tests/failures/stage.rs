//! Where a failure is provoked: a registry with the puppet in it, and a copy of Pillion that serves.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use pillion_e2e::{Copy, Images, Ran, Registry, Users, get};

use crate::book;

/// Nothing that is certain may take longer, on however slow a machine; the deadline of a rollout is 230 s.
const EARLY: Duration = Duration::from_secs(60);

pub struct Stage {
    pub registry: Registry,
    pub copy: Copy,
    /// An image whose entrypoint is the puppet.
    pub image: String,
}

/// What the command line said of a failure.
#[derive(Debug)]
pub struct Told {
    /// From `error:` to the hint, without the container's own lines.
    pub head: String,
    pub hint: String,
    pub ran: Ran,
}

impl Stage {
    pub fn new() -> Stage {
        Stage::with(Copy::serving())
    }

    pub fn with(copy: Copy) -> Stage {
        let registry = Registry::start(Users::Anyone);
        let image = Images::new(&registry).puppet();
        Stage { registry, copy, image }
    }

    /// The app most failures start from: one container `web`, with these lines of its own.
    pub fn app(&self, web: &[&str]) -> String {
        self.app_of(&self.image, web)
    }

    pub fn app_of(&self, image: &str, web: &[&str]) -> String {
        let lines: String = web.iter().map(|line| format!("    {line}\n")).collect();
        format!("name: shop\nreadyWithin: 230\ncontainers:\n  web:\n    main: true\n    image: {image}\n{lines}")
    }

    /// A sidecar's lines, to stand below an app's.
    pub fn sidecar(&self, name: &str, lines: &[&str]) -> String {
        let lines: String = lines.iter().map(|line| format!("    {line}\n")).collect();
        format!("  {name}:\n    image: {}\n{lines}", self.image)
    }

    /// Applies what cannot work: the failure must be of this code, name this container, and stand on the page.
    pub fn fails(&self, section: &str, code: &str, container: &str, app: &str) -> Told {
        let told = self.refused(section, container, app);
        let status = self.copy.json(&["status", "shop"]).to_string();
        assert!(status.contains(&format!("\"code\":\"{code}\"")), "status does not tell {code}: {status}\n{}", told.head);
        told
    }

    /// Like [`Stage::fails`], of a file that is refused as it stands.
    pub fn refused(&self, section: &str, container: &str, app: &str) -> Told {
        let began = Instant::now();
        let ran = self.copy.apply(app);
        let took = began.elapsed();
        let told = Told::of(ran);
        assert!(took < EARLY, "it took {took:?} to say {}", told.head);
        let first: String = told.head.lines().take(2).collect();
        assert!(first.contains(container), "{container} is not named: {}", told.head);
        assert!(told.head.lines().take(3).any(|line| line.starts_with("hint: ")), "no fix in the first lines: {}", told.head);
        book::shows(section, &book::normal(&told.head, &self.replaced()));
        told
    }

    /// Runs the command that stands in the `n`th pair of backquotes of a fix.
    pub fn runs(&self, told: &Told, n: usize) {
        let mut words = told.printed(n).split(' ');
        assert_eq!(words.next(), Some("pillion"), "{}", told.head);
        self.copy.ok(words);
    }

    /// Applies what was put right: it becomes ready and answers.
    pub fn heals(&self, app: &str) {
        self.heals_with(app, 200);
    }

    pub fn heals_with(&self, app: &str, status: u16) {
        let ran = self.copy.apply(app);
        assert_eq!(ran.code, 0, "{}", ran.said());
        let answer = get(&self.copy.url("shop")).expect("the app answers");
        assert_eq!(answer.status, status, "{}", answer.body);
    }

    fn replaced(&self) -> Vec<(String, &'static str)> {
        let root = self.copy.root();
        let at = |dir: &str| root.join(dir).display().to_string();
        let port = self.registry.host().rsplit(':').next().unwrap_or_default().to_owned();
        vec![
            (self.registry.host(), "registry.example"),
            (format!("0.0.0.0:{port}"), "registry.example"),
            (at("lib"), "/var/lib/pillion"),
            (at("pillion.yaml"), "pillion.yaml"),
            (at("photos"), "/srv/photos"),
        ]
    }
}

impl Told {
    pub fn of(ran: Ran) -> Told {
        assert_eq!(ran.code, 1, "{}", ran.said());
        let from = ran.stderr.find("error: ").unwrap_or_else(|| panic!("no error is told: {}", ran.said()));
        let mut lines: Vec<&str> = Vec::new();
        for line in ran.stderr[from..].lines().take_while(|line| *line != "its last lines:") {
            lines.push(line);
        }
        let hint = lines.iter().find_map(|line| line.strip_prefix("hint: ")).unwrap_or_default().to_owned();
        Told { head: lines.join("\n"), hint, ran }
    }

    /// The part of the fix that stands in the `n`th pair of backquotes.
    pub fn printed(&self, n: usize) -> &str {
        self.hint.split('`').skip(1).step_by(2).nth(n).unwrap_or_else(|| panic!("nothing is printed to copy: {}", self.head))
    }
}

/// Changes one place of an app file.
pub fn swap(app: &str, from: &str, to: &str) -> String {
    assert!(app.contains(from), "{from} is not in\n{app}");
    app.replacen(from, to, 1)
}

/// An app file whose deadline is near: for failures that only time can tell.
pub fn soon(app: &str) -> String {
    swap(app, "readyWithin: 230", "readyWithin: 5")
}

/// Text of a path, for arguments.
pub fn text(path: &Path) -> &str {
    path.to_str().expect("a path of plain text")
}
