//! Tree to values: a serde deserializer that keeps path and place, and goes on after an unknown key.

use std::cell::RefCell;

use serde::{
    de::{
        DeserializeSeed, Deserializer, EnumAccess, Error, IntoDeserializer, MapAccess, SeqAccess, Unexpected, VariantAccess,
        Visitor, value::StrDeserializer,
    },
    forward_to_deserialize_any,
};

use super::{
    error::{DecodeError, unknown_key},
    node::{Key, Node, Value, child, element},
    scalar::{Scalar, resolve},
};
use crate::{Problem, app::RAW_TEXT};

pub(super) struct NodeDeserializer<'a> {
    node: &'a Node,
    path: String,
    /// Problems that do not end the decoding.
    found: &'a RefCell<Vec<Problem>>,
}

impl<'a> NodeDeserializer<'a> {
    pub(super) fn new(root: &'a Node, found: &'a RefCell<Vec<Problem>>) -> Self {
        Self { node: root, path: String::new(), found }
    }

    fn null(&self) -> bool {
        matches!(&self.node.value, Value::Scalar { text, plain: true } if resolve(text) == Scalar::Null)
    }

    /// Visits a map; `known` names its keys where they are fixed.
    fn map<'de, V: Visitor<'de>>(
        self,
        entries: &'a [(Key, Node)],
        known: Option<&'static [&'static str]>,
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        visitor.visit_map(Entries { rest: entries.iter(), value: None, path: self.path, known, found: self.found })
    }

    /// Visits a scalar as text, whatever it looks like.
    fn text<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        match &self.node.value {
            Value::Scalar { text, plain: true } if resolve(text) == Scalar::Null => visitor.visit_unit(),
            Value::Scalar { text, .. } => visitor.visit_str(text),
            Value::List(_) | Value::Map(_) => self.deserialize_any(visitor),
        }
    }
}

impl<'de> Deserializer<'de> for NodeDeserializer<'_> {
    type Error = DecodeError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        match &self.node.value {
            Value::Scalar { text, plain: false } => visitor.visit_str(text),
            Value::Scalar { text, plain: true } => match resolve(text) {
                Scalar::Null => visitor.visit_unit(),
                Scalar::Bool(value) => visitor.visit_bool(value),
                Scalar::Unsigned(number) => visitor.visit_u64(number),
                Scalar::Signed(number) => visitor.visit_i64(number),
                Scalar::Float(number) => visitor.visit_f64(number),
                Scalar::Text(text) => visitor.visit_str(text),
            },
            Value::List(items) => visitor.visit_seq(Items { rest: items.iter().enumerate(), path: self.path, found: self.found }),
            Value::Map(entries) => self.map(entries, None, visitor),
        }
    }

    /// A number where text is taken is read as it is written: `user: 1000`, `mode: 0644`.
    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        match &self.node.value {
            Value::Scalar { text, plain: true } => match resolve(text) {
                Scalar::Unsigned(_) | Scalar::Signed(_) | Scalar::Float(_) => visitor.visit_str(text),
                Scalar::Null | Scalar::Bool(_) | Scalar::Text(_) => self.deserialize_any(visitor),
            },
            Value::Scalar { plain: false, .. } | Value::List(_) | Value::Map(_) => self.deserialize_any(visitor),
        }
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        if self.null() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, name: &'static str, visitor: V) -> Result<V::Value, DecodeError> {
        if name == RAW_TEXT { self.text(visitor) } else { visitor.visit_newtype_struct(self) }
    }

    /// Nothing after the colon is an empty list.
    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        if self.null() {
            return visitor.visit_seq(Items { rest: [].iter().enumerate(), path: self.path, found: self.found });
        }
        self.deserialize_any(visitor)
    }

    /// Nothing after the colon is an empty map.
    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        if self.null() { self.map(&[], None, visitor) } else { self.deserialize_any(visitor) }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        match &self.node.value {
            Value::Map(entries) => self.map(entries, Some(fields), visitor),
            Value::Scalar { .. } if self.null() => self.map(&[], None, visitor),
            // A derived visitor would take a list as the fields in order.
            Value::List(_) => Err(DecodeError::invalid_type(Unexpected::Seq, &visitor)),
            Value::Scalar { .. } => self.deserialize_any(visitor),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        match &self.node.value {
            Value::Scalar { text, .. } if !self.null() => visitor.visit_enum(Word(text)),
            Value::Scalar { .. } | Value::List(_) | Value::Map(_) => self.deserialize_any(visitor),
        }
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char bytes byte_buf unit unit_struct tuple tuple_struct
        identifier ignored_any
    }
}

struct Items<'a> {
    rest: std::iter::Enumerate<std::slice::Iter<'a, Node>>,
    path: String,
    found: &'a RefCell<Vec<Problem>>,
}

impl<'de> SeqAccess<'de> for Items<'_> {
    type Error = DecodeError;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, DecodeError> {
        let Some((index, node)) = self.rest.next() else { return Ok(None) };
        let path = element(&self.path, index);
        let value = seed.deserialize(NodeDeserializer { node, path: path.clone(), found: self.found });
        value.map(Some).map_err(|error| error.at(&path, node.place))
    }
}

struct Entries<'a> {
    rest: std::slice::Iter<'a, (Key, Node)>,
    value: Option<&'a (Key, Node)>,
    path: String,
    known: Option<&'static [&'static str]>,
    found: &'a RefCell<Vec<Problem>>,
}

impl<'de> MapAccess<'de> for Entries<'_> {
    type Error = DecodeError;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, DecodeError> {
        for entry in self.rest.by_ref() {
            let key = &entry.0;
            if let Some(known) = self.known.filter(|known| !known.contains(&key.text.as_str())) {
                self.found.borrow_mut().push(unknown_key(&self.path, &key.text, known, key.place));
                continue;
            }
            self.value = Some(entry);
            let name: StrDeserializer<'_, DecodeError> = key.text.as_str().into_deserializer();
            return seed.deserialize(name).map(Some).map_err(|error| error.at(&child(&self.path, &key.text), key.place));
        }
        Ok(None)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, DecodeError> {
        let Some((key, node)) = self.value.take() else {
            return Err(DecodeError::custom("a value was asked for before its key"));
        };
        let path = child(&self.path, &key.text);
        let value = seed.deserialize(NodeDeserializer { node, path: path.clone(), found: self.found });
        // Keys stand where people look; a nested value has told its own place already.
        value.map_err(|error| error.at(&path, node.place))
    }
}

/// A word that names an enum's variant.
struct Word<'a>(&'a str);

impl<'de> EnumAccess<'de> for Word<'_> {
    type Error = DecodeError;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self), DecodeError> {
        let name: StrDeserializer<'_, DecodeError> = self.0.into_deserializer();
        seed.deserialize(name).map(|value| (value, self))
    }
}

impl<'de> VariantAccess<'de> for Word<'_> {
    type Error = DecodeError;

    fn unit_variant(self) -> Result<(), DecodeError> {
        Ok(())
    }
    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, _: T) -> Result<T::Value, DecodeError> {
        Err(DecodeError::custom(format_args!("`{}` needs a value", self.0)))
    }
    fn tuple_variant<V: Visitor<'de>>(self, _: usize, _: V) -> Result<V::Value, DecodeError> {
        Err(DecodeError::custom(format_args!("`{}` needs a value", self.0)))
    }
    fn struct_variant<V: Visitor<'de>>(self, _: &'static [&'static str], _: V) -> Result<V::Value, DecodeError> {
        Err(DecodeError::custom(format_args!("`{}` needs a value", self.0)))
    }
}
