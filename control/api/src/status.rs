//! `Status`: how the API says no (and sometimes yes), with upstream's reasons, codes and sentences.
//!
//! A [`Status`] is an error type of its own and the body of the answer at once. Domain code makes one with the
//! constructor that is named for the reason; validation collects [`FieldError`]s and wraps them with [`Status::invalid`].

mod field_error;
mod path;

pub use field_error::{FieldError, FieldErrorKind};
pub use path::FieldPath;

use crate::go_text;
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt;

/// Machine-readable cause of a failure; the `reason` of the Status object. `Unknown` is left out of the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each name is upstream's own reason, printed as it stands")]
pub enum Reason {
    Unknown,
    Unauthorized,
    Forbidden,
    NotFound,
    AlreadyExists,
    Conflict,
    Gone,
    Invalid,
    ServerTimeout,
    Timeout,
    TooManyRequests,
    BadRequest,
    MethodNotAllowed,
    NotAcceptable,
    RequestEntityTooLarge,
    UnsupportedMediaType,
    InternalError,
    Expired,
    ServiceUnavailable,
}

impl Reason {
    /// The word in the body; empty for `Unknown`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "",
            Self::Unauthorized => "Unauthorized",
            Self::Forbidden => "Forbidden",
            Self::NotFound => "NotFound",
            Self::AlreadyExists => "AlreadyExists",
            Self::Conflict => "Conflict",
            Self::Gone => "Gone",
            Self::Invalid => "Invalid",
            Self::ServerTimeout => "ServerTimeout",
            Self::Timeout => "Timeout",
            Self::TooManyRequests => "TooManyRequests",
            Self::BadRequest => "BadRequest",
            Self::MethodNotAllowed => "MethodNotAllowed",
            Self::NotAcceptable => "NotAcceptable",
            Self::RequestEntityTooLarge => "RequestEntityTooLarge",
            Self::UnsupportedMediaType => "UnsupportedMediaType",
            Self::InternalError => "InternalError",
            Self::Expired => "Expired",
            Self::ServiceUnavailable => "ServiceUnavailable",
        }
    }
}

/// One cause in `details.causes`. Empty strings are left out of the body.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StatusCause {
    /// Machine-readable, for example `FieldValueInvalid` or `FieldManagerConflict`.
    pub reason: String,
    /// For people.
    pub message: String,
    /// Path of the field, for example `spec.containers[0].name`.
    pub field: String,
}

/// `details` of a Status. Empty fields are left out; an empty `details` is still printed as `{}`, as upstream does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StatusDetails {
    /// Object's or resource's name.
    pub name: String,
    /// API group; empty for core.
    pub group: String,
    /// Plural resource (404, 409, 403) or kind (422).
    pub kind: String,
    /// Object's uid.
    pub uid: String,
    /// Every cause.
    pub causes: Vec<StatusCause>,
    /// Seconds after which a retry makes sense; 0 = not said. Also sent as `Retry-After`.
    pub retry_after_seconds: u32,
}

/// A Kubernetes Status object: small to move, so that it can be the error of any function.
#[derive(Clone, Debug, PartialEq)]
pub struct Status {
    /// HTTP code, also printed in the body; 0 in a success that upstream prints without code (then HTTP 200).
    pub code: u16,
    /// True for `status: Success`.
    pub success: bool,
    /// Machine-readable reason.
    pub reason: Reason,
    /// For people; may be empty in a success.
    pub message: String,
    /// `None` leaves the field out.
    pub details: Option<Box<StatusDetails>>,
    /// `metadata.continue`: the token with which an expired list can be continued from newer state.
    pub continue_token: Option<Box<str>>,
    /// `reason` and `details` as somebody else chose them, in place of ours: a webhook's.
    pub foreign: Option<Box<Value>>,
}

impl std::error::Error for Status {}

impl fmt::Display for Status {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.message)
    }
}

/// "pods" or "deployments.apps": how upstream names a resource or kind with its group.
#[must_use]
pub fn qualified(group: &str, resource: &str) -> String {
    if group.is_empty() { resource.to_owned() } else { format!("{resource}.{group}") }
}

/// Constructors of failures. `group` is "" for core; `resource` is the plural, `kind` the kind's name.
impl Status {
    /// A failure with no details.
    #[must_use]
    pub fn failure(code: u16, reason: Reason, message: impl Into<String>) -> Self {
        Self {
            code,
            success: false,
            reason,
            message: message.into(),
            details: None,
            continue_token: None,
            foreign: None,
        }
    }

