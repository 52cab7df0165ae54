//! Texts as Go's standard library prints them: quoted strings and compact JSON. Upstream's messages are made of these.

use serde_json::Value;
use std::collections::HashSet;
use std::fmt::Write as _;

/// A string in double quotes, escaped as Go's `%q` does: printable characters stay, others become `\n`, `\x01`, `\u00ad`.
#[must_use]
pub fn quote(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\u{7}' => out.push_str("\\a"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{b}' => out.push_str("\\v"),
            c if c < ' ' || c == '\u{7f}' => push_code(&mut out, "\\x", 2, c),
            c if is_printable(c) => out.push(c),
            c if (c as u32) < 0x1_0000 => push_code(&mut out, "\\u", 4, c),
            c => push_code(&mut out, "\\U", 8, c),
        }
    }
    out.push('"');
    out
}

fn push_code(out: &mut String, prefix: &str, width: usize, character: char) {
    // Writing to a String cannot fail.
    let _ = write!(out, "{prefix}{:0width$x}", character as u32);
}

/// Close to Go's `unicode.IsPrint`: controls, format characters and every space but U+0020 are not printable.
fn is_printable(character: char) -> bool {
    if character == ' ' {
        return true;
    }
    !(character.is_control()
        || character.is_whitespace()
        || matches!(character, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{e000}'..='\u{f8ff}'))
}

/// Compact JSON as Go's `json.Marshal` writes it: `<`, `>` and `&` are escaped, and so are U+2028 and U+2029.
#[must_use]
pub fn json(value: &Value) -> String {
    let plain = value.to_string();
    if !plain.contains(['<', '>', '&', '\u{2028}', '\u{2029}']) {
        return plain;
    }
    let mut out = String::with_capacity(plain.len() + 16);
    for character in plain.chars() {
        match character {
            // These can only stand inside a string, where an escape means the same.
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => push_code(&mut out, "\\u", 4, character),
            c => out.push(c),
        }
    }
    out
}

/// A value as Go's `%v` prints it when it is held in untyped maps: `map[a:1 b:[x y] c:<nil>]`.
#[must_use]
pub fn display(value: &Value) -> String {
    match value {
        Value::Null => "<nil>".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(items) => format!("[{}]", items.iter().map(display).collect::<Vec<_>>().join(" ")),
        Value::Object(map) => {
            let entries: Vec<String> = map.iter().map(|(key, value)| format!("{key}:{}", display(value))).collect();
            format!("map[{}]", entries.join(" "))
        }
        Value::Bool(_) | Value::Number(_) => value.to_string(),
    }
}

/// The Go type of a value that is held in untyped maps.
#[must_use]
pub fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "%!s(<nil>)",
        Value::Bool(_) => "bool",
        Value::Number(number) if number.is_i64() => "int64",
        Value::Number(_) => "float64",
        Value::String(_) => "string",
        Value::Array(_) => "[]interface {}",
        Value::Object(_) => "map[string]interface {}",
    }
}

/// Messages of several errors as upstream's aggregate prints them: equal ones once, and brackets when more than one stays.
#[must_use]
pub fn aggregate<I: IntoIterator<Item = String>>(messages: I) -> String {
    let mut seen = HashSet::new();
    let mut unique: Vec<String> = messages.into_iter().filter(|message| seen.insert(message.clone())).collect();
    if unique.len() == 1 { unique.remove(0) } else { format!("[{}]", unique.join(", ")) }
}

#[cfg(test)]
mod tests;
