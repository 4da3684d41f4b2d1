//! Text to tree: YAML events folded into nodes, with anchors resolved within a budget.

use std::collections::HashMap;

use granit_parser::{Event, Marker, Parser, ScalarStyle, ScanError, Tag};

use super::node::{Key, Node, Value};
use crate::{Place, Problem, ProblemCode};

/// A file larger than this is no app file.
const MAX_BYTES: usize = 4 << 20;
/// Nodes in all; aliases that multiply beyond it are an attack.
const MAX_NODES: usize = 100_000;

/// A list or map that is still open.
enum Open {
    List { place: Place, anchor: usize, items: Vec<Node> },
    Map { place: Place, anchor: usize, entries: Vec<(Key, Node)>, key: Option<Key> },
}

#[derive(Default)]
struct Builder {
    open: Vec<Open>,
    root: Option<Node>,
    anchors: HashMap<usize, (Node, usize)>,
    nodes: usize,
}

/// Reads a file's text.
///
/// # Errors
/// The first thing that is no YAML, with its place.
pub(super) fn tree(text: &str) -> Result<Node, Problem> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if text.len() > MAX_BYTES {
        return Err(Problem::new(ProblemCode::Syntax, "", format!("the file has more than {} MiB", MAX_BYTES >> 20)));
    }
    yaml(text).or_else(|problem| {
        // A few control characters may stand bare in JSON's strings but not in YAML's.
        match serde_json::from_str::<serde_json::Value>(text) {
            Ok(json) if problem.code == ProblemCode::Syntax && json.is_object() => Ok(json_node(json)),
            Ok(_) | Err(_) => Err(problem),
        }
    })
}

fn json_node(json: serde_json::Value) -> Node {
    let plain = |text: String| Value::Scalar { text, plain: true };
    let start = Place { line: 1, column: 1 };
    let value = match json {
        serde_json::Value::Null => plain("null".to_owned()),
        serde_json::Value::Bool(value) => plain(value.to_string()),
        serde_json::Value::Number(number) => plain(number.to_string()),
        serde_json::Value::String(text) => Value::Scalar { text, plain: false },
        serde_json::Value::Array(items) => Value::List(items.into_iter().map(json_node).collect()),
        serde_json::Value::Object(entries) => {
            Value::Map(entries.into_iter().map(|(text, value)| (Key { text, place: start }, json_node(value))).collect())
        }
    };
    Node { place: start, value }
}

fn yaml(text: &str) -> Result<Node, Problem> {
    let mut builder = Builder::default();
    let mut documents = 0;
    for step in Parser::new_from_str(text) {
        let (event, span) = step.map_err(|error| scan_problem(&error, text))?;
        let place = place(&span.start);
        match event {
            Event::DocumentStart(..) => {
                documents += 1;
                if documents > 1 {
                    return Err(syntax(place, "the file holds more than one document (`---`); an app file holds one app"));
                }
            }
            Event::Alias(id) => builder.alias(id, place)?,
            Event::UnresolvedAlias(name) => return Err(syntax(place, format!("nothing is named `&{name}` before this"))),
            Event::Scalar(text, style, anchor, tag) => {
                let plain = style == ScalarStyle::Plain && !text_tag(tag.as_deref(), place)?;
                builder.node(Node { place, value: Value::Scalar { text: text.into_owned(), plain } }, anchor, 1)?;
            }
            Event::SequenceStart(_, anchor, tag) => {
                text_tag(tag.as_deref(), place)?;
                builder.start(Open::List { place, anchor, items: Vec::new() }, place)?;
            }
            Event::MappingStart(_, anchor, tag) => {
                text_tag(tag.as_deref(), place)?;
                builder.start(Open::Map { place, anchor, entries: Vec::new(), key: None }, place)?;
            }
            Event::SequenceEnd | Event::MappingEnd => builder.end()?,
            Event::StreamStart | Event::StreamEnd | Event::DocumentEnd | Event::Anchor(..) | Event::Comment(..) => {}
            // The parser's own enum is open; whatever it adds must not be passed over in silence.
            _ => return Err(syntax(place, "this part of YAML means nothing in an app file")),
        }
    }
    builder
        .root
        .ok_or_else(|| Problem::new(ProblemCode::Syntax, "", "the file is empty").hint("it needs `name:` and `containers:`"))
}

