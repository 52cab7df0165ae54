//! Sets of paths, as trees, and their form in `managedFields` (FieldsV1).

use super::path::PathElement;
use crate::schema::{Shape, TypeRef};
use serde_json::{Map, Value};
use std::cmp::Ordering;

/// Deepest path that is read; objects are never deeper.
const DEPTH_MAX: usize = 128;

/// A set of paths. A path's parents are members only when they were put in themselves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldSet {
    /// Sorted by element; no entry is empty.
    entries: Vec<Entry>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    element: PathElement,
    /// The path that ends here is in the set.
    member: bool,
    /// What goes on from here.
    below: FieldSet,
}

impl Entry {
    fn is_empty(&self) -> bool {
        !self.member && self.below.is_empty()
    }
}

/// Why a FieldsV1 value cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("error decoding set: {0}")]
pub struct DecodeFieldsError(String);

impl FieldSet {
    /// True when no path is in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    fn find(&self, element: &PathElement) -> Option<&Entry> {
        self.entries.binary_search_by(|entry| entry.element.cmp(element)).ok().map(|index| &self.entries[index])
    }

    /// True when the path of this one element is in it.
    #[must_use]
    pub fn has(&self, element: &PathElement) -> bool {
        self.find(element).is_some_and(|entry| entry.member)
    }

    /// What is in it below an element.
    #[must_use]
    pub fn below(&self, element: &PathElement) -> Option<&Self> {
        self.find(element).map(|entry| &entry.below).filter(|set| !set.is_empty())
    }

    /// Puts in a path of field names.
    pub fn insert_fields(&mut self, names: &[&str]) {
        let Some((first, rest)) = names.split_first() else { return };
        let mut below = Self::default();
        below.insert_fields(rest);
        self.add(PathElement::field(first), rest.is_empty(), below);
    }

    /// Puts in an element: as a member, with what is below it. Nothing happens when both are empty.
    pub(super) fn add(&mut self, element: PathElement, member: bool, below: Self) {
        let entry = Entry { element, member, below };
        if entry.is_empty() {
            return;
        }
        // Most callers add in order.
        if self.entries.last().is_none_or(|last| last.element < entry.element) {
            return self.entries.push(entry);
        }
        match self.entries.binary_search_by(|known| known.element.cmp(&entry.element)) {
            Ok(index) => {
                let known = &mut self.entries[index];
                known.member |= entry.member;
                known.below = known.below.union(&entry.below);
            }
            Err(index) => self.entries.insert(index, entry),
        }
    }

    /// Walks two sorted lists side by side; `combine` makes an entry of what either has, or nothing.
    fn zip(&self, other: &Self, combine: impl Fn(Option<&Entry>, Option<&Entry>) -> Option<Entry>) -> Self {
        let (mut left, mut right) = (self.entries.iter().peekable(), other.entries.iter().peekable());
        let mut entries = Vec::with_capacity(self.entries.len());
        loop {
            let order = match (left.peek(), right.peek()) {
                (None, None) => return Self { entries },
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some(left), Some(right)) => left.element.cmp(&right.element),
            };
            let pair = match order {
                Ordering::Less => (left.next(), None),
                Ordering::Greater => (None, right.next()),
                Ordering::Equal => (left.next(), right.next()),
            };
            entries.extend(combine(pair.0, pair.1).filter(|entry| !entry.is_empty()));
        }
    }

    /// Paths in either.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        self.zip(other, |left, right| match (left, right) {
            (Some(left), Some(right)) => Some(Entry {
                element: left.element.clone(),
                member: left.member || right.member,
                below: left.below.union(&right.below),
            }),
            (left, right) => left.or(right).cloned(),
        })
    }

    /// The same, without a copy when one is empty.
    #[must_use]
    pub(super) fn joined(self, other: Self) -> Self {
        match (self.is_empty(), other.is_empty()) {
            (_, true) => self,
            (true, false) => other,
            (false, false) => self.union(&other),
        }
    }

    /// Paths in any of them. Joined in pairs, so that many small sets do not meet one growing one over and over.
    #[must_use]
    pub(super) fn all_of(mut sets: Vec<Self>) -> Self {
        while sets.len() > 1 {
            let mut pairs = sets.into_iter();
            let mut joined = Vec::new();
            while let Some(left) = pairs.next() {
                joined.push(left.joined(pairs.next().unwrap_or_default()));
            }
            sets = joined;
        }
        sets.pop().unwrap_or_default()
    }

    /// Paths in both.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        self.zip(other, |left, right| {
            let (left, right) = (left?, right?);
            Some(Entry {
                element: left.element.clone(),
                member: left.member && right.member,
                below: left.below.intersection(&right.below),
            })
        })
    }

    /// Paths in this one that are not in the other; a path stays when only its parent is in the other.
    #[must_use]
    pub fn difference(&self, other: &Self) -> Self {
        self.zip(other, |left, right| {
            let left = left?;
            Some(match right {
                None => left.clone(),
                Some(right) => Entry {
                    element: left.element.clone(),
                    member: left.member && !right.member,
                    below: left.below.difference(&right.below),
                },
            })
        })
    }

    /// Paths in this one that neither are in the other nor have a parent there.
    #[must_use]
    pub fn recursive_difference(&self, other: &Self) -> Self {
        self.zip(other, |left, right| {
            let left = left?;
            match right {
                None => Some(left.clone()),
                Some(right) if right.member => None,
                Some(right) => Some(Entry {
                    element: left.element.clone(),
                    member: left.member,
                    below: left.below.recursive_difference(&right.below),
                }),
            }
        })
    }

    /// The same with every struct field on the way made a member; entries of maps and items of lists are not.
    #[must_use]
    pub(super) fn with_named_fields(&self, schema: TypeRef<'_>) -> Self {
        let entries = self.entries.iter().map(|entry| {
            let field = match &entry.element {
                PathElement::Field(name) => schema.field(name),
                _ => None,
            };
            let below = match field.map(|field| schema.of(field)).or_else(|| schema.item()) {
                Some(inner) => entry.below.with_named_fields(inner),
                None => entry.below.clone(),
            };
            let member = entry.member || (field.is_some() && !below.is_empty());
            Entry { element: entry.element.clone(), member, below }
        });
        Self { entries: entries.collect() }
    }

    /// The same with paths into what is atomic by now replaced by the atomic value's own path; `None` when nothing
    /// changed. Old objects may have such paths after an upgrade.
    #[must_use]
    pub(super) fn reconciled(&self, schema: TypeRef<'_>) -> Option<Self> {
        let mut changed: Option<Self> = None;
        for (index, entry) in self.entries.iter().enumerate().filter(|(_, entry)| !entry.below.is_empty()) {
            let inner = match &entry.element {
                PathElement::Field(name) => match schema.field(name) {
                    Some(field) => Some(schema.of(field)),
                    None if matches!(schema.shape(), Shape::Map(_)) => schema.item(),
                    None => None,
                },
                _ => schema.item(),
            };
            let Some(inner) = inner else { continue };
            if inner.is_leaf() {
                let entry = &mut changed.get_or_insert_with(|| self.clone()).entries[index];
                entry.member = true;
                entry.below = Self::default();
            } else if let Some(below) = entry.below.reconciled(inner) {
                changed.get_or_insert_with(|| self.clone()).entries[index].below = below;
            }
        }
        changed
    }

    /// Every path, printed; the members of a level come before what is below them, as upstream lists conflicts.
    pub fn paths(&self) -> Vec<String> {
        let mut out = Vec::new();
        self.collect_paths("", &mut out);
        out
    }

    fn collect_paths(&self, prefix: &str, out: &mut Vec<String>) {
        out.extend(self.entries.iter().filter(|entry| entry.member).map(|entry| format!("{prefix}{}", entry.element)));
        for entry in self.entries.iter().filter(|entry| !entry.below.is_empty()) {
            entry.below.collect_paths(&format!("{prefix}{}", entry.element), out);
        }
    }

    /// The FieldsV1 value.
    #[must_use]
    pub fn encode(&self) -> Value {
        Value::Object(self.encode_entries(false))
    }

    fn encode_entries(&self, with_self: bool) -> Map<String, Value> {
        let itself = (with_self && !self.is_empty()).then(|| (".".to_owned(), Value::Object(Map::new())));
        let entries = self
            .entries
            .iter()
            .map(|entry| (entry.element.encode(), Value::Object(entry.below.encode_entries(entry.member))));
        // Collecting builds the map at once; most entries are in its order already.
        itself.into_iter().chain(entries).collect()
    }

    /// Reads a FieldsV1 value. Steps of an unknown type are dropped.
    ///
    /// # Errors
    /// When a step is malformed or something in it is no map.
    pub fn decode(value: &Value) -> Result<Self, DecodeFieldsError> {
        Self::decode_at(value, DEPTH_MAX).map(|(set, _)| set).map_err(DecodeFieldsError)
    }

    /// The set below a step, and whether the step itself is a member.
    fn decode_at(value: &Value, depth: usize) -> Result<(Self, bool), String> {
        let map = match value {
            Value::Object(map) => map,
            Value::Null => return Ok((Self::default(), true)),
            _ => return Err("expected a map".to_owned()),
        };
        if depth == 0 {
            return Err("nested too deeply".to_owned());
        }
        let (mut entries, mut member) = (Vec::with_capacity(map.len()), false);
        for (key, value) in map {
            if key == "." {
                member = true;
                continue;
            }
            let Some(element) = PathElement::decode(key)? else { continue };
            let (below, inner_member) = Self::decode_at(value, depth - 1)?;
            entries.push(Entry { element, member: inner_member, below });
        }
        // The texts' order is not the elements': sorted at once, since inserting one by one would take for ever.
        entries.sort_by(|left, right| left.element.cmp(&right.element));
        let mut set = Self { entries: Vec::with_capacity(entries.len()) };
        for entry in entries {
            set.add(entry.element, entry.member, entry.below);
        }
        let member = member || set.is_empty();
        Ok((set, member))
    }
}
