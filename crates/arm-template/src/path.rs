//! Where in a JSON document something stands: `resources[0].properties.siteConfig`.

use std::fmt;

/// One step into a document.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Segment {
    Key(String),
    Index(usize),
}

/// The way from a document's root to a value.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Path(Vec<Segment>);

impl Path {
    /// Returns the root.
    pub fn root() -> Self {
        Self::default()
    }

    /// Returns the way to a member of the value here.
    #[must_use]
    pub fn key(&self, key: &str) -> Self {
        let mut path = self.clone();
        path.0.push(Segment::Key(key.to_owned()));
        path
    }

    /// Returns the way to an element of the array here.
    #[must_use]
    pub fn index(&self, index: usize) -> Self {
        let mut path = self.clone();
        path.0.push(Segment::Index(index));
        path
    }

    /// Returns the way to what `tail` leads to, starting here.
    #[must_use]
    pub fn join(&self, tail: &Self) -> Self {
        Self(self.0.iter().chain(&tail.0).cloned().collect())
    }

    /// Returns what is left of this way after `head`, if it leads through it.
    pub fn below(&self, head: &Self) -> Option<Self> {
        self.0.strip_prefix(head.0.as_slice()).map(|tail| Self(tail.to_vec()))
    }

    pub fn segments(&self) -> &[Segment] {
        &self.0
    }

    pub(crate) fn push_key(&mut self, key: &str) {
        self.0.push(Segment::Key(key.to_owned()));
    }

    pub(crate) fn push_index(&mut self, index: usize) {
        self.0.push(Segment::Index(index));
    }

    pub(crate) fn pop(&mut self) {
        self.0.pop();
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, segment) in self.0.iter().enumerate() {
            match segment {
                Segment::Index(index) => write!(f, "[{index}]")?,
                Segment::Key(key) if is_plain(key) => write!(f, "{}{key}", if at == 0 { "" } else { "." })?,
                Segment::Key(key) => write!(f, "['{}']", key.replace('\'', "\\'"))?,
            }
        }
        Ok(())
    }
}

fn is_plain(key: &str) -> bool {
    !key.is_empty() && key.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '$'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_reads_like_the_one_of_a_resource_manager_error() {
        let path = Path::root().key("resources").index(2).key("tags").key("a.b");
        assert_eq!(path.to_string(), "resources[2].tags['a.b']");
        assert_eq!(path.below(&Path::root().key("resources")).expect("it leads through").to_string(), "[2].tags['a.b']");
    }
}
