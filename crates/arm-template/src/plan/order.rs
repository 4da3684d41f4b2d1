//! Who waits for whom: circles are refused, and what is not deployed is waited through.

use std::collections::BTreeSet;

use super::{Kind, Planned};
use crate::error::{Error, Result};

/// For each resource, the indices of those it waits for.
pub(super) type Edges = Vec<BTreeSet<usize>>;

/// Returns the ids that each resource waits for.
///
/// Nothing waits for an inactive resource. Through an existing one, which is not deployed, it waits for what that waits for.
///
/// # Errors
/// Resources wait for each other in a circle; the message has its members.
pub(super) fn ordered(resources: &[Planned], edges: Edges) -> Result<Vec<Vec<String>>> {
    let edges: Edges =
        edges
            .into_iter()
            .enumerate()
            .map(|(from, to)| {
                if resources[from].active { to.into_iter().filter(|to| resources[*to].active).collect() } else { BTreeSet::new() }
            })
            .collect();
    let sequence = sequence(resources, &edges)?;
    let mut through: Edges = vec![BTreeSet::new(); resources.len()];
    for index in sequence {
        for &to in &edges[index] {
            if resources[to].kind == Kind::Existing {
                let further: Vec<usize> = through[to].iter().copied().collect();
                through[index].extend(further);
            } else {
                through[index].insert(to);
            }
        }
    }
    Ok(through.into_iter().map(|to| to.into_iter().map(|to| resources[to].id.clone()).collect()).collect())
}

/// A circle in a message shows at most so many members.
const MAX_SHOWN: usize = 20;

#[derive(Clone, Copy, PartialEq)]
enum Mark {
    New,
    Open,
    Done,
}

/// Returns the indices so that each comes after those it waits for.
fn sequence(resources: &[Planned], edges: &Edges) -> Result<Vec<usize>> {
    let mut marks = vec![Mark::New; edges.len()];
    let mut done = Vec::with_capacity(edges.len());
    for start in 0..edges.len() {
        if marks[start] != Mark::New {
            continue;
        }
        marks[start] = Mark::Open;
        let mut trail = vec![(start, edges[start].iter())];
        while let Some((index, rest)) = trail.last_mut() {
            let index = *index;
            match rest.next() {
                None => {
                    marks[index] = Mark::Done;
                    done.push(index);
                    trail.pop();
                }
                Some(&next) => match marks[next] {
                    Mark::Done => {}
                    Mark::New => {
                        marks[next] = Mark::Open;
                        trail.push((next, edges[next].iter()));
                    }
                    Mark::Open => {
                        let members = trail.iter().map(|(index, _)| *index).skip_while(|index| *index != next).chain([next]);
                        let mut names: Vec<&str> = members.map(|index| resources[index].id.as_str()).collect();
                        if names.len() > MAX_SHOWN {
                            names.splice(MAX_SHOWN / 2..names.len() - MAX_SHOWN / 2, ["…"]);
                        }
                        let message = format!("Circular dependency detected on resource: {}", names.join(" -> "));
                        return Err(Error::template(message).at(&resources[next].place));
                    }
                },
            }
        }
    }
    Ok(done)
}

/// Who waits for a resource, through others or not, itself included. Edges that lead away from the resource do not change it.
pub(super) struct Waiting {
    /// For each resource, those that wait for it.
    by: Vec<Vec<usize>>,
}

impl Waiting {
    pub(super) fn of(edges: &Edges) -> Self {
        let mut by = vec![Vec::new(); edges.len()];
        for (from, to) in edges.iter().enumerate() {
            for to in to {
                by[*to].push(from);
            }
        }
        Self { by }
    }

    pub(super) fn add(&mut self, from: usize, to: usize) {
        self.by[to].push(from);
    }

    pub(super) fn for_resource(&self, index: usize) -> Vec<bool> {
        let mut waits = vec![false; self.by.len()];
        let mut open = vec![index];
        while let Some(index) = open.pop() {
            if !std::mem::replace(&mut waits[index], true) {
                open.extend(&self.by[index]);
            }
        }
        waits
    }
}
