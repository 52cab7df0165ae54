//! From bytes to a checked object, with what upstream says when they are no such object.
//!
//! Decoding does what a round through upstream's Go types does: fields of the wrong type are refused, unknown and
//! duplicate fields are reported and dropped, `null` counts as absent, empty values that Go leaves out are left out, and
//! amounts, times and base64 take their canonical form. What Go always writes is added later, by
//! [`crate::schema::fill_zeros`].
//!
//! ```text
//! bytes -> json_text::Node -> conform(schema) -> Value, strict errors
//! ```

mod conform;
pub mod json_text;
mod scalar;

pub use conform::Source;

use crate::schema::{Schema, TypeRef};
use crate::status::{FieldError, Status};
use json_text::Node;
use serde_json::Value;
use std::borrow::Cow;

/// Most levels of nesting in an object. serde_json reads 127, and a list wraps its items in two.
pub const DEPTH_MAX: usize = 120;
/// Most unknown and duplicate fields that are told.
const STRICT_ERRORS_MAX: usize = 100;
/// How upstream calls the place where built-in kinds are registered.
const SCHEME: &str = "k8s.io/kubernetes/pkg/api/legacyscheme/scheme.go:30";
/// Group versions that upstream still knows and no longer serves.
const RETIRED: [&str; 12] = [
    "apps/v1beta1",
    "apps/v1beta2",
    "autoscaling/v2beta1",
    "autoscaling/v2beta2",
    "batch/v1beta1",
    "certificates.k8s.io/v1beta1",
    "coordination.k8s.io/v1beta1",
    "discovery.k8s.io/v1beta1",
    "extensions/v1beta1",
    "networking.k8s.io/v1beta1",
    "policy/v1beta1",
    "rbac.authorization.k8s.io/v1beta1",
];

/// What to do about unknown and duplicate fields: the query parameter `fieldValidation`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FieldValidation {
    /// Refuse the request.
    Strict,
    /// Drop them and send `Warning` headers.
    #[default]
    Warn,
    /// Drop them.
    Ignore,
}

impl FieldValidation {
    /// Reads the query parameter; the empty text means `Warn`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "" | "Warn" => Self::Warn,
            "Strict" => Self::Strict,
            "Ignore" => Self::Ignore,
            _ => return None,
        })
    }
}

/// What the request's path expects in the body.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    /// API group, "" for core.
    pub group: &'a str,
    /// API version, "v1".
    pub version: &'a str,
    /// Kind.
    pub kind: &'a str,
    /// The kind's type.
    pub schema: TypeRef<'a>,
}

impl Target<'_> {
    /// `v1` or `apps/v1`.
    #[must_use]
    pub fn api_version(&self) -> Cow<'_, str> {
        join_group_version(self.group, self.version)
    }
}

/// A checked object.
#[derive(Clone, Debug, PartialEq)]
pub struct Decoded {
    /// The object, with `apiVersion` and `kind` set.
    pub object: Value,
    /// Texts for `Warning` headers: unknown and duplicate fields, each once.
    pub warnings: Vec<String>,
}

fn join_group_version<'a>(group: &str, version: &'a str) -> Cow<'a, str> {
    if group.is_empty() { Cow::Borrowed(version) } else { Cow::Owned(format!("{group}/{version}")) }
}

/// Decodes the body of a create or update.
///
/// # Errors
/// 400 with upstream's text when the body is no JSON, of another kind or version, has a field of the wrong type, or
/// (strict) has unknown or duplicate fields.
pub fn decode(body: &[u8], target: &Target<'_>, validation: FieldValidation) -> Result<Decoded, Status> {
    let unrecognized = |message: &str| {
        Status::bad_request(format!(
            "the object provided is unrecognized (must be of type {}): {message} ({})",
            target.kind,
            summary(body)
        ))
    };
    let node = Node::parse(body).map_err(|error| unrecognized(&no_kind(&error.to_string())))?;
    let named = Named::of(&node).map_err(|message| unrecognized(&message))?.or(target);
    let cannot = |message: &str| {
        Status::bad_request(format!(
            "{} in version {} cannot be handled as a {}: {message}",
            named.kind,
            crate::go_text::quote(&named.version),
            target.kind
        ))
    };
    named.check(target, cannot)?;
    let conformed = conform::conform(target.schema, node, validation != FieldValidation::Ignore, Source::Json);
    let (object, strict) = conformed.map_err(|message| cannot(&message))?;
    if validation == FieldValidation::Strict && !strict.is_empty() {
        return Err(cannot(&format!("strict decoding error: {}", strict.join(", "))));
    }
    Ok(Decoded { object: with_kind(object, target), warnings: strict })
}

/// Checks an object that a patch made. `earlier` are strict errors that were found in the patch itself.
///
/// # Errors
/// 422 about the field `patch`, with `shown` as its value, when a field has the wrong type or (strict) is unknown.
pub fn decode_patched(
    patched: &Value,
    target: &Target<'_>,
    validation: FieldValidation,
    source: Source,
    earlier: Vec<String>,
    shown: impl FnOnce() -> String,
) -> Result<Decoded, Status> {
    let node = Node::from_value(patched);
    let conformed = conform::conform(target.schema, node, validation != FieldValidation::Ignore, source);
    let message = match conformed {
        Err(message) => message,
        Ok((object, strict)) => {
            let warnings: Vec<String> = earlier.into_iter().chain(strict).collect();
            if validation != FieldValidation::Strict || warnings.is_empty() {
                return Ok(Decoded { object: with_kind(object, target), warnings });
            }
            format!("strict decoding error: {}", warnings.join(", "))
        }
    };
    Err(Status::invalid("", "", "", &[FieldError::invalid("patch", shown(), message)]))
}

