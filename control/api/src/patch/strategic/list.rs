//! Merging of lists: of scalars as sets, of maps by their merge key, and the order that comes out.

use super::{Known, MergeError, PATCH, merge_map, no_merge_key};
use crate::go_text;
use serde_json::Value;
use std::collections::{HashMap, HashSet};

/// What tells an item from others: the value of its merge key, or the item itself when there is no key.
fn identity<'v>(item: &'v Value, key: &str) -> Result<&'v Value, MergeError> {
    if key.is_empty() {
        return Ok(item);
    }
    let map = item.as_object().ok_or_else(|| super::bad_type("map[string]interface {}", item))?;
    map.get(key).ok_or_else(|| no_merge_key(item, key))
}

/// The place of each identity; items without one are left out.
fn places<'v>(items: &'v [Value], key: &str) -> HashMap<&'v Value, usize> {
    let mut places = HashMap::with_capacity(items.len());
    for (index, item) in items.iter().enumerate() {
        if let Ok(identity) = identity(item, key) {
            places.entry(identity).or_insert(index);
        }
    }
    places
}

/// Whether all items are of one type that may be in a list.
fn check_types(lists: [&[Value]; 2]) -> Result<(), MergeError> {
    let mut first = None;
    for item in lists.into_iter().flatten() {
        match first {
            None if item.is_array() => return Err(MergeError::ListOfLists),
            None => first = Some(item),
            Some(first) if go_text::type_name(first) != go_text::type_name(item) => {
                let shown = lists.map(|list| go_text::display(&Value::Array(list.to_vec()))).join(" ");
                return Err(MergeError::Other(format!("list element types are not identical: [{shown}]")));
            }
            Some(_) => {}
        }
    }
    Ok(())
}

/// Merges a field's list by its strategy; with `deletes` the patch's items are taken out instead.
pub(super) fn merge_field(
    original: Vec<Value>,
    patch: Vec<Value>,
    known: &Known<'_>,
    deletes: bool,
) -> Result<Vec<Value>, MergeError> {
    if !known.field.strategy.merge && !deletes {
        return Ok(patch);
    }
    if original.is_empty() && patch.is_empty() {
        return Ok(original);
    }
    check_types([&original, &patch])?;
    let of_maps = original.first().or(patch.first()).is_some_and(Value::is_object);
    let key = known.merge_key();
    if !of_maps && deletes {
        let deleted: HashSet<&Value> = patch.iter().collect();
        return Ok(original.into_iter().filter(|item| !deleted.contains(item)).collect());
    }
    if !of_maps {
        let mut seen = HashSet::new();
        let both = original.iter().chain(&patch).filter(|item| seen.insert(*item)).cloned().collect();
        return in_order(both, &patch, &original, key);
    }
    if key.is_empty() {
        let shape = if known.item().fields().is_empty() { "map" } else { "struct" };
        return Err(MergeError::Other(format!("cannot merge lists without merge key for {shape}")));
    }
    let (original, patch) = special_items(original, patch, key)?;
    let server_order = original.clone();
    let order = patch.clone();
    let merged = merge_items(original, patch, known, key)?;
    in_order(merged, &order, &server_order, key)
}

/// Acts on items with `$patch`: takes out what they delete, or everything when one says `replace`.
fn special_items(
    mut original: Vec<Value>,
    patch: Vec<Value>,
    key: &str,
) -> Result<(Vec<Value>, Vec<Value>), MergeError> {
    let (mut plain, mut replace, mut deleted) = (Vec::new(), false, HashSet::new());
    for item in patch {
        let Some(directive) = item.get(PATCH) else {
            plain.push(item);
            continue;
        };
        match directive.as_str() {
            Some("delete") => {
                deleted.insert(identity(&item, key)?.clone());
            }
            Some("replace") => replace = true,
            Some("merge") => {
                return Err(MergeError::Other("merging lists cannot yet be specified in the patch".to_owned()));
            }
            _ => {
                let directive = go_text::display(directive);
                return Err(MergeError::Directive { directive, map: go_text::display(&item) });
            }
        }
    }
    if replace {
        return Ok((plain, Vec::new()));
    }
    original.retain(|item| item.get(key).is_none_or(|identity| !deleted.contains(identity)));
    Ok((original, plain))
}

/// Merges each item of the patch into the first original item of the same key, or appends it.
fn merge_items(
    mut original: Vec<Value>,
    patch: Vec<Value>,
    known: &Known<'_>,
    key: &str,
) -> Result<Vec<Value>, MergeError> {
    let mut places: HashMap<Value, usize> = HashMap::new();
    for (index, item) in original.iter().enumerate() {
        if let Some(identity) = item.get(key) {
            places.entry(identity.clone()).or_insert(index);
        }
    }
    for item in patch {
        let identity = identity(&item, key)?.clone();
        match (places.get(&identity), item) {
            (Some(&place), Value::Object(item)) => {
                let Some(Value::Object(map)) = original.get_mut(place).map(Value::take) else { continue };
                original[place] = Value::Object(merge_map(map, item, known.item())?);
            }
            (_, item) => {
                places.insert(identity, original.len());
                original.push(item);
            }
        }
    }
    Ok(original)
}

/// `$setElementOrder` must name the patch's items, in their order.
pub(super) fn check_order(patch: &[Value], order: &[Value], key: &str) -> Result<(), MergeError> {
    if order.is_empty() || patch.is_empty() {
        return Ok(());
    }
    let kept: Vec<&Value> = patch.iter().filter(|item| key.is_empty() || item.get(PATCH).is_none()).collect();
    let (mut at, mut order_at) = (0, 0);
    while at < kept.len() && order_at < order.len() {
        if identity(kept[at], key)? == identity(&order[order_at], key)? {
            at += 1;
        }
        order_at += 1;
    }
    if at < kept.len() {
        let shown = |list: &[Value]| go_text::display(&Value::Array(list.to_vec()));
        return Err(MergeError::Other(format!(
            "The order in patch list:\n{}\n doesn't match $setElementOrder list:\n{}\n",
            shown(patch),
            shown(order)
        )));
    }
    Ok(())
}

/// Items that `order` names come in its order; the others keep the order they had on the server, and stand as far in
/// front as that order tells.
pub(super) fn in_order(
    items: Vec<Value>,
    order: &[Value],
    server_order: &[Value],
    key: &str,
) -> Result<Vec<Value>, MergeError> {
    let (order_places, server_places) = (places(order, key), places(server_order, key));
    let (mut named, mut others) = (Vec::new(), Vec::new());
    for item in items {
        let identity = identity(&item, key)?;
        let server = server_places.get(identity).copied();
        match order_places.get(identity).copied() {
            Some(place) => named.push((place, server, item)),
            None => others.push((server, item)),
        }
    }
    named.sort_by_key(|(place, _, _)| *place);
    others.sort_by_key(|(server, _)| *server);
    let mut merged = Vec::with_capacity(named.len() + others.len());
    let mut others = others.into_iter().peekable();
    for (_, server, item) in named {
        while let (Some(server), Some((Some(other), _))) = (server, others.peek())
            && *other < server
        {
            merged.extend(others.next().map(|(_, item)| item));
        }
        merged.push(item);
    }
    merged.extend(others.map(|(_, item)| item));
    Ok(merged)
}
