//! Every dependency's licence, held against the committed list `licences.txt`.

use std::{collections::BTreeMap, fs};

use serde_json::Value;

use crate::run::{Outcome, cargo, output, workspace};

/// Checks all dependencies.
///
/// # Errors
/// Names every package none of whose licences is on the list, and every line of the list that no package needs.
pub fn check() -> Outcome {
    let path = workspace().join("licences.txt");
    let list = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    let (general, exceptions) = read(&list);
    let metadata = output(cargo().args(["metadata", "--format-version", "1", "--locked"]))?;
    let metadata: Value = serde_json::from_str(&metadata).map_err(|error| format!("cargo metadata: {error}"))?;
    let mut used: BTreeMap<&str, u32> = BTreeMap::new();
    let mut refused = Vec::new();
    let packages = metadata["packages"].as_array().map(Vec::as_slice).unwrap_or_default();
    for package in packages {
        let licence = package["license"].as_str().unwrap_or("none");
        let own = exceptions.iter().filter(|(name, _)| package["name"] == *name).map(|(_, licence)| *licence);
        let allowed: Vec<&str> = general.iter().copied().chain(own).collect();
        match choose(licence, &allowed) {
            Some(chosen) => chosen.into_iter().for_each(|name| *used.entry(name).or_default() += 1),
            None => refused.push(format!("{} {}: {licence}", package["name"], package["version"])),
        }
    }
    if !refused.is_empty() {
        return Err(format!("licences that are not in licences.txt:\n  {}", refused.join("\n  ")));
    }
    let listed = general.iter().chain(exceptions.iter().map(|(_, licence)| licence));
    let idle: Vec<_> = listed.filter(|name| !used.contains_key(*name)).copied().collect();
    if !idle.is_empty() {
        return Err(format!("licences.txt lists what nothing needs any more: {}", idle.join(", ")));
    }
    eprintln!("licences: {} packages, all on the list", packages.len());
    Ok(())
}

/// Returns the licences for every package, and those for one: lines `package NAME LICENCE`.
fn read(list: &str) -> (Vec<&str>, Vec<(&str, &str)>) {
    let lines = list.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let (exceptions, general): (Vec<_>, Vec<_>) = lines.partition(|line| line.starts_with("package "));
    (general, exceptions.into_iter().filter_map(|line| line.strip_prefix("package ")?.split_once(' ')).collect())
}

/// Returns the licences under which a package can be used, all of them allowed; none where there is no such way.
///
/// SPDX: `OR` lets one choose, `AND` binds to both; parentheses group. `/` is the old way to write `OR`.
fn choose<'a>(expression: &str, allowed: &[&'a str]) -> Option<Vec<&'a str>> {
    let expression = expression.replace('/', " OR ");
    let words: Vec<String> = expression
        .replace('(', " ( ")
        .replace(')', " ) ")
        .replace(" WITH ", "-with-")
        .split_whitespace()
        .map(str::to_owned)
        .collect();
    let mut at = 0;
    any(&words, &mut at, allowed)
}

fn any<'a>(words: &[String], at: &mut usize, allowed: &[&'a str]) -> Option<Vec<&'a str>> {
    let mut best = all(words, at, allowed);
    while words.get(*at).is_some_and(|word| word == "OR") {
        *at += 1;
        let other = all(words, at, allowed);
        best = best.or(other);
    }
    best
}

fn all<'a>(words: &[String], at: &mut usize, allowed: &[&'a str]) -> Option<Vec<&'a str>> {
    let mut together = one(words, at, allowed);
    while words.get(*at).is_some_and(|word| word == "AND") {
        *at += 1;
        let other = one(words, at, allowed);
        together = together.zip(other).map(|(mut all, more)| {
            all.extend(more);
            all
        });
    }
    together
}

fn one<'a>(words: &[String], at: &mut usize, allowed: &[&'a str]) -> Option<Vec<&'a str>> {
    let word = words.get(*at)?;
    *at += 1;
    if word == "(" {
        let inside = any(words, at, allowed);
        *at += 1;
        return inside;
    }
    allowed.iter().find(|name| *name == word).map(|name| vec![*name])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_choice_needs_one_allowed_licence_and_a_conjunction_needs_all() {
        let allowed = ["MIT", "Apache-2.0", "Unicode-3.0"];
        assert!(choose("MIT OR GPL-3.0", &allowed).is_some());
        assert!(choose("GPL-3.0/MIT", &allowed).is_some());
        assert!(choose("(MIT OR Apache-2.0) AND Unicode-3.0", &allowed).is_some());
        assert!(choose("MIT AND GPL-3.0", &allowed).is_none());
        assert!(choose("(MIT AND GPL-3.0) OR LGPL-2.1", &allowed).is_none());
        assert!(choose("none", &allowed).is_none());
    }
}