    fn about(code: u16, reason: Reason, group: &str, kind: &str, name: &str, message: String) -> Self {
        Self::failure(code, reason, message).with_details(StatusDetails {
            name: name.to_owned(),
            group: group.to_owned(),
            kind: kind.to_owned(),
            ..StatusDetails::default()
        })
    }

    /// The same with `details`.
    #[must_use]
    pub fn with_details(mut self, details: StatusDetails) -> Self {
        self.details = Some(Box::new(details));
        self
    }

    /// The same with a time to wait before a retry.
    #[must_use]
    pub fn with_retry_after(mut self, seconds: u32) -> Self {
        self.details.get_or_insert_default().retry_after_seconds = seconds;
        self
    }

    /// 404: `pods "x" not found`.
    #[must_use]
    pub fn not_found(group: &str, resource: &str, name: &str) -> Self {
        let message = format!("{} {} not found", qualified(group, resource), go_text::quote(name));
        Self::about(404, Reason::NotFound, group, resource, name, message)
    }

    /// 404 for a path that no resource serves.
    #[must_use]
    pub fn unknown_resource() -> Self {
        Self::generic(404, Reason::NotFound, "the server could not find the requested resource")
    }

    /// 405 for a verb that the resource does not have.
    #[must_use]
    pub fn method_not_allowed() -> Self {
        Self::generic(405, Reason::MethodNotAllowed, "the server does not allow this method on the requested resource")
    }

    /// 405 for an action that a resource refuses, with its name: `create is not supported on resources of kind "x"`.
    #[must_use]
    pub fn method_not_supported(group: &str, resource: &str, action: &str) -> Self {
        let message =
            format!("{action} is not supported on resources of kind {}", go_text::quote(&qualified(group, resource)));
        Self::about(405, Reason::MethodNotAllowed, group, resource, "", message)
    }

    /// 422 that says no more than that the request was wrong: a JSON patch that cannot be applied.
    #[must_use]
    pub fn unprocessable() -> Self {
        Self::generic(422, Reason::Invalid, "the server rejected our request due to an error in our request")
    }

    /// 415 with upstream's short text.
    #[must_use]
    pub fn unsupported_media_type() -> Self {
        Self::generic(415, Reason::UnsupportedMediaType, "415: Unsupported Media Type")
    }

    /// 415 that names the types which the resource takes.
    #[must_use]
    pub fn unsupported_media_type_accepted(accepted: &[&str]) -> Self {
        let message = format!(
            "the body of the request was in an unknown format - accepted media types include: {}",
            accepted.join(", ")
        );
        Self::failure(415, Reason::UnsupportedMediaType, message)
    }

    /// 406: no representation that the client takes.
    #[must_use]
    pub fn not_acceptable(accepted: &[&str]) -> Self {
        let message = format!("only the following media types are accepted: {}", accepted.join(", "));
        Self::failure(406, Reason::NotAcceptable, message)
    }

    /// 406 for an object that has no form in the encoding that the client wants.
    #[must_use]
    pub fn not_marshalable(message: String) -> Self {
        Self::failure(406, Reason::NotAcceptable, message)
    }

    /// A Status that somebody else has made, as he made it.
    #[must_use]
    pub fn foreign(status: &Value) -> Self {
        let code = status.get("code").and_then(Value::as_u64).and_then(|code| u16::try_from(code).ok()).unwrap_or(500);
        let message = status.get("message").and_then(Value::as_str).unwrap_or_default();
        let foreign = Some(Box::new(status.clone()));
        Self { foreign, ..Self::failure(code, Reason::Unknown, message) }
    }

    fn generic(code: u16, reason: Reason, message: &str) -> Self {
        Self::failure(code, reason, message).with_details(StatusDetails::default())
    }

    /// 409: `pods "x" already exists`.
    #[must_use]
    pub fn already_exists(group: &str, resource: &str, name: &str) -> Self {
        let message = format!("{} {} already exists", qualified(group, resource), go_text::quote(name));
        Self::about(409, Reason::AlreadyExists, group, resource, name, message)
    }

    /// 409 after several generated names were all taken; `retry_after_seconds` is 1 upstream.
    #[must_use]
    pub fn generate_name_conflict(group: &str, resource: &str, name: &str) -> Self {
        let message = format!(
            "{} {} already exists, the server was not able to generate a unique name for the object",
            qualified(group, resource),
            go_text::quote(name)
        );
        Self::about(409, Reason::AlreadyExists, group, resource, name, message).with_retry_after(1)
    }

