//! What differs between two objects of one type, as sets of paths.

use super::field_set::FieldSet;
use super::path::PathElement;
use super::typed::{Kind, child_type, equal, item_element, kind_of_values};
use crate::schema::TypeRef;
use serde_json::{Map, Value};
use std::cmp::Ordering;
use std::sync::LazyLock;

/// Fields of the metadata that nobody manages and that are never compared.
pub(super) const UNMANAGED_METADATA: [&str; 8] =
    ["creationTimestamp", "generation", "managedFields", "name", "namespace", "resourceVersion", "selfLink", "uid"];

/// Paths by what happened to them.
#[derive(Clone, Debug, Default)]
pub(super) struct Comparison {
    pub(super) removed: FieldSet,
    pub(super) modified: FieldSet,
    pub(super) added: FieldSet,
}

/// A set of the paths that go on from some place, and whether that place itself is in it.
#[derive(Default)]
struct Part {
    member: bool,
    below: FieldSet,
}

#[derive(Default)]
struct Difference {
    removed: Part,
    modified: Part,
    added: Part,
}

impl Difference {
    /// Nothing but what is below: the place itself neither came nor went.
    fn below(found: Comparison) -> Self {
        let part = |below| Part { member: false, below };
        Self { removed: part(found.removed), modified: part(found.modified), added: part(found.added) }
    }

    /// Adds what differs under an element, which is only made when something does.
    fn move_into(self, element: impl FnOnce() -> PathElement, out: &mut Comparison) {
        let parts =
            [(self.removed, &mut out.removed), (self.modified, &mut out.modified), (self.added, &mut out.added)];
        let mut parts = parts.into_iter().filter(|(part, _)| part.member || !part.below.is_empty()).peekable();
        if parts.peek().is_none() {
            return;
        }
        let mut element = Some(element());
        while let Some((part, set)) = parts.next() {
            let last = parts.peek().is_none();
            let element = if last { element.take() } else { element.clone() };
            if let Some(element) = element {
                set.add(element, part.member, part.below);
            }
        }
    }
}

impl Comparison {
    /// From `live` to `new`. What nobody manages is left out.
    ///
    /// # Errors
    /// When an item of a list cannot be told from the others.
    pub(super) fn of(schema: TypeRef<'_>, live: &Value, new: &Value) -> Result<Self, String> {
        let mut out = Self::default();
        for (name, old, new) in zip(fields(Some(live)), fields(Some(new))) {
            let Some(inner) = child_type(schema, name) else { continue };
            match name {
                "apiVersion" | "kind" => {}
                "metadata" => {
                    let mut metadata = Self::default();
                    for (name, old, new) in zip(fields(old), fields(new)) {
                        let managed = !UNMANAGED_METADATA.contains(&name);
                        if let Some(inner) = child_type(inner, name).filter(|_| managed) {
                            difference(inner, old, new)?.move_into(|| PathElement::field(name), &mut metadata);
                        }
                    }
                    Difference::below(metadata).move_into(|| PathElement::field(name), &mut out);
                }
                _ => difference(inner, old, new)?.move_into(|| PathElement::field(name), &mut out),
            }
        }
        Ok(out)
    }

    /// Everything that is other than before, but for what is gone.
    pub(super) fn changed(&self) -> FieldSet {
        match (self.modified.is_empty(), self.added.is_empty()) {
            (_, true) => self.modified.clone(),
            (true, false) => self.added.clone(),
            (false, false) => self.modified.union(&self.added),
        }
    }

    /// The same, when the comparison is no longer wanted.
    pub(super) fn into_changed(self) -> FieldSet {
        self.modified.joined(self.added)
    }

    /// Takes out the fields that an endpoint puts back anyway.
    pub(super) fn exclude(&mut self, reset: &FieldSet) {
        if !reset.is_empty() {
            self.removed = self.removed.recursive_difference(reset);
            self.modified = self.modified.recursive_difference(reset);
            self.added = self.added.recursive_difference(reset);
        }
    }
}

/// The fields of a map; none of anything else.
fn fields(value: Option<&Value>) -> &Map<String, Value> {
    static NONE: LazyLock<Map<String, Value>> = LazyLock::new(Map::new);
    value.and_then(Value::as_object).unwrap_or(&NONE)
}

