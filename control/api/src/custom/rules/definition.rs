//! Rules as a definition has them: what is wrong with them before there is any object.

use serde_json::Value;

use crate::cel::Program;
use crate::go_text;
use crate::kinds::fields::Fields;
use crate::status::{FieldError, FieldPath};

/// What is wrong with the rules of one node of a schema.
pub(crate) fn validate_rules(document: &Value, path: &FieldPath<'_>, errors: &mut Vec<FieldError>) {
    let list = path.child("x-kubernetes-validations");
    for (index, rule) in document.list("x-kubernetes-validations").iter().enumerate() {
        let path = list.index(index);
        let text = rule.text("rule");
        if text.trim().is_empty() {
            errors.push(FieldError::required(path.child("rule"), "rule is not specified"));
            continue;
        }
        let found = match Program::compile(text) {
            Err(error) => Some(format!("compilation failed: {error}")),
            Ok(_) => unknown_field(text, document).map(|(name, column)| undefined(text, &name, column)),
        };
        if let Some(detail) = found {
            errors.push(complaint(&path.child("rule"), rule, &detail));
        }
        let message = rule.text("messageExpression");
        if !message.trim().is_empty()
            && let Err(error) = Program::compile(message)
        {
            let detail = format!("messageExpression compilation failed: {error}");
            errors.push(complaint(&path.child("messageExpression"), rule, &detail));
        }
    }
}

/// A field that a rule names and the schema lacks, in upstream's words.
fn undefined(rule: &str, name: &str, column: usize) -> String {
    let dots = ".".repeat(column);
    format!("compilation failed: ERROR: <input>:1:{}: undefined field '{name}'\n | {rule}\n | {dots}^", column + 1)
}

/// A complaint about a rule. Upstream shows the rule as the fields of its Go type, in their order.
fn complaint(path: &FieldPath<'_>, rule: &Value, detail: &str) -> FieldError {
    let text = |name: &str| go_text::json(&Value::from(rule.text(name)));
    let nullable = |name: &str| rule.child(name).map_or_else(|| "null".to_owned(), go_text::json);
    let shown = format!(
        r#"{{"Rule":{},"Message":{},"MessageExpression":{},"Reason":{},"FieldPath":{},"OptionalOldSelf":{}}}"#,
        text("rule"),
        text("message"),
        text("messageExpression"),
        nullable("reason"),
        text("fieldPath"),
        nullable("optionalOldSelf")
    );
    FieldError::invalid_omitted(path, format!("{shown}: {detail}"))
}

/// The first field on a path from `self` that the schema does not have, with the column of its dot.
fn unknown_field(rule: &str, document: &Value) -> Option<(String, usize)> {
    let plain = without_texts(rule);
    let word = |character: char| character.is_ascii_alphanumeric() || character == '_';
    let mut from = 0;
    while let Some(found) = plain[from..].find("self.") {
        let start = from + found;
        from = start + "self.".len();
        // Not the end of `oldself`, nor a field of that name; `oldSelf` has another letter.
        if plain[..start].chars().next_back().is_some_and(|before| word(before) || before == '.') {
            continue;
        }
        let (mut schema, mut dot) = (document, from - 1);
        loop {
            let name_at = dot + 1;
            let length = plain[name_at..].find(|character| !word(character)).unwrap_or(plain.len() - name_at);
            let (name, tail) = (&plain[name_at..name_at + length], &plain[name_at + length..]);
            let closed = schema.text("type") == "object"
                && !schema.is_true("x-kubernetes-preserve-unknown-fields")
                && !schema.is_true("x-kubernetes-embedded-resource")
                && !schema.has("additionalProperties");
            if length == 0 || tail.starts_with('(') || name.contains("__") || !closed {
                break;
            }
            match schema.at(&["properties", name]) {
                Some(inner) => schema = inner,
                None if std::ptr::eq(schema, document) && matches!(name, "metadata" | "apiVersion" | "kind") => break,
                None => return Some((name.to_owned(), dot)),
            }
            if !tail.starts_with('.') {
                break;
            }
            dot = name_at + length;
        }
    }
    None
}

/// The rule with the contents of its texts blanked, byte for byte.
fn without_texts(rule: &str) -> String {
    let mut quote = None;
    let mut escaped = false;
    let blank = |byte: u8| match (quote, byte) {
        (None, b'\'' | b'"') => {
            quote = Some(byte);
            ' '
        }
        (None, byte) if byte.is_ascii() => char::from(byte),
        (Some(open), byte) => {
            if byte == open && !escaped {
                quote = None;
            }
            escaped = byte == b'\\' && !escaped;
            ' '
        }
        _ => ' ',
    };
    rule.bytes().map(blank).collect()
}
