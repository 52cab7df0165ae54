//! Reading JSON objects the way validation reads them: a field that is absent, null or of another type is empty.

use serde_json::{Map, Value};

/// Reading access to a JSON object by field name. Decoding has already refused wrong types, so "absent" is all that a
/// reader here has to deal with.
pub(crate) trait Fields {
    /// The field, unless it is absent or null.
    fn child(&self, name: &str) -> Option<&Value>;
    /// The text of the field, or empty text.
    fn text(&self, name: &str) -> &str;
    /// The text of the field, if it is there at all.
    fn text_if_set(&self, name: &str) -> Option<&str>;
    fn int(&self, name: &str) -> Option<i64>;
    fn flag(&self, name: &str) -> Option<bool>;
    /// True if the field is there and true.
    fn is_true(&self, name: &str) -> bool;
    /// The items of a list, or nothing.
    fn list(&self, name: &str) -> &[Value];
    /// The entries of a map or object, or nothing.
    fn map(&self, name: &str) -> Option<&Map<String, Value>>;
    /// The texts of a list of texts; other items are left out.
    fn texts(&self, name: &str) -> Vec<&str>;
    /// True if the field is there and not null.
    fn has(&self, name: &str) -> bool;
    /// The field at a path of field names, unless it is absent or null.
    fn at(&self, path: &[&str]) -> Option<&Value>;
}

impl Fields for Value {
    fn child(&self, name: &str) -> Option<&Value> {
        self.get(name).filter(|value| !value.is_null())
    }

    fn text(&self, name: &str) -> &str {
        self.get(name).and_then(Value::as_str).unwrap_or_default()
    }

    fn text_if_set(&self, name: &str) -> Option<&str> {
        self.get(name).and_then(Value::as_str)
    }

    fn int(&self, name: &str) -> Option<i64> {
        self.get(name).and_then(Value::as_i64)
    }

    fn flag(&self, name: &str) -> Option<bool> {
        self.get(name).and_then(Value::as_bool)
    }

    fn is_true(&self, name: &str) -> bool {
        self.flag(name) == Some(true)
    }

    fn list(&self, name: &str) -> &[Value] {
        self.get(name).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
    }

    fn map(&self, name: &str) -> Option<&Map<String, Value>> {
        self.get(name).and_then(Value::as_object)
    }

    fn texts(&self, name: &str) -> Vec<&str> {
        self.list(name).iter().filter_map(Value::as_str).collect()
    }

    fn has(&self, name: &str) -> bool {
        self.child(name).is_some()
    }

    fn at(&self, path: &[&str]) -> Option<&Value> {
        path.iter().try_fold(self, |value, name| value.child(name))
    }
}

/// Entries of a map of texts, in key order; values of another type are left out.
pub(crate) fn text_entries(map: Option<&Map<String, Value>>) -> impl Iterator<Item = (&str, &str)> {
    map.into_iter().flatten().filter_map(|(key, value)| value.as_str().map(|value| (key.as_str(), value)))
}

/// The object at `name`, made if the field is absent or null; `None` where `object` or the field is something else.
pub(crate) fn object_mut<'a>(object: &'a mut Value, name: &str) -> Option<&'a mut Value> {
    let map = object.as_object_mut()?;
    let field = map.entry(name).or_insert(Value::Null);
    if field.is_null() {
        *field = Value::Object(Map::new());
    }
    field.is_object().then_some(field)
}

/// Sets a field unless it is there and not null. Does nothing where `object` is no object.
pub(crate) fn set_default(object: &mut Value, name: &str, value: impl Into<Value>) {
    if let Some(map) = object.as_object_mut() {
        let field = map.entry(name).or_insert(Value::Null);
        if field.is_null() {
            *field = value.into();
        }
    }
}

/// Sets a text field unless it is there and not empty.
pub(crate) fn set_text_default(object: &mut Value, name: &str, value: &str) {
    if object.text(name).is_empty() {
        set(object, name, value);
    }
}

/// Sets a field. Does nothing where `object` is no object.
pub(crate) fn set(object: &mut Value, name: &str, value: impl Into<Value>) {
    if let Some(map) = object.as_object_mut() {
        map.insert(name.to_owned(), value.into());
    }
}

/// Removes a field. Does nothing where `object` is no object.
pub(crate) fn remove(object: &mut Value, name: &str) {
    if let Some(map) = object.as_object_mut() {
        map.remove(name);
    }
}

/// Makes a field of `new` what it is in `old`, absent included.
pub(crate) fn copy_from(new: &mut Value, old: &Value, name: &str) {
    match old.get(name) {
        Some(value) => set(new, name, value.clone()),
        None => remove(new, name),
    }
}

/// The items of a list for changing them, or nothing.
pub(crate) fn items_mut<'a>(object: &'a mut Value, name: &str) -> &'a mut [Value] {
    object.get_mut(name).and_then(Value::as_array_mut).map(Vec::as_mut_slice).unwrap_or_default()
}

/// Equality as upstream's `Semantic.DeepEqual` sees it: absent, null and an empty list or map are the same.
pub(crate) fn same(left: Option<&Value>, right: Option<&Value>) -> bool {
    match (left.filter(|value| !is_empty(value)), right.filter(|value| !is_empty(value))) {
        (None, None) => true,
        (Some(Value::Object(left)), Some(Value::Object(right))) => {
            left.iter().all(|(key, value)| same(Some(value), right.get(key)))
                && right.iter().all(|(key, value)| left.contains_key(key) || is_empty(value))
        }
        (Some(Value::Array(left)), Some(Value::Array(right))) => {
            left.len() == right.len() && left.iter().zip(right).all(|(left, right)| same_item(left, right))
        }
        (Some(left), Some(right)) => left == right,
        _ => false,
    }
}

fn same_item(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Object(_) | Value::Array(_), _) => same(Some(left), Some(right)),
        _ => left == right,
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => false,
    }
}
