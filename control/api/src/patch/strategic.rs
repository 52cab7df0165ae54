//! Strategic merge patch: a merge patch that knows which lists are maps in disguise, from the schema's merge keys.
//!
//! Directives: `$patch: delete | replace | merge`, `$retainKeys`, `$setElementOrder/LIST`, `$deleteFromPrimitiveList/LIST`.

mod list;

use crate::go_text;
use crate::schema::{Field, Shape, TypeRef};
use crate::status::Status;
use serde_json::{Map, Value};
use std::collections::HashSet;

const PATCH: &str = "$patch";
const RETAIN_KEYS: &str = "$retainKeys";
const SET_ORDER: &str = "$setElementOrder";
const DELETE_FROM: &str = "$deleteFromPrimitiveList";

/// Why a patch cannot be merged; the messages are upstream's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MergeError {
    /// `$deleteFromPrimitiveList` without a list's name.
    #[error("invalid patch format of primitive list")]
    PrimitiveList,
    /// `$retainKeys` that is no list, or that misses a key of the patch.
    #[error("invalid patch format of retainKeys")]
    RetainKeys,
    /// `$setElementOrder` that is no list or has no list's name.
    #[error("invalid patch format of setElementOrder list")]
    SetElementOrder,
    /// A list in a list.
    #[error("lists of lists are not supported")]
    ListOfLists,
    /// A `$patch` that is none of the directives.
    #[error("unknown patch type: {directive} in map: {map}")]
    Directive {
        /// The value of `$patch`.
        directive: String,
        /// The map around it.
        map: String,
    },
    /// An item without its list's merge key.
    #[error("map: {map} does not contain declared merge key: {key}")]
    NoMergeKey {
        /// The item.
        map: String,
        /// The merge key.
        key: String,
    },
    /// Everything else.
    #[error("{0}")]
    Other(String),
}

impl From<MergeError> for Status {
    fn from(error: MergeError) -> Self {
        match error {
            MergeError::PrimitiveList | MergeError::RetainKeys | MergeError::SetElementOrder => {
                Self::bad_request(error.to_string())
            }
            MergeError::ListOfLists => Self::unprocessable(),
            // Upstream does not classify the rest.
            _ => Self::unclassified(error.to_string()),
        }
    }
}

fn no_merge_key(map: &Value, key: &str) -> MergeError {
    MergeError::NoMergeKey { map: go_text::display(map), key: key.to_owned() }
}

fn bad_type(expected: &str, actual: &Value) -> MergeError {
    MergeError::Other(format!("expected a {expected}, but received a {}", go_text::type_name(actual)))
}

/// The object that `patch` makes of `original`; `schema` is the object's type.
///
/// # Errors
/// When a directive is malformed, or an item lacks its merge key.
pub fn merge(original: &Value, patch: &Value, schema: TypeRef<'_>) -> Result<Value, MergeError> {
    let original = original.as_object().cloned().unwrap_or_default();
    let patch = patch.as_object().cloned().unwrap_or_default();
    merge_map(original, patch, schema).map(Value::Object)
}

/// What the schema says of a field that both sides have.
struct Known<'a> {
    field: &'a Field,
    ty: TypeRef<'a>,
}

impl<'a> Known<'a> {
    fn find(schema: TypeRef<'a>, name: &str) -> Result<Self, MergeError> {
        let field = schema.field(name);
        let field = field.ok_or_else(|| match schema.shape() {
            Shape::Map(_) => {
                MergeError::Other("merging an object in json but data type is not struct, instead is: map".to_owned())
            }
            _ => MergeError::Other(format!(
                "unable to find api field in struct {} for the json field {}",
                schema.go_struct(),
                go_text::quote(name)
            )),
        })?;
        Ok(Self { field, ty: schema.of(field) })
    }

    fn merge_key(&self) -> &'a str {
        self.field.merge_key.as_deref().unwrap_or("")
    }

    /// The items' type, or the type itself for what is no list.
    fn item(&self) -> TypeRef<'a> {
        self.ty.item().unwrap_or(self.ty)
    }
}

fn merge_map(
    mut original: Map<String, Value>,
    mut patch: Map<String, Value>,
    schema: TypeRef<'_>,
) -> Result<Map<String, Value>, MergeError> {
    match patch.get(PATCH).map(|directive| directive.as_str().unwrap_or("")) {
        None => {}
        Some("replace") => {
            patch.remove(PATCH);
            return Ok(patch);
        }
        Some("delete") => return Ok(Map::new()),
        Some(_) => {
            let directive = patch.get(PATCH).map_or_else(String::new, go_text::display);
            return Err(MergeError::Directive { directive, map: go_text::display(&Value::Object(patch)) });
        }
    }
    retain_keys(&mut original, &mut patch)?;
    set_element_orders(&mut original, &mut patch, schema)?;
    for (key, value) in patch {
        merge_field(&mut original, key, value, schema)?;
    }
    Ok(original)
}

