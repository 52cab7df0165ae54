//! Rules that many fields share, each returning its complaints in upstream's words; an empty list means valid.

pub(crate) mod addresses;
pub(crate) mod labels;
pub mod names;
pub(crate) mod resources;

use std::net::IpAddr;

use serde_json::Value;

use crate::names as rules;
use crate::status::{FieldError, FieldPath};

/// What is said of a number below zero.
pub(crate) const NEGATIVE: &str = "must be greater than or equal to 0";
/// What is said of a field that may not change.
pub(crate) const IMMUTABLE: &str = "field is immutable";
/// Largest user or group id.
const ID_MAX: i64 = i32::MAX as i64;

/// One Invalid error for each complaint.
pub(crate) fn complain(
    errors: &mut Vec<FieldError>,
    path: &FieldPath<'_>,
    value: impl Into<Value>,
    complaints: Vec<String>,
) {
    if complaints.is_empty() {
        return;
    }
    let value = value.into();
    errors.extend(complaints.into_iter().map(|complaint| FieldError::invalid(path, value.clone(), complaint)));
}

pub(crate) fn dns_label(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, value: &str) {
    complain(errors, path, value, rules::dns_label(value));
}

pub(crate) fn dns_subdomain(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, value: &str) {
    complain(errors, path, value, rules::dns_subdomain(value));
}

pub(crate) fn qualified_name(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, value: &str) {
    complain(errors, path, value, rules::qualified_name(value));
}

/// `value` is at least zero.
pub(crate) fn not_negative(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, value: Option<i64>) {
    if let Some(value) = value.filter(|value| *value < 0) {
        errors.push(FieldError::invalid(path, value, NEGATIVE));
    }
}

/// The field may not differ between the two; absent and null are the same.
pub(crate) fn immutable(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, new: Option<&Value>, old: Option<&Value>) {
    if !super::fields::same(new, old) {
        errors.push(FieldError::invalid(path, new.cloned().unwrap_or(Value::Null), IMMUTABLE));
    }
}

pub(crate) fn port_number(port: i64) -> Vec<String> {
    if (1..=65535).contains(&port) { Vec::new() } else { vec![rules::out_of_range(1, 65535)] }
}

/// The name of a container's port: at most 15 bytes of lower case letters, digits and '-', with at least one letter.
pub(crate) fn port_name(name: &str) -> Vec<String> {
    let mut complaints = Vec::new();
    if name.len() > 15 {
        complaints.push(rules::too_long(15));
    }
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if name.is_empty() || !name.bytes().all(allowed) {
        complaints.push("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)".to_owned());
    }
    if !name.bytes().any(|byte| byte.is_ascii_lowercase()) {
        complaints.push("must contain at least one letter (a-z)".to_owned());
    }
    if name.contains("--") {
        complaints.push("must not contain consecutive hyphens".to_owned());
    }
    if name.starts_with('-') || name.ends_with('-') {
        complaints.push("must not begin or end with a hyphen".to_owned());
    }
    complaints
}

/// A key of a config map or secret, which becomes a file name.
pub(crate) fn config_key(key: &str) -> Vec<String> {
    let mut complaints = Vec::new();
    if key.len() > rules::SUBDOMAIN_LENGTH_MAX {
        complaints.push(rules::too_long(rules::SUBDOMAIN_LENGTH_MAX));
    }
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    if key.is_empty() || !key.bytes().all(allowed) {
        let words = "a valid config key must consist of alphanumeric characters, '-', '_' or '.'";
        complaints.push(rules::format_words(words, "[-._a-zA-Z0-9]+", &["key.name", "KEY_NAME", "key-name"]));
    }
    match key {
        "." => complaints.push("must not be '.'".to_owned()),
        ".." => complaints.push("must not be '..'".to_owned()),
        _ if key.starts_with("..") => complaints.push("must not start with '..'".to_owned()),
        _ => {}
    }
    complaints
}

