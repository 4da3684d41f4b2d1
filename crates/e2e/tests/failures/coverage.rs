//! The page leaves nothing out and speaks of nothing that is not there.

use std::{collections::BTreeSet, fs};

use pillion_e2e::workspace;

use crate::book;

/// The words before each entry of the golden file of all faults.
fn codes() -> BTreeSet<String> {
    let golden = fs::read_to_string(workspace().join("crates/fault/golden/faults.txt")).expect("the faults");
    golden.lines().filter(|line| !line.starts_with(' ')).map(str::to_owned).collect()
}

#[test]
fn the_page_names_every_fault_and_no_other() {
    let page = book::text();
    let lines = page.lines().filter_map(|line| line.strip_prefix("Code: "));
    let named: BTreeSet<String> = lines.flat_map(|line| line.split('`').skip(1).step_by(2)).map(str::to_owned).collect();
    let file: BTreeSet<String> = ["InvalidFile", "Refused"].map(str::to_owned).into();
    let named: BTreeSet<String> = named.difference(&file).cloned().collect();
    assert_eq!(named, codes());
}

#[test]
fn every_section_with_an_example_is_held_to_it_by_a_test() {
    let tests: String = fs::read_dir(workspace().join("crates/e2e/tests/failures"))
        .expect("the tests")
        .flatten()
        .map(|entry| fs::read_to_string(entry.path()).expect("a test's text"))
        .collect();
    let page = book::text();
    let mut shown = 0;
    for section in page.split("\n### ").skip(1) {
        let title = section.lines().next().unwrap_or_default();
        let body = section.split("\n## ").next().unwrap_or_default();
        if body.contains("```console") {
            shown += 1;
            assert!(tests.contains(&format!("\"{title}\"")), "no test shows `### {title}`");
        }
    }
    assert!(shown >= 25, "{shown} failures are shown");
}
