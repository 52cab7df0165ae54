//! Objects as the store keeps them: canonical JSON bytes without `metadata.resourceVersion`.
//!
//! Reading never encodes an object again. A small scanner finds the metadata, and the resource version is put into its place
//! there while the bytes are copied out. It relies on what [`encode`] guarantees: `metadata` after `apiVersion` and
//! `kind`, no white space between tokens, `metadata` an object. Built-in objects have their fields in upstream's order.

use std::ops::Range;

use bytes::Bytes;
use coracle_control_api::go_order;
use serde_json::Value;

/// Where the parts of a stored object are that change on the way out.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Layout {
    /// `"apiVersion":"v1",` with its comma.
    api_version: Range<usize>,
    /// `"kind":"Pod",` with its comma.
    kind: Range<usize>,
    /// Where the value of `metadata` begins: its opening brace. Its end is not looked for, since it is long, and every
    /// event of every watch comes through here.
    metadata: usize,
}

/// The canonical bytes of an object, without its resource version. The value keeps its own.
pub(crate) fn encode(object: &Value) -> Bytes {
    let had = object.pointer("/metadata/resourceVersion").is_some();
    if !had {
        return Bytes::from(go_order::to_vec(object));
    }
    let mut copy = object.clone();
    if let Some(metadata) = copy.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("resourceVersion");
    }
    Bytes::from(go_order::to_vec(&copy))
}

/// The object, with its resource version set.
pub(crate) fn decode(stored: &[u8], revision: u64) -> Result<Value, serde_json::Error> {
    let mut object: Value = serde_json::from_slice(stored)?;
    set_revision(&mut object, revision);
    Ok(object)
}

/// Sets `metadata.resourceVersion`.
pub(crate) fn set_revision(object: &mut Value, revision: u64) {
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.insert("resourceVersion".to_owned(), Value::from(revision.to_string()));
    }
}

/// The object as JSON with its resource version.
pub(crate) fn with_revision(stored: &[u8], revision: u64) -> Vec<u8> {
    let mut out = Vec::with_capacity(stored.len() + 48);
    write_with_revision(&mut out, stored, revision);
    out
}

/// Appends the object with its resource version.
pub(crate) fn write_with_revision(out: &mut Vec<u8>, stored: &[u8], revision: u64) {
    match layout(stored) {
        Some(layout) => write_from(out, stored, 0, &layout, revision),
        None => out.extend_from_slice(stored),
    }
}

/// Appends the object as an item of a typed list: with its resource version, without `apiVersion` and `kind`, which
/// upstream leaves out there.
pub(crate) fn write_list_item(out: &mut Vec<u8>, stored: &[u8], revision: u64) {
    let Some(layout) = layout(stored) else {
        out.extend_from_slice(stored);
        return;
    };
    if layout.kind.is_empty() || layout.api_version.is_empty() {
        write_from(out, stored, 0, &layout, revision);
        return;
    }
    let (first, second) = if layout.kind.start < layout.api_version.start {
        (&layout.kind, &layout.api_version)
    } else {
        (&layout.api_version, &layout.kind)
    };
    out.extend_from_slice(&stored[..first.start]);
    out.extend_from_slice(&stored[first.end..second.start]);
    write_from(out, stored, second.end, &layout, revision);
}

fn write_from(out: &mut Vec<u8>, stored: &[u8], from: usize, layout: &Layout, revision: u64) {
    // What is computed and not stored has no version.
    if revision == 0 {
        out.extend_from_slice(&stored[from..]);
        return;
    }
    let inside = layout.metadata + 1;
    let place = revision_place(stored, layout.metadata);
    out.extend_from_slice(&stored[from..place]);
    out.extend_from_slice(if place > inside { b",\"resourceVersion\":\"" } else { b"\"resourceVersion\":\"" });
    write_decimal(out, revision);
    out.push(b'"');
    if place == inside && stored.get(inside) != Some(&b'}') {
        out.push(b',');
    }
    out.extend_from_slice(&stored[place..]);
}

/// Where the resource version goes: after the fields that upstream prints before it.
fn revision_place(stored: &[u8], metadata: usize) -> usize {
    let mut place = metadata + 1;
    let mut scanner = Members::new(&stored[metadata..]);
    while let Some((name, value)) = scanner.key() {
        if !matches!(name, b"name" | b"generateName" | b"namespace" | b"selfLink" | b"uid") {
            break;
        }
        let Some(end) = scanner.skip(value) else { break };
        place = metadata + end;
    }
    place
}

