//! Finds a plan's resources by id, name, symbolic name or copy loop.

use std::collections::HashMap;

use serde_json::{Value, json};

use super::{Kind, Planned};
use crate::{
    error::{Error, Result},
    surroundings::Surroundings,
};

/// The names of a plan's resources, all compared without case.
#[derive(Default)]
pub(crate) struct Directory {
    entries: Vec<Entry>,
    ids: HashMap<String, usize>,
    names: HashMap<String, Vec<usize>>,
    symbols: HashMap<String, usize>,
    loops: HashMap<String, Vec<usize>>,
    types: HashMap<String, Vec<usize>>,
}

struct Entry {
    id: String,
    name: String,
    resource_type: String,
    api_version: String,
    will_deploy: bool,
}

impl Directory {
    /// Copy loops are given too, since one without members can be waited for.
    pub(super) fn of(resources: &[Planned], loops: Vec<String>) -> Self {
        let mut directory =
            Self { loops: loops.into_iter().map(|name| (name.to_lowercase(), Vec::new())).collect(), ..Self::default() };
        for (index, resource) in resources.iter().enumerate() {
            directory.entries.push(Entry {
                id: resource.id.clone(),
                name: resource.name.clone(),
                resource_type: resource.resource_type.clone(),
                api_version: resource.api_version.clone(),
                will_deploy: resource.active && resource.kind != Kind::Existing,
            });
            let id = resource.id.to_lowercase();
            // Of several with one id only one is deployed.
            if (resource.active && resource.kind != Kind::Existing) || !directory.ids.contains_key(&id) {
                directory.ids.insert(id, index);
            }
            directory.names.entry(resource.name.to_lowercase()).or_default().push(index);
            directory.types.entry(resource.resource_type.to_lowercase()).or_default().push(index);
            if let Some(symbol) = &resource.symbolic_name {
                directory.symbols.insert(symbol.to_lowercase(), index);
            }
            if let Some((name, _)) = &resource.copy {
                let mut names = vec![name.to_lowercase()];
                names.extend(
                    resource
                        .symbolic_name
                        .as_ref()
                        .and_then(|symbol| symbol.rsplit_once('['))
                        .map(|(base, _)| base.to_lowercase()),
                );
                names.dedup();
                for name in names {
                    directory.loops.entry(name).or_default().push(index);
                }
            }
        }
        directory
    }

    pub(super) fn index_of_id(&self, id: &str) -> Option<usize> {
        let id = id.trim_end_matches('/').to_lowercase();
        // `resourceId()` of a group gives another spelling of its id than the one that it has.
        let of_group = || self.ids.get(&id.replace("/providers/microsoft.resources/resourcegroups/", "/resourcegroups/"));
        self.ids.get(&id).or_else(of_group).copied()
    }

    /// Whether the template makes the resource with this id.
    pub(crate) fn will_deploy(&self, id: &str) -> bool {
        self.index_of_id(id).is_some_and(|index| self.entries[index].will_deploy)
    }

    pub(super) fn of_type(&self, kind: &str) -> &[usize] {
        self.types.get(&kind.to_lowercase()).map(Vec::as_slice).unwrap_or_default()
    }

    pub(super) fn of_loop(&self, name: &str) -> &[usize] {
        self.loops.get(&name.to_lowercase()).map(Vec::as_slice).unwrap_or_default()
    }

    /// Returns what a text means that stands in `dependsOn` or is given to `reference`: a symbolic name, an id, an id without its
    /// scope, a name, or a copy loop, which may be empty.
    pub(super) fn find(&self, text: &str, scope: &str) -> Option<Vec<usize>> {
        let lower = text.trim_matches('/').to_lowercase();
        if let Some(index) = self.symbols.get(&lower) {
            return Some(vec![*index]);
        }
        if let Some(index) = self.index_of_id(text).or_else(|| self.index_of_id(&relative_id(text, scope)?)) {
            return Some(vec![index]);
        }
        if let Some(named) = self.names.get(&lower) {
            return Some(named.clone());
        }
        self.loops.get(&lower).cloned()
    }

    /// Returns the id, and the API version if it is known, of what `reference` is given.
    pub(crate) fn resolve(&self, text: &str, surroundings: &Surroundings) -> Result<(String, Option<&str>)> {
        let scope = surroundings.scope_id();
        match self.find(text, &scope).unwrap_or_default().as_slice() {
            [one] => Ok((self.entries[*one].id.clone(), Some(&self.entries[*one].api_version))),
            [] if text.starts_with('/') => Ok((text.trim_end_matches('/').to_owned(), None)),
            [] => match relative_id(text, &scope) {
                Some(id) => Ok((id, None)),
                None => Err(Error::template(format!("The resource '{text}' is not defined in the template"))),
            },
            _ => Err(Error::template(format!("Several resources of the template are meant by '{text}'; give the id of one"))),
        }
    }

    /// Returns the ids and API versions of a copy loop's members in order.
    pub(crate) fn members(&self, name: &str) -> Option<Vec<(&str, &str)>> {
        let members = self.loops.get(&name.to_lowercase())?;
        Some(members.iter().map(|index| (self.entries[*index].id.as_str(), self.entries[*index].api_version.as_str())).collect())
    }

    /// Returns what is known of a resource by its symbolic name.
    pub(crate) fn info(&self, symbol: &str) -> Option<Value> {
        let entry = &self.entries[*self.symbols.get(&symbol.to_lowercase())?];
        Some(json!({ "id": entry.id, "name": entry.name, "type": entry.resource_type, "apiVersion": entry.api_version }))
    }
}

/// Completes `Microsoft.Web/sites/shop` to an id.
fn relative_id(text: &str, scope: &str) -> Option<String> {
    let segments: Vec<&str> = text.trim_matches('/').split('/').collect();
    (segments[0].contains('.') && segments.len() >= 3 && !text.starts_with('/'))
        .then(|| format!("{scope}/providers/{}", segments.join("/")))
}
