//! Request bodies: read within the bound, and brought to JSON.

use axum::body::Body;
use bytes::Bytes;
use coracle_control_api::decode::FieldValidation;
use coracle_control_api::protobuf;
use coracle_control_api::schema::{Schema, TypeRef};
use coracle_control_api::status::Status;
use http::Request;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use serde_json::Value;
use serde_saphyr::options::DuplicateKeyPolicy;

use crate::negotiation::BodyFormat;

/// YAML aliases of one body may stand for this many nodes together: a small text must not become a large object.
const ALIAS_EVENTS_MAX: usize = 100_000;

/// Reads the whole body.
///
/// # Errors
/// 413 for a body beyond the bound, 400 for one that ends before it is complete.
pub(crate) async fn read(request: Request<Body>, bytes_max: usize) -> Result<Bytes, Status> {
    let told = request.headers().get(http::header::CONTENT_LENGTH);
    let told: Option<usize> = told.and_then(|value| value.to_str().ok()).and_then(|text| text.parse().ok());
    if told.is_some_and(|length| length > bytes_max) {
        return Err(too_large(bytes_max));
    }
    match Limited::new(request.into_body(), bytes_max).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(too_large(bytes_max)),
        Err(error) => {
            tracing::debug!(%error, "a request body was cut off");
            Err(Status::bad_request("the body of the request ended before it was complete"))
        }
    }
}

fn too_large(bytes_max: usize) -> Status {
    Status::too_large(&format!("limit is {bytes_max}"))
}

/// The body as JSON text; YAML and protobuf are translated. `schema` is the type that is expected. JSON's duplicate keys
/// are left to the decoder; of YAML's the last one counts, unless `validation` is strict.
///
/// # Errors
/// 400 for a text that is no YAML, or bytes that are no such message.
pub(crate) fn to_json(
    body: Bytes,
    format: BodyFormat,
    schema: TypeRef<'_>,
    validation: FieldValidation,
) -> Result<Bytes, Status> {
    let value = match format {
        BodyFormat::Protobuf => {
            protobuf::read(&body, schema).map_err(|error| Status::bad_request(error.to_string()))?
        }
        BodyFormat::Yaml if !looks_like_json(&body) => parse_yaml(&body, validation).map_err(Status::bad_request)?,
        BodyFormat::Json | BodyFormat::Yaml => return Ok(body),
    };
    Ok(Bytes::from(serde_json::to_vec(&value).unwrap_or_default()))
}

/// A type that requests are made of, whatever their kind.
///
/// # Errors
/// 500 when the schema table lacks it, which a test rules out.
pub(crate) fn request_type(name: &str) -> Result<TypeRef<'static>, Status> {
    Schema::builtin().find(name).ok_or_else(|| Status::internal("a type of requests is unknown"))
}

/// JSON is YAML, and is read by the stricter reader, whose complaints are better.
fn looks_like_json(body: &[u8]) -> bool {
    body.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'{')
}

/// Reads one YAML document, in the dialect that Kubernetes reads: `yes` is true, and `0644` is octal.
///
/// # Errors
/// What is wrong with the text, for people.
pub(crate) fn parse_yaml(body: &[u8], validation: FieldValidation) -> Result<Value, String> {
    let text = std::str::from_utf8(body).map_err(|_| "error converting YAML to JSON: not UTF-8".to_owned())?;
    let strict = validation == FieldValidation::Strict;
    let options = serde_saphyr::options! {
        legacy_octal_numbers: true,
        duplicate_keys: if strict { DuplicateKeyPolicy::Error } else { DuplicateKeyPolicy::LastWins },
        alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: ALIAS_EVENTS_MAX },
    };
    serde_saphyr::from_str_with_options(text, options).map_err(|error| {
        let text = error.to_string();
        let line = text.lines().next().unwrap_or_default();
        format!("error converting YAML to JSON: yaml: {line}")
    })
}

#[cfg(test)]
mod tests;