    /// 409: `Operation cannot be fulfilled on pods "x": CAUSE`.
    #[must_use]
    pub fn conflict(group: &str, resource: &str, name: &str, cause: &str) -> Self {
        let message = format!(
            "Operation cannot be fulfilled on {} {}: {cause}",
            qualified(group, resource),
            go_text::quote(name)
        );
        Self::about(409, Reason::Conflict, group, resource, name, message)
    }

    /// 409 for a write that was made on an older version of the object.
    #[must_use]
    pub fn modified(group: &str, resource: &str, name: &str) -> Self {
        let cause = "the object has been modified; please apply your changes to the latest version and try again";
        Self::conflict(group, resource, name, cause)
    }

    /// 409 of server-side apply, with one cause per field.
    #[must_use]
    pub fn apply_conflict(causes: Vec<StatusCause>, message: impl Into<String>) -> Self {
        Self::failure(409, Reason::Conflict, message).with_details(StatusDetails { causes, ..StatusDetails::default() })
    }

    /// 403: `pods "x" is forbidden: CAUSE`; with an empty resource only `forbidden: CAUSE`.
    #[must_use]
    pub fn forbidden(group: &str, resource: &str, name: &str, cause: &str) -> Self {
        let message = match (qualified(group, resource), name) {
            (resource, _) if resource.is_empty() => format!("forbidden: {cause}"),
            (resource, "") => format!("{resource} is forbidden: {cause}"),
            (resource, name) => format!("{resource} {} is forbidden: {cause}", go_text::quote(name)),
        };
        Self::about(403, Reason::Forbidden, group, resource, name, message)
    }

    /// 401.
    #[must_use]
    pub fn unauthorized() -> Self {
        Self::failure(401, Reason::Unauthorized, "Unauthorized")
    }

    /// 400.
    #[must_use]
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::failure(400, Reason::BadRequest, message)
    }

    /// 422 with one cause per field error: `Pod "x" is invalid: ...`.
    #[must_use]
    pub fn invalid(group: &str, kind: &str, name: &str, errors: &[FieldError]) -> Self {
        let mut message = format!("{} {} is invalid", qualified(group, kind), go_text::quote(name));
        if !errors.is_empty() {
            message.push_str(": ");
            message.push_str(&go_text::aggregate(errors.iter().map(ToString::to_string)));
        }
        let causes = errors
            .iter()
            .map(|error| StatusCause {
                reason: error.kind.reason().to_owned(),
                message: error.body(),
                field: error.field.clone(),
            })
            .collect();
        Self::failure(422, Reason::Invalid, message).with_details(StatusDetails {
            name: name.to_owned(),
            group: group.to_owned(),
            kind: kind.to_owned(),
            causes,
            ..StatusDetails::default()
        })
    }

    /// 410: the wanted revision was compacted.
    #[must_use]
    pub fn expired(message: impl Into<String>) -> Self {
        Self::failure(410, Reason::Expired, message)
    }

    /// 410 with the older reason that a watch uses.
    #[must_use]
    pub fn gone(message: impl Into<String>) -> Self {
        Self::failure(410, Reason::Gone, message)
    }

    /// 429.
    #[must_use]
    pub fn too_many_requests(message: impl Into<String>, retry_after_seconds: u32) -> Self {
        Self::failure(429, Reason::TooManyRequests, message).with_retry_after(retry_after_seconds)
    }

    /// 413.
    #[must_use]
    pub fn too_large(message: &str) -> Self {
        Self::failure(413, Reason::RequestEntityTooLarge, format!("Request entity too large: {message}"))
    }

    /// 500 with the internals' text in the message: only for causes that hold no secrets.
    #[must_use]
    pub fn internal(cause: &str) -> Self {
        Self::failure(500, Reason::InternalError, format!("Internal error occurred: {cause}")).with_details(
            StatusDetails {
                causes: vec![StatusCause { message: cause.to_owned(), ..StatusCause::default() }],
                ..StatusDetails::default()
            },
        )
    }

    /// 500 without a reason: what upstream answers for an error that it did not classify.
    #[must_use]
    pub fn unclassified(message: impl Into<String>) -> Self {
        Self::failure(500, Reason::Unknown, message)
    }

    /// 503.
    #[must_use]
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::failure(503, Reason::ServiceUnavailable, message)
    }

    /// 504: `Timeout: MESSAGE`.
    #[must_use]
    pub fn timeout(message: &str, retry_after_seconds: u32) -> Self {
        let status = Self::failure(504, Reason::Timeout, format!("Timeout: {message}"));
        if retry_after_seconds == 0 {
            status.with_details(StatusDetails::default())
        } else {
            status.with_retry_after(retry_after_seconds)
        }
    }

    /// 504 for a resource version that lies in the future; informers key on its cause.
    #[must_use]
    pub fn too_large_resource_version(wanted: u64, current: u64) -> Self {
        let mut status = Self::timeout(&format!("Too large resource version: {wanted}, current: {current}"), 1);
        status.details.get_or_insert_default().causes.push(StatusCause {
            reason: "ResourceVersionTooLarge".to_owned(),
            message: "Too large resource version".to_owned(),
            field: String::new(),
        });
        status
    }
}

