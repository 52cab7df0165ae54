//! The paths by which definitions point into objects: a small part of Kubernetes' JSONPath.
//!
//! `.spec.teeth`, `.metadata.labels['a.b']`, `.metadata.labels.a\.b`, `.items[0].name`, `.items[*].name`, and
//! `.status.conditions[?(@.type=="Ready")].status`.

use serde_json::Value;

use crate::go_text;

/// A path, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct JsonPath {
    /// `None` for a path of a form that is not known, which finds nothing.
    steps: Option<Vec<Step>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    Field(String),
    Index(i64),
    Every,
    /// Items of which the field (by names) is this text.
    Where(Vec<String>, String),
}

impl JsonPath {
    pub(crate) fn parse(text: &str) -> Self {
        let text = text.trim().trim_start_matches('{').trim_end_matches('}');
        let text = text.strip_prefix('$').unwrap_or(text);
        Self { steps: parse(text) }
    }

    /// Whether the path is of a form that is known.
    pub(crate) fn is_valid(&self) -> bool {
        self.steps.is_some()
    }

    /// The first value that the path finds.
    pub(crate) fn first<'a>(&self, object: &'a Value) -> Option<&'a Value> {
        find(self.steps.as_deref()?, object)
    }
}

fn find<'a>(steps: &[Step], value: &'a Value) -> Option<&'a Value> {
    let Some((step, rest)) = steps.split_first() else { return Some(value) };
    match step {
        Step::Field(name) => find(rest, value.get(name)?),
        Step::Index(index) => {
            let items = value.as_array()?;
            let index = if *index < 0 { i64::try_from(items.len()).ok()?.checked_add(*index)? } else { *index };
            find(rest, items.get(usize::try_from(index).ok()?)?)
        }
        Step::Every => match value {
            Value::Array(items) => items.iter().find_map(|item| find(rest, item)),
            Value::Object(map) => map.values().find_map(|item| find(rest, item)),
            _ => None,
        },
        Step::Where(names, wanted) => value.as_array()?.iter().find_map(|item| {
            let field = names.iter().try_fold(item, |value, name| value.get(name))?;
            if shown(field) == *wanted { find(rest, item) } else { None }
        }),
    }
}

fn parse(text: &str) -> Option<Vec<Step>> {
    let mut steps = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        if let Some(tail) = rest.strip_prefix('[') {
            let end = close(tail)?;
            steps.push(bracket(&tail[..end])?);
            rest = &tail[end + 1..];
        } else {
            let tail = rest.strip_prefix('.')?;
            let (name, tail) = name(tail);
            match name.as_str() {
                "" if tail.starts_with('[') || tail.is_empty() => {}
                "" => return None,
                "*" => steps.push(Step::Every),
                _ => steps.push(Step::Field(name)),
            }
            rest = tail;
        }
    }
    Some(steps)
}

/// A name up to the next dot or bracket; a backslash takes the next character as it is.
fn name(text: &str) -> (String, &str) {
    let mut name = String::new();
    let mut characters = text.char_indices();
    while let Some((index, character)) = characters.next() {
        match character {
            '\\' => name.extend(characters.next().map(|(_, next)| next)),
            '.' | '[' => return (name, &text[index..]),
            _ => name.push(character),
        }
    }
    (name, "")
}

/// Where the bracket closes, quotes respected.
fn close(text: &str) -> Option<usize> {
    let mut quote = None;
    for (index, character) in text.char_indices() {
        match (quote, character) {
            (None, ']') => return Some(index),
            (None, '\'' | '"') => quote = Some(character),
            (Some(open), _) if open == character => quote = None,
            _ => {}
        }
    }
    None
}

fn bracket(text: &str) -> Option<Step> {
    let text = text.trim();
    if text == "*" {
        return Some(Step::Every);
    }
    if let Some(name) = unquoted(text) {
        return Some(Step::Field(name.to_owned()));
    }
    if let Some(filter) = text.strip_prefix("?(").and_then(|text| text.strip_suffix(')')) {
        let (field, value) = filter.split_once("==")?;
        let field = field.trim().strip_prefix("@.")?;
        let value = value.trim();
        let value = unquoted(value).unwrap_or(value);
        return Some(Step::Where(field.split('.').map(str::to_owned).collect(), value.to_owned()));
    }
    text.parse().ok().map(Step::Index)
}

fn unquoted(text: &str) -> Option<&str> {
    ['\'', '"'].into_iter().find_map(|quote| text.strip_prefix(quote)?.strip_suffix(quote))
}

/// A value as text.
pub(super) fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => go_text::json(other),
    }
}