/// Appends a number in decimal.
pub(crate) fn write_decimal(out: &mut Vec<u8>, number: u64) {
    let mut digits = [0_u8; 20];
    let mut position = digits.len();
    let mut rest = number;
    loop {
        position -= 1;
        digits[position] = b'0' + u8::try_from(rest % 10).unwrap_or(0);
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[position..]);
}

/// The raw bytes of `metadata`.
pub(crate) fn metadata(stored: &[u8]) -> Option<&[u8]> {
    let start = layout(stored)?.metadata;
    stored.get(start..value_end(stored, start)?)
}

/// The raw JSON value at a path of object keys, or `None` when there is none.
pub(crate) fn find<'a>(json: &'a [u8], path: &[&str]) -> Option<&'a [u8]> {
    let mut current = json;
    for key in path {
        current = members(current).find(|(name, _)| *name == key.as_bytes()).map(|(_, value)| &current[value])?;
    }
    Some(current)
}

/// The labels of a stored object.
pub(crate) fn labels(stored: &[u8]) -> serde_json::Map<String, Value> {
    metadata(stored)
        .and_then(|metadata| find(metadata, &["labels"]))
        .and_then(|labels| serde_json::from_slice(labels).ok())
        .unwrap_or_default()
}

fn layout(stored: &[u8]) -> Option<Layout> {
    let mut api_version = 0..0;
    let mut kind = 0..0;
    let mut scanner = Members::new(stored);
    while let Some((name, value)) = scanner.key() {
        // Every member ends with a comma but the last, and `metadata` comes after these two.
        let start = value.checked_sub(name.len() + 3)?;
        if name == b"metadata" {
            return (stored.get(value) == Some(&b'{')).then_some(Layout { api_version, kind, metadata: value });
        }
        let end = scanner.skip(value)?;
        match name {
            b"apiVersion" => api_version = start..end + 1,
            b"kind" => kind = start..end + 1,
            _ => {}
        }
    }
    None
}

/// The members of a JSON object without white space: raw key (escapes not resolved) and the range of the value.
pub(crate) fn members(json: &[u8]) -> impl Iterator<Item = (&[u8], Range<usize>)> {
    let mut scanner = Members::new(json);
    std::iter::from_fn(move || {
        let (name, value) = scanner.key()?;
        let end = scanner.skip(value)?;
        Some((name, value..end))
    })
}

/// Goes through the members of a JSON object; a value is looked at only when it is skipped.
struct Members<'a> {
    json: &'a [u8],
    position: usize,
}

impl<'a> Members<'a> {
    fn new(json: &'a [u8]) -> Self {
        // What is no object has no member: no quote stands past its end.
        Self { json, position: if json.first() == Some(&b'{') { 1 } else { json.len() } }
    }

    /// The key of the next member, and where its value begins.
    fn key(&mut self) -> Option<(&'a [u8], usize)> {
        if self.json.get(self.position) != Some(&b'"') {
            return None;
        }
        let key_end = string_end(self.json, self.position)?;
        let key = self.json.get(self.position + 1..key_end - 1)?;
        (self.json.get(key_end) == Some(&b':')).then_some((key, key_end + 1))
    }

    /// Goes past the value that begins at `start`, and says where it ends.
    fn skip(&mut self, start: usize) -> Option<usize> {
        let end = value_end(self.json, start)?;
        // Past the comma, or past the closing brace, after which no quote follows.
        self.position = end + 1;
        Some(end)
    }
}

/// The position after the string that begins at `start`.
fn string_end(json: &[u8], start: usize) -> Option<usize> {
    let mut position = start + 1;
    loop {
        match json.get(position)? {
            b'"' => return Some(position + 1),
            b'\\' => position += 2,
            _ => position += 1,
        }
    }
}

/// The position after the value that begins at `start`.
fn value_end(json: &[u8], start: usize) -> Option<usize> {
    match json.get(start)? {
        b'"' => string_end(json, start),
        b'{' | b'[' => {
            let mut depth = 0_usize;
            let mut position = start;
            loop {
                match json.get(position)? {
                    b'"' => {
                        position = string_end(json, position)?;
                        continue;
                    }
                    b'{' | b'[' => depth += 1,
                    b'}' | b']' => {
                        depth -= 1;
                        if depth == 0 {
                            return Some(position + 1);
                        }
                    }
                    _ => {}
                }
                position += 1;
            }
        }
        _ => {
            let rest = json.get(start..)?;
            let length = rest.iter().position(|byte| matches!(byte, b',' | b'}' | b']')).unwrap_or(rest.len());
            Some(start + length)
        }
    }
}

#[cfg(test)]
mod tests;
