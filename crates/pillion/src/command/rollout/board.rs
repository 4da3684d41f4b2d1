//! The board on which a roll-out is shown: one line a container.

use std::{
    collections::BTreeMap,
    io::{IsTerminal, Write},
    time::Duration,
};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use pillion_api::wire::ContainerProgress;

use crate::{output, paint::Paint};

/// Shows progress on stderr.
pub enum Board {
    Bars {
        all: MultiProgress,
        bars: BTreeMap<String, ProgressBar>,
        paint: Paint,
    },
    /// What was last said of each container, so that nothing is said twice.
    Lines {
        said: BTreeMap<String, String>,
    },
}

impl Board {
    pub fn new() -> Self {
        if std::io::stderr().is_terminal() {
            Board::Bars { all: MultiProgress::new(), bars: BTreeMap::new(), paint: Paint::for_stderr() }
        } else {
            Board::Lines { said: BTreeMap::new() }
        }
    }

    /// Shows how far a container is.
    pub fn container(&mut self, container: &str, instance: Option<&str>, progress: &ContainerProgress) {
        // Instances differ by the last part of their id only.
        let suffix = instance.and_then(|id| id.rsplit('-').next());
        match self {
            Board::Bars { all, bars, paint } => {
                let name = container.to_owned();
                let bar = bars.entry(name).or_insert_with(|| new_bar(all, container));
                show(bar, progress, *paint);
            }
            Board::Lines { said } => {
                let Some(line) = line(progress) else { return };
                let name = match suffix {
                    Some(suffix) => format!("{container}/{suffix}"),
                    None => container.to_owned(),
                };
                if said.get(&name) != Some(&line) {
                    // A reader of stderr that went away must not stop the work.
                    let _ = writeln!(std::io::stderr(), "{name}: {line}");
                    said.insert(name, line);
                }
            }
        }
    }

    pub fn instances(&mut self, ready: u32, wanted: u32) {
        match self {
            Board::Bars { .. } => {}
            Board::Lines { said } => {
                let line = format!("{ready} of {wanted} instances ready");
                if wanted > 1 && said.get("") != Some(&line) {
                    let _ = writeln!(std::io::stderr(), "{line}");
                    said.insert(String::new(), line);
                }
            }
        }
    }

    /// Shows that a container is what the revision failed for; the error that follows says why.
    pub fn failed(&mut self, container: Option<&str>) {
        match self {
            Board::Bars { bars, paint, .. } => {
                if let Some(bar) = container.and_then(|container| bars.get(container)) {
                    bar.set_style(text_style());
                    bar.set_message(paint.error("failed"));
                }
            }
            Board::Lines { .. } => {}
        }
    }

    /// Leaves the last state standing and stops drawing.
    pub fn finish(&mut self) {
        match self {
            Board::Bars { bars, .. } => bars.values().for_each(|bar| bar.abandon()),
            Board::Lines { .. } => {}
        }
    }
}

fn new_bar(all: &MultiProgress, container: &str) -> ProgressBar {
    // Added before it ticks: until then it would draw lines of its own, which nobody takes away.
    let bar = all.add(ProgressBar::new(0).with_prefix(container.to_owned()));
    bar.set_style(text_style());
    bar.enable_steady_tick(Duration::from_millis(120));
    bar
}

fn text_style() -> ProgressStyle {
    ProgressStyle::with_template("  {prefix:<20.bold} {spinner} {msg}").expect("a constant template").tick_chars("⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏ ")
}

fn bytes_style() -> ProgressStyle {
    ProgressStyle::with_template("  {prefix:<20.bold} {spinner} pulling {bar:24} {bytes} of {total_bytes}")
        .expect("a constant template")
        .tick_chars("⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏ ")
}

fn show(bar: &ProgressBar, progress: &ContainerProgress, paint: Paint) {
    if let ContainerProgress::Pulling { done, total } = progress {
        if *total > 0 {
            bar.set_style(bytes_style());
            bar.set_length(*total);
            bar.set_position(*done);
        }
        return;
    }
    bar.set_style(text_style());
    let text = line(progress).unwrap_or_default();
    bar.set_message(match progress {
        ContainerProgress::Ready | ContainerProgress::Completed => paint.good(text),
        ContainerProgress::Failed { .. } => paint.error(text),
        ContainerProgress::BackOff { .. } | ContainerProgress::Running { diagnosis: Some(_) } => paint.warn(text),
        ContainerProgress::Resolving { .. }
        | ContainerProgress::Pulling { .. }
        | ContainerProgress::Pulled { .. }
        | ContainerProgress::Waiting { .. }
        | ContainerProgress::Starting
        | ContainerProgress::Running { diagnosis: None }
        | ContainerProgress::Stopped => text,
    });
}

/// The progress as a line; none where it moves too often for lines.
fn line(progress: &ContainerProgress) -> Option<String> {
    Some(match progress {
        ContainerProgress::Resolving { image } => format!("looking up {image}"),
        ContainerProgress::Pulling { total: 0, .. } => return None,
        ContainerProgress::Pulling { total, .. } => format!("pulling {}", output::bytes(*total)),
        ContainerProgress::Pulled { millis, .. } => format!("image present after {}", output::span(*millis)),
        ContainerProgress::Waiting { on } => format!("waiting for {}", on.join(", ")),
        ContainerProgress::Starting => "starting".into(),
        ContainerProgress::Running { diagnosis: None } => "running, not ready yet".into(),
        ContainerProgress::Running { diagnosis: Some(known) } => format!("running, not ready yet: {}", known.fault),
        ContainerProgress::Ready => "ready".into(),
        ContainerProgress::Completed => "completed".into(),
        ContainerProgress::BackOff { diagnosis, restarts } => {
            let times = if *restarts == 1 { "once".to_owned() } else { format!("{restarts} times") };
            format!("{} (restarted {times}, will try again)", diagnosis.fault)
        }
        ContainerProgress::Failed { diagnosis } => format!("failed: {}", diagnosis.fault),
        ContainerProgress::Stopped => "stopped".into(),
    })
}