/// Successes and the body.
impl Status {
    /// The answer to a delete that left nothing behind.
    #[must_use]
    pub fn deleted(group: &str, resource: &str, name: &str, uid: &str) -> Self {
        Self::success(0).with_details(StatusDetails {
            name: name.to_owned(),
            group: group.to_owned(),
            kind: resource.to_owned(),
            uid: uid.to_owned(),
            ..StatusDetails::default()
        })
    }

    /// A bare success; `code` 0 leaves the code out of the body.
    #[must_use]
    pub fn success(code: u16) -> Self {
        Self {
            code,
            success: true,
            reason: Reason::Unknown,
            message: String::new(),
            details: None,
            continue_token: None,
            foreign: None,
        }
    }

    /// The HTTP status code to answer with.
    #[must_use]
    pub fn http_code(&self) -> u16 {
        if self.code == 0 { 200 } else { self.code }
    }

    /// The Status object.
    #[must_use]
    pub fn to_value(&self) -> Value {
        // Texts and numbers in maps with text keys can always be held.
        serde_json::to_value(self).unwrap_or_default()
    }
}

// The order of the fields is that of upstream's Go structs: clients print bodies of errors as they come, and the suite
// of the Python client compares them as text.

impl Serialize for Status {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut body = serializer.serialize_map(None)?;
        body.serialize_entry("kind", "Status")?;
        body.serialize_entry("apiVersion", "v1")?;
        let metadata: BTreeMap<&str, &str> = self.continue_token.iter().map(|token| ("continue", &**token)).collect();
        body.serialize_entry("metadata", &metadata)?;
        body.serialize_entry("status", if self.success { "Success" } else { "Failure" })?;
        serialize_text(&mut body, "message", &self.message)?;
        let foreign = |name: &str| self.foreign.as_ref().and_then(|foreign| foreign.get(name));
        let reason = foreign("reason").and_then(Value::as_str).unwrap_or(self.reason.as_str());
        serialize_text(&mut body, "reason", reason)?;
        if let Some(details) = foreign("details").filter(|details| details.is_object()) {
            body.serialize_entry("details", details)?;
        } else if let Some(details) = &self.details {
            body.serialize_entry("details", &**details)?;
        }
        if self.code != 0 {
            body.serialize_entry("code", &self.code)?;
        }
        body.end()
    }
}

impl Serialize for StatusDetails {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut details = serializer.serialize_map(None)?;
        serialize_text(&mut details, "name", &self.name)?;
        serialize_text(&mut details, "group", &self.group)?;
        serialize_text(&mut details, "kind", &self.kind)?;
        serialize_text(&mut details, "uid", &self.uid)?;
        if !self.causes.is_empty() {
            details.serialize_entry("causes", &self.causes)?;
        }
        if self.retry_after_seconds != 0 {
            details.serialize_entry("retryAfterSeconds", &self.retry_after_seconds)?;
        }
        details.end()
    }
}

impl Serialize for StatusCause {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut cause = serializer.serialize_map(None)?;
        serialize_text(&mut cause, "reason", &self.reason)?;
        serialize_text(&mut cause, "message", &self.message)?;
        serialize_text(&mut cause, "field", &self.field)?;
        cause.end()
    }
}

fn serialize_text<M: SerializeMap>(map: &mut M, key: &'static str, text: &str) -> Result<(), M::Error> {
    if text.is_empty() { Ok(()) } else { map.serialize_entry(key, text) }
}

#[cfg(test)]
mod tests;
