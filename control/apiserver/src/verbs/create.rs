//! create: POST of an object into a collection.

use axum::body::Body;
use axum::response::Response;
use coracle_control_api::decode::{Decoded, FieldValidation, decode};
use coracle_control_api::kind::Kind;
use coracle_control_api::status::Status;
use http::Request;

use crate::answer::add_warnings;
use crate::body;
use crate::call::{Answer, Call, ResourceCall};
use crate::negotiation::{BodyFormat, Negotiated, body_format};
use crate::pipeline::{self, Written};
use crate::verbs::get::{FORMS, object_answer};
use crate::write_options::WriteOptions;

pub(crate) async fn create(call: &ResourceCall, request: Request<Body>) -> Answer {
    let agreed = call.negotiate(FORMS)?;
    let options = WriteOptions::parse(call, "CreateOptions")?;
    let mut decoded = read_object(call, &call.kind, request, options.validation).await?;
    let written = pipeline::create(call, std::mem::take(&mut decoded.object), &options).await?;
    Ok(written_answer(call, written, decoded.warnings, agreed))
}

/// Reads the body as an object of this kind, completed.
///
/// # Errors
/// 400, 413 and 415 for what is no such object.
pub(crate) async fn read_object(
    call: &Call,
    kind: &Kind,
    request: Request<Body>,
    validation: FieldValidation,
) -> Result<Decoded, Status> {
    let format = body_format(&call.headers)?;
    if format == BodyFormat::Protobuf && kind.behaviour.custom_type().is_some() {
        return Err(Status::unsupported_media_type_accepted(&["application/json", "application/yaml"]));
    }
    let bytes = body::read(request, call.shared.config.body_bytes_max).await?;
    let target = pipeline::target(kind)?;
    let bytes = body::to_json(bytes, format, target.schema, validation)?;
    let mut decoded = decode(&bytes, &target, validation)?;
    pipeline::complete(kind, target.schema, &mut decoded.object);
    Ok(decoded)
}

/// The answer to a write: the object as it is now, and every warning.
pub(crate) fn written_answer(
    call: &ResourceCall,
    written: Written,
    mut warnings: Vec<String>,
    agreed: Negotiated,
) -> Response {
    warnings.extend(written.warnings);
    let code = if written.created { 201 } else { 200 };
    let mut answer = object_answer(call, code, &written.object, written.revision, agreed);
    add_warnings(&mut answer, &warnings);
    answer
}