/// The name of an environment variable: printable ASCII without '='.
pub(crate) fn environment_name(name: &str) -> Vec<String> {
    if name.is_empty() {
        return vec!["environment variable name must be non-empty".to_owned()];
    }
    if name.bytes().all(|byte| (b' '..=b'~').contains(&byte) && byte != b'=') {
        return Vec::new();
    }
    vec!["a valid environment variable name must consist only of printable ASCII characters other than '='".to_owned()]
}

/// A DNS subdomain whose labels may also have underscores, as real search domains do.
pub(crate) fn subdomain_with_underscore(name: &str) -> Vec<String> {
    let mut complaints = Vec::new();
    if name.len() > rules::SUBDOMAIN_LENGTH_MAX {
        complaints.push(rules::too_long(rules::SUBDOMAIN_LENGTH_MAX));
    }
    let end = |byte: Option<&u8>| byte.is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    let inside = |byte: &u8| end(Some(byte)) || matches!(byte, b'-' | b'_');
    let label = |label: &str| {
        let bytes = label.strip_prefix('_').unwrap_or(label).as_bytes();
        end(bytes.first()) && end(bytes.last()) && bytes.iter().all(inside)
    };
    if !name.split('.').all(label) {
        let words = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character";
        let format = "_?[a-z0-9]([-_a-z0-9]*[a-z0-9])?(\\._?[a-z0-9]([-_a-z0-9]*[a-z0-9])?)*";
        complaints.push(rules::format_words(words, format, &["example.com"]));
    }
    complaints
}

pub(crate) fn http_header_name(name: &str) -> Vec<String> {
    if !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
        return Vec::new();
    }
    let words = "a valid HTTP header must consist of alphanumeric characters or '-'";
    vec![rules::format_words(words, "[-A-Za-z0-9]+", &["X-Header-Name"])]
}

/// A user or group id.
pub(crate) fn id(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, value: Option<i64>) {
    if let Some(value) = value.filter(|value| !(0..=ID_MAX).contains(value)) {
        errors.push(FieldError::invalid(path, value, rules::out_of_range(0, ID_MAX)));
    }
}

const NO_ADDRESS: &str = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)";
const NO_BLOCK: &str = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)";

/// An IP address as fields of old accept it: leading zeros in IPv4 are allowed.
pub(crate) fn ip(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, value: &str) {
    if parse_ip(value).is_none() {
        errors.push(FieldError::invalid(path, value, NO_ADDRESS));
    }
}

/// A block of addresses.
pub(crate) fn cidr(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, value: &str) {
    if parse_cidr(value).is_none() {
        errors.push(FieldError::invalid(path, value, NO_BLOCK));
    }
}

pub(crate) fn parse_ip(text: &str) -> Option<IpAddr> {
    if text.contains(':') {
        return text.parse().ok();
    }
    let mut octets = [0_u8; 4];
    let mut parts = text.split('.');
    for octet in &mut octets {
        let part = parts.next()?;
        if part.is_empty() || part.len() > 255 || !part.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        *octet = part
            .trim_start_matches('0')
            .parse()
            .or_else(|error| if part.bytes().all(|byte| byte == b'0') { Ok(0) } else { Err(error) })
            .ok()?;
    }
    parts.next().is_none().then(|| IpAddr::from(octets))
}

pub(crate) fn parse_cidr(text: &str) -> Option<(IpAddr, u8)> {
    let (address, bits) = text.split_once('/')?;
    let address = parse_ip(address)?;
    if bits.is_empty() || !bits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let bits: u8 = bits.parse().ok()?;
    let bits_max = if address.is_ipv4() { 32 } else { 128 };
    (bits <= bits_max).then_some((address, bits))
}

/// `value` is one of `allowed`; empty counts as missing. `allowed` is shown in the order given.
pub(crate) fn one_of(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, value: &str, allowed: &[&str]) {
    if value.is_empty() {
        errors.push(FieldError::required(path, ""));
    } else {
        one_of_if_set(errors, path, Some(value), allowed);
    }
}

/// `value`, if there is one, is one of `allowed`, which is shown in the order given.
pub(crate) fn one_of_if_set(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, value: Option<&str>, allowed: &[&str]) {
    if let Some(value) = value.filter(|value| !allowed.contains(value)) {
        errors.push(FieldError::not_supported(path, value, allowed));
    }
}
