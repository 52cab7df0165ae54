//! Who owns which fields: what a write does to `metadata.managedFields`.

use bytes::Bytes;
use coracle_control_api::kind::Part;
use coracle_control_api::status::Status;
use serde_json::Value;

use crate::call::ResourceCall;
use crate::pipeline::NewState;
use crate::write_options::WriteOptions;

pub(crate) fn track_create(call: &ResourceCall, object: &mut Value, options: &WriteOptions) -> Result<(), Status> {
    let _ = (call, object, options);
    Ok(())
}

pub(crate) fn track_update(
    call: &ResourceCall,
    part: Part,
    current: &Value,
    object: &mut Value,
    options: &WriteOptions,
) -> Result<(), Status> {
    let _ = (call, part, current, object, options);
    Ok(())
}

pub(crate) fn ignore_timestamps(new: &mut Value, current: &Value) {
    let _ = (new, current);
}

pub(crate) fn read_apply(call: &ResourceCall, body: &Bytes, options: &WriteOptions) -> Result<Value, Status> {
    let _ = (call, body, options);
    Err(Status::unsupported_media_type())
}

pub(crate) fn apply(
    call: &ResourceCall,
    part: Part,
    current: &Value,
    config: &Value,
    options: &WriteOptions,
) -> Result<NewState, Status> {
    let _ = (call, part, current, config, options);
    Err(Status::unsupported_media_type())
}

pub(crate) fn apply_to_nothing(
    call: &ResourceCall,
    config: &Value,
    options: &WriteOptions,
) -> Result<(Value, Vec<String>), Status> {
    let _ = (call, config, options);
    Err(Status::unsupported_media_type())
}