/// Brings a value of our own making into the form that decoding gives; what does not fit is dropped. For stored objects
/// and for objects that the server makes itself.
#[must_use]
pub fn normalize(object: &Value, target: &Target<'_>) -> Option<Value> {
    let conformed = conform::conform(target.schema, Node::from_value(object), false, Source::Json);
    conformed.ok().map(|(object, _)| with_kind(object, target))
}

fn with_kind(mut object: Value, target: &Target<'_>) -> Value {
    if let Value::Object(map) = &mut object {
        map.insert("apiVersion".to_owned(), Value::from(target.api_version()));
        map.insert("kind".to_owned(), Value::from(target.kind));
    }
    object
}

/// The front of a body, as upstream shows it in an error.
fn summary(body: &[u8]) -> String {
    const SHOWN_MAX: usize = 30;
    let shown = &body[..body.len().min(SHOWN_MAX)];
    let more = if body.len() > SHOWN_MAX { " ..." } else { "" };
    match body.first() {
        None => "<empty>".to_owned(),
        Some(b'{') => format!("{}{more}", String::from_utf8_lossy(shown)),
        Some(_) => format!("{}{more}", shown.iter().map(|byte| format!("{byte:02x}")).collect::<String>()),
    }
}

fn no_kind(message: &str) -> String {
    format!("couldn't get version/kind; json parse error: {message}")
}

/// What the body says it is.
struct Named {
    group: String,
    version: String,
    kind: String,
}

impl Named {
    fn of(node: &Node<'_>) -> Result<Self, String> {
        let (mut api_version, mut kind) = ("", "");
        match node {
            Node::Null => {}
            Node::Object(fields) => {
                for (key, value) in fields {
                    let (place, name) = if key.eq_ignore_ascii_case("apiVersion") {
                        (&mut api_version, "apiVersion")
                    } else if key.eq_ignore_ascii_case("kind") {
                        (&mut kind, "kind")
                    } else {
                        continue;
                    };
                    match value {
                        Node::Null => {}
                        Node::String(text) => *place = text,
                        other => {
                            let found = other.go_kind();
                            let message =
                                format!("json: cannot unmarshal {found} into Go struct field .{name} of type string");
                            return Err(no_kind(&message));
                        }
                    }
                }
            }
            other => {
                let message = format!(
                    "json: cannot unmarshal {} into Go value of type struct {{ APIVersion string \"json:\\\"apiVersion,omitempty\\\"\"; Kind string \"json:\\\"kind,omitempty\\\"\" }}",
                    other.go_kind()
                );
                return Err(no_kind(&message));
            }
        }
        let (group, version) = match api_version.split_once('/') {
            Some((_, rest)) if rest.contains('/') => {
                return Err(format!("unexpected GroupVersion string: {api_version}"));
            }
            Some((group, version)) => (group, version),
            None => ("", api_version),
        };
        Ok(Self { group: group.to_owned(), version: version.to_owned(), kind: kind.to_owned() })
    }

    /// What is not said is taken from the path.
    fn or(mut self, target: &Target<'_>) -> Self {
        if self.kind.is_empty() {
            target.kind.clone_into(&mut self.kind);
        }
        if self.version.is_empty() && (self.group.is_empty() || self.group == target.group) {
            target.group.clone_into(&mut self.group);
            target.version.clone_into(&mut self.version);
        }
        self
    }

    /// Whether it is what the path expects.
    fn check(&self, target: &Target<'_>, cannot: impl Fn(&str) -> Status) -> Result<(), Status> {
        if self.group == target.group && self.version == target.version && self.kind == target.kind {
            return Ok(());
        }
        let said = join_group_version(&self.group, &self.version);
        let wanted = target.api_version();
        let known = (self.group.as_str(), self.version.as_str(), self.kind.as_str());
        let registered = Schema::builtin().named().any(|(_, ty)| ty.kinds().any(|kind| kind == known));
        if !registered && !RETIRED.contains(&&*said) {
            return Err(cannot(&format!(
                "no kind {} is registered for version {} in scheme {}",
                crate::go_text::quote(&self.kind),
                crate::go_text::quote(&said),
                crate::go_text::quote(SCHEME)
            )));
        }
        if self.kind != target.kind || self.group != target.group {
            let internal = target.group.split('.').next().filter(|group| !group.is_empty()).unwrap_or("core");
            return Err(cannot(&format!(
                "converting ({}.{}) to ({internal}.{}): unknown conversion",
                self.version, self.kind, target.kind
            )));
        }
        let message =
            format!("the API version in the data ({said}) does not match the expected API version ({wanted})");
        Err(Status::bad_request(message))
    }
}

#[cfg(test)]
mod tests;