/// The fields of two maps, side by side, in order.
fn zip<'v>(
    left: &'v Map<String, Value>,
    right: &'v Map<String, Value>,
) -> impl Iterator<Item = (&'v str, Option<&'v Value>, Option<&'v Value>)> {
    let mut left = left.iter().peekable();
    let mut right = right.iter().peekable();
    std::iter::from_fn(move || {
        let order = match (left.peek(), right.peek()) {
            (None, None) => return None,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some((left, _)), Some((right, _))) => left.cmp(right),
        };
        let old = if order.is_le() { left.next() } else { None };
        let new = if order.is_ge() { right.next() } else { None };
        let (name, _) = old.or(new)?;
        Some((name.as_str(), old.map(|(_, value)| value), new.map(|(_, value)| value)))
    })
}

fn is_empty(value: Option<&Value>) -> bool {
    match value {
        Some(Value::Object(map)) => map.is_empty(),
        Some(Value::Array(items)) => items.is_empty(),
        _ => true,
    }
}

/// From one value to another, of which one may be absent.
fn difference(schema: TypeRef<'_>, old: Option<&Value>, new: Option<&Value>) -> Result<Difference, String> {
    let kind = kind_of_values(schema, old, new);
    let mut out = Difference::default();
    if kind == Kind::Leaf || (is_empty(old) && is_empty(new)) {
        match (old, new) {
            (None, _) => out.added.member = true,
            (_, None) => out.removed.member = true,
            (Some(old), Some(new)) => out.modified.member = !equal(old, new),
        }
        return Ok(out);
    }
    let mut found = Comparison::default();
    if kind == Kind::Map {
        for (name, old, new) in zip(fields(old), fields(new)) {
            if let Some(inner) = child_type(schema, name) {
                difference(inner, old, new)?.move_into(|| PathElement::field(name), &mut found);
            }
        }
    } else {
        compare_lists(schema, old, new, &mut found)?;
    }
    let mut out = Difference::below(found);
    out.removed.member = new.is_none();
    out.added.member = old.is_none();
    Ok(out)
}

/// An item of one of the two lists, with what tells it from the others.
struct Item<'v> {
    element: PathElement,
    is_new: bool,
    value: &'v Value,
}

/// Items of both lists by what tells them apart, in the order of their elements.
fn compare_lists(
    schema: TypeRef<'_>,
    old: Option<&Value>,
    new: Option<&Value>,
    out: &mut Comparison,
) -> Result<(), String> {
    let Some(inner) = schema.item() else { return Ok(()) };
    let mut items: Vec<Item<'_>> = Vec::new();
    for (list, is_new) in [(old, false), (new, true)] {
        for (index, value) in list.and_then(Value::as_array).into_iter().flatten().enumerate() {
            let element = item_element(schema, value).map_err(|error| format!("element {index}: {error}"))?;
            items.push(Item { element, is_new, value });
        }
    }
    items.sort_by(|left, right| left.element.cmp(&right.element).then(left.is_new.cmp(&right.is_new)));
    for group in items.chunk_by(|left, right| left.element == right.element) {
        let (old, new) = group.split_at(group.partition_point(|item| !item.is_new));
        compare_items(inner, old, new)?.move_into(|| group[0].element.clone(), out);
    }
    Ok(())
}

/// Items of one identity. Those that are in a list several times are one lump, which comes, goes or changes as a whole.
fn compare_items(inner: TypeRef<'_>, old: &[Item<'_>], new: &[Item<'_>]) -> Result<Difference, String> {
    let mut found = match (old.len(), new.len()) {
        (0 | 1, 0 | 1) => {
            return difference(inner, old.first().map(|item| item.value), new.first().map(|item| item.value));
        }
        (2.., 2..) => {
            let mut found = Difference::default();
            let pairs = old.iter().zip(new);
            found.modified.member =
                old.len() != new.len() || pairs.into_iter().any(|(old, new)| !equal(old.value, new.value));
            return Ok(found);
        }
        (2.., 1) => difference(inner, None, Some(new[0].value))?,
        (1, 2..) => difference(inner, Some(old[0].value), None)?,
        _ => Difference::default(),
    };
    found.removed.member |= old.len() >= 2;
    found.added.member |= new.len() >= 2;
    Ok(found)
}
