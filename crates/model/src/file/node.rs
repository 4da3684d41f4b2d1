//! The file as a tree in which every node knows its line and column.

use std::collections::HashMap;

use crate::{Place, Problem, ProblemCode};

#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) place: Place,
    pub(super) value: Value,
}

#[derive(Debug, Clone)]
pub(super) enum Value {
    /// Text as written; `plain` where no quotes say that it must be text.
    Scalar {
        text: String,
        plain: bool,
    },
    List(Vec<Node>),
    Map(Vec<(Key, Node)>),
}

#[derive(Debug, Clone)]
pub(super) struct Key {
    pub(super) text: String,
    pub(super) place: Place,
}

impl Node {
    /// Notes where every field stands; reports keys that stand twice and keeps the first.
    pub(super) fn index(&mut self, path: &str, places: &mut HashMap<String, Place>, problems: &mut Vec<Problem>) {
        places.entry(path.to_owned()).or_insert(self.place);
        match &mut self.value {
            Value::Scalar { .. } => {}
            Value::List(items) => {
                for (index, item) in items.iter_mut().enumerate() {
                    item.index(&element(path, index), places, problems);
                }
            }
            Value::Map(entries) => {
                let mut seen: HashMap<String, Place> = HashMap::new();
                entries.retain_mut(|(key, node)| {
                    let inner = child(path, &key.text);
                    if let Some(first) = seen.get(&key.text) {
                        let mut problem = Problem::new(
                            ProblemCode::DuplicateKey,
                            inner.clone(),
                            format!("key `{}` stands twice; the first is in line {}", key.text, first.line),
                        );
                        problem.place = Some(key.place);
                        problems.push(problem);
                        return false;
                    }
                    seen.insert(key.text.clone(), key.place);
                    places.insert(inner.clone(), key.place);
                    node.index(&inner, places, problems);
                    true
                });
            }
        }
    }
}

pub(super) fn child(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

pub(super) fn element(path: &str, index: usize) -> String {
    format!("{path}[{index}]")
}
