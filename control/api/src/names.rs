//! Rules for names, label keys and label values, with upstream's words for what breaks them.
//!
//! Each rule returns the list of its complaints; an empty list means valid. Lengths are bytes.

/// Largest length of a DNS label, a label value and the name part of a label key, in bytes.
pub const LABEL_LENGTH_MAX: usize = 63;
/// Largest length of a DNS subdomain, in bytes.
pub const SUBDOMAIN_LENGTH_MAX: usize = 253;

const LABEL_FORMAT: &str = "[a-z0-9]([-a-z0-9]*[a-z0-9])?";
const SUBDOMAIN_FORMAT: &str = "[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*";
const QUALIFIED_FORMAT: &str = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]";
const QUALIFIED_WORDS: &str =
    "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character";
const SUBDOMAIN_WORDS: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character";

/// "must be no more than N characters".
#[must_use]
pub fn too_long(length_max: usize) -> String {
    format!("must be no more than {length_max} characters")
}

/// A rule's words followed by examples and its regular expression, as upstream joins them.
#[must_use]
pub fn format_words(words: &str, format: &str, examples: &[&str]) -> String {
    if examples.is_empty() {
        return format!("{words} (regex used for validation is '{format}')");
    }
    let examples: Vec<String> = examples.iter().map(|example| format!("'{example}', ")).collect();
    format!("{words} (e.g. {}regex used for validation is '{format}')", examples.join(" or "))
}

/// "must be between LOW and HIGH, inclusive".
#[must_use]
pub fn out_of_range(low: i64, high: i64) -> String {
    format!("must be between {low} and {high}, inclusive")
}

fn is_label(text: &str) -> bool {
    let bytes = text.as_bytes();
    let lower = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    bytes.first().is_some_and(lower) && bytes.last().is_some_and(lower) && bytes.iter().all(|b| lower(b) || *b == b'-')
}

fn is_subdomain(text: &str) -> bool {
    text.split('.').all(is_label)
}

fn is_qualified_part(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.first().is_some_and(u8::is_ascii_alphanumeric)
        && bytes.last().is_some_and(u8::is_ascii_alphanumeric)
        && bytes.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
}

/// A DNS label of RFC 1123 ("my-name"), at most 63 bytes.
#[must_use]
pub fn dns_label(text: &str) -> Vec<String> {
    let mut errors = Vec::new();
    if text.len() > LABEL_LENGTH_MAX {
        errors.push(too_long(LABEL_LENGTH_MAX));
    }
    if !is_label(text) {
        if is_subdomain(text) {
            errors.push("must not contain dots".to_owned());
        } else {
            let words = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character";
            errors.push(format_words(words, LABEL_FORMAT, &["my-name", "123-abc"]));
        }
    }
    errors
}

/// A DNS subdomain of RFC 1123 ("example.com"), at most 253 bytes: the name of most objects.
#[must_use]
pub fn dns_subdomain(text: &str) -> Vec<String> {
    let mut errors = Vec::new();
    if text.len() > SUBDOMAIN_LENGTH_MAX {
        errors.push(too_long(SUBDOMAIN_LENGTH_MAX));
    }
    if !is_subdomain(text) {
        errors.push(format_words(SUBDOMAIN_WORDS, SUBDOMAIN_FORMAT, &["example.com"]));
    }
    errors
}

/// A DNS label of RFC 1035 ("my-name", starting with a letter), at most 63 bytes: the name of a Service.
#[must_use]
pub fn dns_1035_label(text: &str) -> Vec<String> {
    let mut errors = Vec::new();
    if text.len() > LABEL_LENGTH_MAX {
        errors.push(too_long(LABEL_LENGTH_MAX));
    }
    if !is_label(text) || !text.as_bytes()[0].is_ascii_lowercase() {
        let words = "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character";
        errors.push(format_words(words, "[a-z]([-a-z0-9]*[a-z0-9])?", &["my-name", "abc-123"]));
    }
    errors
}

/// A label or annotation key: an optional DNS subdomain and a slash, then a name of at most 63 bytes.
#[must_use]
pub fn qualified_name(text: &str) -> Vec<String> {
    let mut errors = Vec::new();
    let examples = ["MyName", "my.name", "123-abc"];
    let mut parts = text.split('/');
    let (first, second, third) = (parts.next().unwrap_or(""), parts.next(), parts.next());
    let name = match (second, third) {
        (None, _) => first,
        (Some(name), None) => {
            if first.is_empty() {
                errors.push("prefix part must be non-empty".to_owned());
            } else {
                errors.extend(dns_subdomain(first).into_iter().map(|message| format!("prefix part {message}")));
            }
            name
        }
        (Some(_), Some(_)) => {
            let words = format_words(QUALIFIED_WORDS, QUALIFIED_FORMAT, &examples);
            errors.push(format!(
                "a qualified name {words} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"
            ));
            return errors;
        }
    };
    if name.is_empty() {
        errors.push("name part must be non-empty".to_owned());
    } else if name.len() > LABEL_LENGTH_MAX {
        errors.push(format!("name part {}", too_long(LABEL_LENGTH_MAX)));
    }
    if !is_qualified_part(name) {
        errors.push(format!("name part {}", format_words(QUALIFIED_WORDS, QUALIFIED_FORMAT, &examples)));
    }
    errors
}

/// A label value: empty, or at most 63 bytes of letters, digits, '-', '_' and '.', alphanumeric at both ends.
#[must_use]
pub fn label_value(text: &str) -> Vec<String> {
    let mut errors = Vec::new();
    if text.len() > LABEL_LENGTH_MAX {
        errors.push(too_long(LABEL_LENGTH_MAX));
    }
    if !text.is_empty() && !is_qualified_part(text) {
        let words = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character";
        let format = format!("({QUALIFIED_FORMAT})?");
        errors.push(format_words(words, &format, &["MyValue", "my_value", "12345"]));
    }
    errors
}

#[cfg(test)]
mod tests;
