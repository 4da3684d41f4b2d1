//! A list whose names are compared without case.

use std::collections::HashMap;

#[derive(Debug)]
pub(crate) struct Named<T> {
    items: Vec<(String, T)>,
    places: HashMap<String, usize>,
}

impl<T> Default for Named<T> {
    fn default() -> Self {
        Self { items: Vec::new(), places: HashMap::new() }
    }
}

impl<T> Named<T> {
    /// Adds an item, or puts it in the place of one of the same name.
    pub(crate) fn insert(&mut self, name: &str, item: T) {
        match self.places.get(&name.to_lowercase()) {
            Some(at) => self.items[*at] = (name.to_owned(), item),
            None => {
                self.places.insert(name.to_lowercase(), self.items.len());
                self.items.push((name.to_owned(), item));
            }
        }
    }

    pub(crate) fn find(&self, name: &str) -> Option<(usize, &T)> {
        let at = *self.places.get(&name.to_lowercase())?;
        Some((at, &self.items[at].1))
    }

    pub(crate) fn get(&self, name: &str) -> Option<&T> {
        self.find(name).map(|(_, item)| item)
    }

    /// Returns the name of the item at an index that [`Named::find`] gave.
    pub(crate) fn name(&self, at: usize) -> &str {
        &self.items[at].0
    }

    pub(crate) fn len(&self) -> usize {
        self.items.len()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &T)> {
        self.items.iter().map(|(name, item)| (name.as_str(), item))
    }
}
