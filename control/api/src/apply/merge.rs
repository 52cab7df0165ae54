//! Merges a configuration into an object: its leaves win, nothing is removed.

use super::path::PathElement;
use super::typed::{Kind, child_type, item_element, kind_of_values};
use crate::schema::TypeRef;
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};

/// The merged object.
///
/// # Errors
/// When an item of a list cannot be told from the others.
pub(super) fn merge(schema: TypeRef<'_>, live: &Value, config: &Value) -> Result<Value, String> {
    Ok(merge_at(schema, Some(live), Some(config))?.unwrap_or(Value::Null))
}

fn is_empty(value: Option<&Value>) -> bool {
    match value {
        Some(Value::Object(map)) => map.is_empty(),
        Some(Value::Array(items)) => items.is_empty(),
        _ => true,
    }
}

fn merge_at(schema: TypeRef<'_>, live: Option<&Value>, config: Option<&Value>) -> Result<Option<Value>, String> {
    let kind = kind_of_values(schema, live, config);
    if kind == Kind::Leaf || (is_empty(live) && is_empty(config)) {
        return Ok(config.or(live).cloned());
    }
    if config.is_none() {
        return Ok(live.cloned());
    }
    if kind == Kind::List {
        return merge_lists(schema, live, config);
    }
    let none = Map::new();
    let mut out = live.and_then(Value::as_object).unwrap_or(&none).clone();
    for (name, value) in config.and_then(Value::as_object).unwrap_or(&none) {
        let Some(inner) = child_type(schema, name) else { continue };
        if let Some(merged) = merge_at(inner, out.get(name), Some(value))? {
            out.insert(name.clone(), merged);
        }
    }
    Ok((!out.is_empty()).then_some(Value::Object(out)))
}

fn elements<'v>(schema: TypeRef<'_>, list: Option<&'v Value>) -> Result<Vec<(PathElement, &'v Value)>, String> {
    let items = list.and_then(Value::as_array).into_iter().flatten().enumerate();
    items
        .map(|(index, item)| {
            let element = item_element(schema, item).map_err(|error| format!("element {index}: {error}"))?;
            Ok((element, item))
        })
        .collect()
}

/// Items that both have come in the configuration's order; items that only the object has stay where they are as far as
/// that allows; items that only the configuration has follow what precedes them in the configuration.
fn merge_lists(schema: TypeRef<'_>, live: Option<&Value>, config: Option<&Value>) -> Result<Option<Value>, String> {
    let Some(inner) = schema.item() else { return Ok(config.cloned()) };
    let live = elements(schema, live)?;
    let config = elements(schema, config)?;
    let wanted: BTreeMap<&PathElement, &Value> = config.iter().map(|(element, item)| (element, *item)).collect();
    // An item that the object has several times is not merged: the configuration's takes its place.
    let mut observed: BTreeMap<&PathElement, Option<&Value>> = BTreeMap::new();
    for (element, item) in &live {
        observed.entry(element).and_modify(|known| *known = None).or_insert(Some(item));
    }
    let mut shared = config.iter().map(|(element, _)| element).filter(|element| observed.contains_key(element));
    let mut next_shared = shared.next();
    let mut merged: BTreeSet<&PathElement> = BTreeSet::new();
    let mut out = Vec::with_capacity(live.len().max(config.len()));
    let (mut live_at, mut config_at) = (0, 0);
    while live_at < live.len() || config_at < config.len() {
        if let (Some((ours, _)), Some((theirs, item))) = (live.get(live_at), config.get(config_at)) {
            if ours == theirs {
                merged.insert(ours);
                out.extend(merge_at(inner, observed.get(ours).copied().flatten(), Some(item))?);
                live_at += 1;
                config_at += 1;
                next_shared = shared.next();
                continue;
            }
            if wanted.contains_key(ours) && next_shared.is_some_and(|next| next != ours) {
                // Shared, but not the one whose turn it is.
                live_at += 1;
                continue;
            }
        }
        if let Some((ours, item)) = live.get(live_at) {
            if !wanted.contains_key(ours) {
                out.push((*item).clone());
                live_at += 1;
                continue;
            }
            if merged.contains(ours) {
                live_at += 1;
                continue;
            }
        }
        if let Some((theirs, item)) = config.get(config_at) {
            merged.insert(theirs);
            out.extend(merge_at(inner, observed.get(theirs).copied().flatten(), Some(item))?);
            config_at += 1;
            if next_shared == Some(theirs) {
                next_shared = shared.next();
            }
        }
    }
    Ok((!out.is_empty()).then_some(Value::Array(out)))
}
