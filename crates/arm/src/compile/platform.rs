//! Settings that steer the platform itself: how long a start and a stop may take, what counts as an answer, when an instance
//! counts as unwell.

use pillion_fault::Fault;
use pillion_model::HttpCheck;

use super::{SiteParts, SiteProblem, environment::Settings, fails};

/// What these settings come to.
pub(super) struct Limits {
    /// Seconds.
    pub(super) start: u64,
    pub(super) stop: f64,
    pub(super) warm_up_path: String,
    /// In the app file's words: `any`, or statuses and ranges.
    pub(super) warm_up_statuses: String,
    pub(super) health_failures: u32,
    pub(super) unhealthy_percent: u32,
}

/// A path that no program has; whatever answers, answers.
const WARM_UP_PATH: &str = "/robots933456.txt";

pub(super) fn limits(site: &SiteParts, settings: &Settings, problems: &mut Vec<SiteProblem>) -> Limits {
    let mut number = |name: &str, default: u64, low: u64, high: u64| {
        let Some(text) = settings.get(name).map(str::trim).filter(|text| !text.is_empty()) else { return default };
        match text.parse::<u64>() {
            // Out of range is the nearest that may be, as at the source.
            Ok(number) => number.clamp(low, high),
            Err(_) => {
                let reason = format!("{text:?} is no whole number; it is one from {low} to {high}");
                problems.push(fails(None, Fault::SettingRefused { setting: name.to_owned(), reason }));
                default
            }
        }
    };
    let start = number("WEBSITES_CONTAINER_START_TIME_LIMIT", 230, 10, 1800);
    let stop = number("WEBSITES_CONTAINER_STOP_TIME_LIMIT", 5, 0, 120) as f64;
    let health_failures = number("WEBSITE_HEALTHCHECK_MAXPINGFAILURES", 10, 2, 10) as u32;
    let percent = number("WEBSITE_HEALTHCHECK_MAXUNHEALTHYWORKERPERCENT", 50, 1, 100) as u32;
    let checked = site.web.as_ref().and_then(|web| web.text("healthCheckPath")).is_some_and(|path| !path.is_empty());
    Limits {
        start,
        stop,
        warm_up_path: path(settings, problems),
        warm_up_statuses: statuses(settings, problems),
        health_failures,
        // At 100 even the last may go; App Service never takes that one.
        unhealthy_percent: if checked { percent.min(99) } else { 100 },
    }
}

fn path(settings: &Settings, problems: &mut Vec<SiteProblem>) -> String {
    let name = "WEBSITE_WARMUP_PATH";
    let Some(text) = settings.get(name).map(str::trim).filter(|text| !text.is_empty()) else { return WARM_UP_PATH.to_owned() };
    let path = if text.starts_with('/') { text.to_owned() } else { format!("/{text}") };
    if path.contains(|c: char| c.is_whitespace() || c.is_control()) {
        let reason = format!("{text:?} is no path; it holds no spaces");
        problems.push(fails(None, Fault::SettingRefused { setting: name.to_owned(), reason }));
        return WARM_UP_PATH.to_owned();
    }
    path
}

fn statuses(settings: &Settings, problems: &mut Vec<SiteProblem>) -> String {
    let name = "WEBSITE_WARMUP_STATUSES";
    let Some(text) = settings.get(name).map(str::trim).filter(|text| !text.is_empty()) else { return "any".to_owned() };
    let statuses: String = text.split(',').map(str::trim).filter(|part| !part.is_empty()).collect::<Vec<_>>().join(",");
    let check = HttpCheck { path: "/".into(), port: None, statuses: Some(statuses.clone()), headers: indexmap::IndexMap::new() };
    if let Err(wrong) = check.status_ranges() {
        problems.push(fails(None, Fault::SettingRefused { setting: name.to_owned(), reason: wrong.to_string() }));
        return "any".to_owned();
    }
    statuses
}
