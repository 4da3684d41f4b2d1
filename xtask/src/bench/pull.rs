//! Row: an image of several layers from a registry on this machine, pulled and unpacked.

use std::{path::Path, process::Command, time::Instant};

use pillion_e2e::{Copy, Registry};

use super::{
    figures::{Row, Spread},
    pod::Images,
    podman::Podman,
    say,
};
use crate::run::{Outcome, output};

const ROUNDS: usize = 3;
/// One layer each: trees of this machine, with small files and large ones.
const TREES: &[&str] = &["/usr/share/doc", "/usr/include", "/usr/lib/python3", "/usr/share/perl"];

/// Measures the row.
///
/// # Errors
/// A side refuses.
pub fn measure(registry: &Registry, images: &Images) -> Outcome<Vec<Row>> {
    let podman = Podman::with(images)?;
    let trees: Vec<&str> = TREES.iter().copied().filter(|tree| Path::new(tree).exists()).collect();
    say(&format!("pull and unpack: making an image of {} layers", trees.len()));
    let name = format!("{}/bench/layers:1", registry.host());
    podman.push_layers(&trees, &name)?;
    let copy = Copy::serving();
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for round in 1..=ROUNDS {
        let began = Instant::now();
        copy.ok(["image", "pull", &name]);
        let (mine, began) = (began.elapsed().as_secs_f64(), Instant::now());
        podman.pull(&name)?;
        let peer = began.elapsed().as_secs_f64();
        ours.push(mine);
        theirs.push(peer);
        say(&format!("round {round}: pillion {mine:.2} s, podman {peer:.2} s"));
        copy.ok(["image", "remove", &name]);
        copy.ok(["image", "prune"]);
        podman.forget(&name)?;
    }
    let (ours, theirs) = (Spread::of(&ours), Spread::of(&theirs));
    let ratio = ours.median / theirs.median;
    Ok(vec![Row {
        what: format!(
            "pull + unpack of an image of {} layers, {} unpacked, from a registry on this machine",
            trees.len(),
            size(&trees)?
        ),
        ours: ours.shown("s", 2),
        peer: format!("`podman pull`: {}", theirs.shown("s", 2)),
        ratio: Some(ratio),
        target: "≤ 0.5 of podman".to_owned(),
        met: ratio <= 0.5,
    }])
}

fn size(trees: &[&str]) -> Outcome<String> {
    let text = output(Command::new("du").args(["--summarize", "--total", "--human-readable"]).args(trees))?;
    let total = text.lines().last().and_then(|line| line.split_whitespace().next());
    Ok(total.unwrap_or("?").to_owned())
}
