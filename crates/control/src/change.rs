//! What lies between two definitions: the least disruptive way from one to the other.

use pillion_model::{App, ContainerChange, ContainerName, changes};

/// The difference between two definitions of one app.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// They are the same.
    Nothing,
    /// No container is touched: host names, deadlines, number of instances, settings that nobody reads.
    Record { changed: Vec<String> },
    /// Sidecars change; main and what all containers share stay, so each instance goes on living.
    InPlace { added: Vec<ContainerName>, replaced: Vec<(ContainerName, Vec<String>)>, removed: Vec<ContainerName> },
    /// Main, or something that an instance gets once for its life, changes.
    NewInstances { because: String },
}

impl Change {
    /// Returns true where running instances can become the other definition without being replaced.
    pub fn in_place(&self) -> bool {
        match self {
            Change::Nothing | Change::Record { .. } | Change::InPlace { .. } => true,
            Change::NewInstances { .. } => false,
        }
    }

    /// Returns the containers that have to prove themselves after a change in place.
    pub fn touched(&self) -> Vec<ContainerName> {
        match self {
            Change::InPlace { added, replaced, .. } => {
                added.iter().cloned().chain(replaced.iter().map(|(name, _)| name.clone())).collect()
            }
            Change::Nothing | Change::Record { .. } | Change::NewInstances { .. } => Vec::new(),
        }
    }
}

/// Computes what lies between `old` and `new`. Main is never touched in a running instance: whatever changes of it has to
/// prove itself in a new one first.
pub fn change(old: &App, new: &App) -> Change {
    let all = changes(old, new);
    if let Some(reason) = all.new_instance.first() {
        return Change::NewInstances { because: reason.to_string() };
    }
    let (mut added, mut replaced, mut removed) = (Vec::new(), Vec::new(), Vec::new());
    for (name, change) in &all.containers {
        let main = [old, new].iter().any(|app| app.containers.get(name).is_some_and(|container| container.main));
        match change {
            ContainerChange::Unchanged => {}
            ContainerChange::Changed { fields } if main => {
                return Change::NewInstances { because: format!("{} of main container {name} changed", fields.join(", ")) };
            }
            ContainerChange::Changed { fields } => replaced.push((name.clone(), fields.clone())),
            ContainerChange::Added => added.push(name.clone()),
            ContainerChange::Removed => removed.push(name.clone()),
        }
    }
    if !(added.is_empty() && replaced.is_empty() && removed.is_empty()) {
        Change::InPlace { added, replaced, removed }
    } else if all.app.is_empty() {
        Change::Nothing
    } else {
        Change::Record { changed: all.app }
    }
}
