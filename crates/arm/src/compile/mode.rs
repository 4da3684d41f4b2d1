//! `linuxFxVersion`: what kind of site it is, and which programs it runs.

use pillion_fault::Fault;
use serde_json::Value;

use super::{SiteParts, SiteProblem, environment::Settings, fails};
use crate::Resource;

/// What a site runs.
pub(super) enum Mode {
    SiteContainers(Vec<Program>),
    /// `DOCKER|image`: one main; site containers are ignored.
    Docker(Vec<Program>),
}

/// One program of a site, whichever way it is written.
pub(super) struct Program {
    pub(super) name: String,
    pub(super) main: bool,
    pub(super) image: String,
    pub(super) port: Option<u16>,
    pub(super) command: Option<String>,
    pub(super) inherit: bool,
    /// The site container's own properties; empty for `DOCKER|image`.
    pub(super) properties: serde_json::Map<String, Value>,
}

impl Mode {
    pub(super) fn programs(&self) -> &[Program] {
        match self {
            Mode::SiteContainers(programs) | Mode::Docker(programs) => programs,
        }
    }
}

pub(super) fn of(site: &SiteParts, settings: &Settings, problems: &mut Vec<SiteProblem>) -> Result<Mode, SiteProblem> {
    let text = site.web.as_ref().and_then(|web| web.text("linuxFxVersion")).unwrap_or_default().trim();
    let (kind, rest) = text.split_once('|').unwrap_or((text, ""));
    match kind.to_ascii_uppercase().as_str() {
        // A site on which nobody has set a mode runs the containers it has.
        "" | "SITECONTAINERS" => site_containers(site, settings, problems),
        "DOCKER" => Ok(Mode::Docker(vec![docker(site, settings, rest, problems)])),
        "COMPOSE" | "KUBE" => Err(fails(None, Fault::ComposeNotYetSupported { mode: kind.to_ascii_uppercase() })),
        _ => Err(fails(None, Fault::CodeNotYetSupported { stack: text.to_owned() })),
    }
}

fn site_containers(site: &SiteParts, settings: &Settings, problems: &mut Vec<SiteProblem>) -> Result<Mode, SiteProblem> {
    let mut programs: Vec<Program> = site.containers.iter().map(|resource| program(resource)).collect();
    let mains = programs.iter().filter(|program| program.main).count();
    if mains != 1 {
        return Err(SiteProblem::NotYet);
    }
    // Main first, the others by name: the order in which they were written says nothing.
    programs.sort_by(|one, other| other.main.cmp(&one.main).then_with(|| one.name.cmp(&other.name)));
    if let Some(main) = programs.iter_mut().find(|program| program.main && program.port.is_none()) {
        main.port = port_setting(settings, &["WEBSITES_PORT"], problems);
    }
    Ok(Mode::SiteContainers(programs))
}

fn program(resource: &Resource) -> Program {
    let flag = |name: &str, default| resource.property(name).and_then(Value::as_bool).unwrap_or(default);
    Program {
        name: resource.id.name().to_ascii_lowercase(),
        main: flag("isMain", false),
        image: resource.text("image").unwrap_or_default().to_owned(),
        port: resource.text("targetPort").and_then(|port| port.parse().ok()),
        command: resource.text("startUpCommand").map(str::to_owned),
        inherit: flag("inheritAppSettingsAndConnectionStrings", true),
        properties: resource.properties.clone(),
    }
}

fn docker(site: &SiteParts, settings: &Settings, image: &str, problems: &mut Vec<SiteProblem>) -> Program {
    let command = site.web.as_ref().and_then(|web| web.text("appCommandLine")).filter(|command| !command.trim().is_empty());
    Program {
        name: "main".to_owned(),
        main: true,
        image: image.trim().to_owned(),
        port: port_setting(settings, &["WEBSITES_PORT", "PORT"], problems),
        command: command.map(str::to_owned),
        inherit: true,
        properties: serde_json::Map::new(),
    }
}

/// Returns the first of these settings that is there.
fn port_setting(settings: &Settings, names: &[&str], problems: &mut Vec<SiteProblem>) -> Option<u16> {
    let (name, text) = names.iter().find_map(|name| Some((*name, settings.get(name).filter(|text| !text.trim().is_empty())?)))?;
    match text.trim().parse::<u16>() {
        Ok(port) if port > 0 => Some(port),
        Ok(_) | Err(_) => {
            let reason = format!("{text:?} is no port; write a number from 1 to 65535");
            problems.push(fails(None, Fault::SettingRefused { setting: name.to_owned(), reason }));
            None
        }
    }
}