/// `$retainKeys`: fields that the list does not name are cleared, and the patch may name no others.
fn retain_keys(original: &mut Map<String, Value>, patch: &mut Map<String, Value>) -> Result<(), MergeError> {
    let Some(keys) = patch.remove(RETAIN_KEYS) else { return Ok(()) };
    let Value::Array(keys) = keys else { return Err(MergeError::RetainKeys) };
    let keys: HashSet<&str> = keys.iter().filter_map(Value::as_str).collect();
    let kept = |name: &str| keys.contains(name);
    for (name, value) in patch.iter() {
        let directive = name.starts_with(DELETE_FROM) || name.starts_with(SET_ORDER);
        if !value.is_null() && !directive && !kept(name) {
            return Err(MergeError::RetainKeys);
        }
    }
    original.retain(|name, _| kept(name));
    Ok(())
}

fn strip<'a>(key: &'a str, prefix: &str) -> Option<&'a str> {
    key.strip_prefix(prefix)?.strip_prefix('/')
}

/// `$setElementOrder/LIST`: merges the list's own patch with it and puts the items in the given order.
fn set_element_orders(
    original: &mut Map<String, Value>,
    patch: &mut Map<String, Value>,
    schema: TypeRef<'_>,
) -> Result<(), MergeError> {
    let directives: Vec<String> = patch.keys().filter(|key| key.starts_with(SET_ORDER)).cloned().collect();
    for directive in directives {
        let order = patch.remove(&directive).unwrap_or(Value::Null);
        let Value::Array(order) = order else { return Err(bad_type("[]interface {}", &order)) };
        let name = strip(&directive, SET_ORDER).ok_or(MergeError::SetElementOrder)?;
        let original_items = items_of(original.get(name))?;
        let patch_items = items_of(patch.get(name))?;
        let known = Known::find(schema, name)?;
        list::check_order(patch_items.as_deref().unwrap_or(&[]), &order, known.merge_key())?;
        let server_order = original_items.clone().unwrap_or_default();
        let merged = match (original_items, patch_items) {
            (None, None) => continue,
            (Some(items), None) => items,
            (None, Some(items)) => {
                let items = remove_directives(Value::Array(items));
                items_of(items.as_ref())?.unwrap_or_default()
            }
            (Some(original), Some(patch)) => list::merge_field(original, patch, &known, false)?,
        };
        let ordered = list::in_order(merged, &order, &server_order, known.merge_key())?;
        original.insert(name.to_owned(), Value::Array(ordered));
        patch.remove(name);
    }
    Ok(())
}

fn items_of(value: Option<&Value>) -> Result<Option<Vec<Value>>, MergeError> {
    match value {
        None => Ok(None),
        Some(Value::Array(items)) => Ok(Some(items.clone())),
        Some(other) => Err(bad_type("[]interface {}", other)),
    }
}

fn merge_field(
    original: &mut Map<String, Value>,
    key: String,
    value: Value,
    schema: TypeRef<'_>,
) -> Result<(), MergeError> {
    let deletes = key.starts_with(DELETE_FROM);
    let key = if deletes { strip(&key, DELETE_FROM).ok_or(MergeError::PrimitiveList)?.to_owned() } else { key };
    if value.is_null() {
        original.remove(&key);
        return Ok(());
    }
    let merged = match (original.remove(&key), value) {
        (Some(Value::Object(original)), Value::Object(patch)) => {
            let known = Known::find(schema, &key)?;
            if known.field.strategy.replace {
                Some(Value::Object(patch))
            } else {
                Some(Value::Object(merge_map(original, patch, known.ty)?))
            }
        }
        (Some(Value::Array(original)), Value::Array(patch)) => {
            let known = Known::find(schema, &key)?;
            Some(Value::Array(list::merge_field(original, patch, &known, deletes)?))
        }
        // Nothing to delete from, or something that is no list.
        (original, _) if deletes => original,
        // Both scalars of one type: the patch's value stands, `null` and all.
        (Some(original), patch) if go_text::type_name(&original) == go_text::type_name(&patch) => {
            remove_directives(patch)
        }
        (_, mut patch) => {
            discard_nulls(&mut patch);
            remove_directives(patch)
        }
    };
    if let Some(merged) = merged {
        original.insert(key, merged);
    }
    Ok(())
}

/// The value without directives; nothing when it is itself one.
fn remove_directives(value: Value) -> Option<Value> {
    match value {
        Value::Object(map) if map.contains_key(PATCH) => None,
        Value::Object(map) => Some(Value::Object(
            map.into_iter().filter_map(|(key, value)| Some((key, remove_directives(value)?))).collect(),
        )),
        Value::Array(items) => Some(Value::Array(items.into_iter().filter_map(remove_directives).collect())),
        scalar => Some(scalar),
    }
}

/// Takes `null` fields out of a value that is new to the object.
fn discard_nulls(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.retain(|_, value| !value.is_null());
            map.values_mut().for_each(discard_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(discard_nulls),
        _ => {}
    }
}