impl Builder {
    fn start(&mut self, open: Open, place: Place) -> Result<(), Problem> {
        if self.expects_key() {
            return Err(syntax(place, "a key must be a word, not a list or a map"));
        }
        self.open.push(open);
        Ok(())
    }

    fn end(&mut self) -> Result<(), Problem> {
        let (node, anchor) = match self.open.pop() {
            Some(Open::List { place, anchor, items }) => (Node { place, value: Value::List(items) }, anchor),
            Some(Open::Map { place, anchor, entries, .. }) => (Node { place, value: Value::Map(entries) }, anchor),
            None => return Ok(()),
        };
        let size = size(&node);
        self.place_node(node, anchor, size);
        Ok(())
    }

    fn alias(&mut self, id: usize, place: Place) -> Result<(), Problem> {
        let Some((node, size)) = self.anchors.get(&id).cloned() else {
            return Err(syntax(place, "an alias cannot stand inside what it names"));
        };
        self.node(Node { place, ..node }, 0, size)
    }

    fn node(&mut self, node: Node, anchor: usize, size: usize) -> Result<(), Problem> {
        self.nodes += size;
        if self.nodes > MAX_NODES {
            return Err(syntax(node.place, "the file has too many entries"));
        }
        if self.expects_key() {
            let place = node.place;
            let Value::Scalar { text, .. } = node.value else {
                return Err(syntax(place, "a key must be a word, not a list or a map"));
            };
            if let Some(Open::Map { key, .. }) = self.open.last_mut() {
                *key = Some(Key { text, place });
            }
            return Ok(());
        }
        self.place_node(node, anchor, size);
        Ok(())
    }

    fn place_node(&mut self, node: Node, anchor: usize, size: usize) {
        if anchor != 0 {
            self.anchors.insert(anchor, (node.clone(), size));
        }
        match self.open.last_mut() {
            Some(Open::List { items, .. }) => items.push(node),
            Some(Open::Map { entries, key, .. }) => {
                if let Some(key) = key.take() {
                    entries.push((key, node));
                }
            }
            None => self.root = Some(node),
        }
    }

    fn expects_key(&self) -> bool {
        matches!(self.open.last(), Some(Open::Map { key: None, .. }))
    }
}

fn size(node: &Node) -> usize {
    match &node.value {
        Value::Scalar { .. } => 1,
        Value::List(items) => 1 + items.iter().map(size).sum::<usize>(),
        Value::Map(entries) => 1 + entries.iter().map(|(_, node)| size(node)).sum::<usize>(),
    }
}

/// Returns true for `!!str`; the core schema's other tags change nothing here, and foreign ones mean nothing.
fn text_tag(tag: Option<&Tag>, place: Place) -> Result<bool, Problem> {
    match tag {
        None => Ok(false),
        Some(tag) if tag.is_yaml_core_schema_tag("str") => Ok(true),
        Some(tag) if tag.is_yaml_core_schema() => Ok(false),
        Some(_) => Err(syntax(place, "tags (`!…`) mean nothing in an app file; take it away, or put the text in quotes")),
    }
}

fn scan_problem(error: &ScanError, text: &str) -> Problem {
    let at = place(error.marker());
    let tab = text.lines().nth(at.line.saturating_sub(1)).is_some_and(|line| line.trim_start_matches(' ').starts_with('\t'));
    let problem = syntax(at, format!("the file is neither YAML nor JSON: {}", error.info()));
    if tab { problem.hint("indent with spaces; YAML allows no tabs there") } else { problem }
}

fn syntax(place: Place, message: impl Into<String>) -> Problem {
    Problem { place: Some(place), ..Problem::new(ProblemCode::Syntax, "", message) }
}

fn place(marker: &Marker) -> Place {
    Place { line: marker.line(), column: marker.col() + 1 }
}
