//! Who owns which fields: what a write does to `metadata.managedFields`, and server-side apply.

use bytes::Bytes;
use coracle_control_api::apply::{self, Writer};
use coracle_control_api::decode::FieldValidation;
use coracle_control_api::kind::Part;
use coracle_control_api::status::Status;
use serde_json::Value;

use crate::body::parse_yaml;
use crate::call::ResourceCall;
use crate::pipeline::{self, NewState};
use crate::write_options::WriteOptions;

/// Calls `act` with who writes what, and when.
fn with_writer<R>(
    call: &ResourceCall,
    part: Part,
    options: &WriteOptions,
    act: impl FnOnce(&Writer<'_>) -> R,
) -> Result<R, Status> {
    let target = pipeline::target(&call.kind)?;
    let reset: Vec<Vec<&str>> =
        call.kind.behaviour.reset_fields(part).iter().map(|path| path.split('.').collect()).collect();
    let reset: Vec<&[&str]> = reset.iter().map(Vec::as_slice).collect();
    Ok(act(&Writer {
        manager: &options.manager,
        target,
        subresource: &call.info.subresource,
        reset: &reset,
        now: call.now,
    }))
}

/// The creator owns everything that is in the object.
pub(crate) fn track_create(call: &ResourceCall, object: &mut Value, options: &WriteOptions) -> Result<(), Status> {
    with_writer(call, Part::Object, options, |writer| apply::track_update(None, object, writer))
}

/// Whoever changes a field owns it from then on.
pub(crate) fn track_update(
    call: &ResourceCall,
    part: Part,
    current: &Value,
    object: &mut Value,
    options: &WriteOptions,
) -> Result<(), Status> {
    with_writer(call, part, options, |writer| apply::track_update(Some(current), object, writer))
}

/// Reads an apply patch.
///
/// # Errors
/// 400 for what is no YAML object.
pub(crate) fn read_apply(body: &Bytes, validation: FieldValidation) -> Result<Value, Status> {
    let value = match serde_json::from_slice::<Value>(body) {
        Ok(value) => value,
        Err(_) => parse_yaml(body, validation)
            .map_err(|error| Status::bad_request(format!("error decoding YAML: {error}")))?,
    };
    if value.is_object() {
        return Ok(value);
    }
    Err(Status::bad_request("error decoding YAML: error unmarshaling JSON: the patch is no object"))
}

/// Merges what a manager wants into the object that is there.
pub(crate) fn apply(
    call: &ResourceCall,
    part: Part,
    current: &Value,
    config: &Value,
    options: &WriteOptions,
) -> Result<NewState, Status> {
    let force = options.force.unwrap_or(false);
    let applied = with_writer(call, part, options, |writer| apply::apply(Some(current), config, writer, force))??;
    let mut object = applied.object;
    finish(call, &mut object)?;
    Ok(NewState { object, warnings: Vec::new() })
}

/// What a manager wants, where there is nothing yet: the draft of a new object.
pub(crate) fn apply_to_nothing(call: &ResourceCall, config: &Value, options: &WriteOptions) -> Result<Value, Status> {
    let force = options.force.unwrap_or(false);
    let applied = with_writer(call, Part::Object, options, |writer| apply::apply(None, config, writer, force))??;
    let mut object = applied.object;
    finish(call, &mut object)?;
    pipeline::wipe_system_fields(&mut object);
    Ok(object)
}

fn finish(call: &ResourceCall, object: &mut Value) -> Result<(), Status> {
    pipeline::complete(&call.kind, pipeline::target(&call.kind)?.schema, object);
    pipeline::ensure_namespace(call, object)?;
    pipeline::ensure_name(call, object)
}
