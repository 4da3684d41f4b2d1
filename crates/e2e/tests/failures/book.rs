//! The page `docs/reference/failures.md`: its examples are compared with what the program says, or written anew from it
//! with `PILLION_GOLDEN=write`.

use std::{fs, path::PathBuf};

use pillion_e2e::workspace;

const FENCE: &str = "```";

pub fn path() -> PathBuf {
    workspace().join("docs/reference/failures.md")
}

pub fn text() -> String {
    fs::read_to_string(path()).expect("the page can be read")
}

/// Holds the example of a section to what was said.
///
/// # Panics
/// The page has no such section, or shows something else.
pub fn shows(section: &str, said: &str) {
    let write = std::env::var_os("PILLION_GOLDEN").is_some_and(|value| value == "write");
    // Tests run in processes of their own, and all write one page.
    let lock = fs::File::create(workspace().join("target/failures.lock")).expect("a lock file");
    lock.lock().expect("the lock is taken");
    let page = text();
    let (start, end) =
        example(&page, section).unwrap_or_else(|| panic!("the page has no section `### {section}` with an example"));
    let example = format!("$ pillion apply -f pillion.yaml\n{said}\n");
    if write {
        fs::write(path(), format!("{}{example}{}", &page[..start], &page[end..])).expect("the page is written");
    } else {
        assert_eq!(&page[start..end], example, "the example of `### {section}` in docs/reference/failures.md");
    }
}

/// Returns where a section's first `console` block begins and ends.
fn example(page: &str, section: &str) -> Option<(usize, usize)> {
    let heading = format!("\n### {section}\n");
    let from = page.find(&heading)? + heading.len();
    let until =
        page[from..].find("\n## ").into_iter().chain(page[from..].find("\n### ")).min().map_or(page.len(), |at| from + at);
    let opening = format!("{FENCE}console\n");
    let start = from + page[from..until].find(&opening)? + opening.len();
    let end = start + page[start..until].find(FENCE)?;
    Some((start, end))
}

/// Puts stable words where each run has others: the registry's port, digests, directories, times.
pub fn normal(said: &str, replaced: &[(String, &str)]) -> String {
    let mut text = said.to_owned();
    for (from, to) in replaced {
        text = text.replace(from, to);
    }
    digests(&after(&text))
}

fn digests(text: &str) -> String {
    let mut parts = text.split("sha256:");
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let rest = part.trim_start_matches(|c: char| c.is_ascii_hexdigit());
        out.push_str("sha256:");
        out.push_str(if rest.len() < part.len() { "…" } else { "" });
        out.push_str(rest);
    }
    out
}

/// `after 37 ms` differs each time; the page says 12.
fn after(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find("after ") {
        let (before, tail) = rest.split_at(at + "after ".len());
        out.push_str(before);
        let number = tail.len() - tail.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.').len();
        let unit = [" ms", " s"].into_iter().find(|unit| tail[number..].starts_with(unit));
        match unit {
            Some(unit) if number > 0 => {
                out.push_str("12 ms");
                rest = &tail[number + unit.len()..];
            }
            Some(_) | None => rest = tail,
        }
    }
    out + rest
}
