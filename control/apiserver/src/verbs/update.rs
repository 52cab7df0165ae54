//! update: PUT of a whole object, or of a part of it.

use axum::body::Body;
use coracle_control_api::kind::Part;
use coracle_control_api::meta;
use coracle_control_api::status::Status;
use http::Request;
use serde_json::Value;

use crate::authorization::{Attributes, authorize};
use crate::call::{Answer, ResourceCall};
use crate::field_owners;
use crate::pipeline::{self, MakeNew, NewState};
use crate::verbs::create::{read_object, written_answer};
use crate::verbs::get::FORMS;
use crate::write_options::WriteOptions;

pub(crate) async fn update(call: &ResourceCall, part: Part, request: Request<Body>) -> Answer {
    let agreed = call.negotiate(FORMS)?;
    let options = WriteOptions::parse(call, "UpdateOptions")?;
    let mut decoded = read_object(call, &call.kind, request, options.validation).await?;
    pipeline::ensure_namespace(call, &mut decoded.object)?;
    pipeline::ensure_name(call, &decoded.object)?;
    let mut replacement = Replacement { object: &decoded.object, options: &options, part };
    let written = match pipeline::update(call, part, &options, &mut replacement).await? {
        Some(written) => written,
        None if call.kind.create_on_update && part == Part::Object => {
            create_instead(call, decoded.object.clone(), &options).await?
        }
        None => return Err(call.not_found(call.name())),
    };
    Ok(written_answer(call, written, decoded.warnings, agreed))
}

/// A PUT to a name that does not exist, for the kinds that allow it.
async fn create_instead(
    call: &ResourceCall,
    mut object: Value,
    options: &WriteOptions,
) -> Result<pipeline::Written, Status> {
    if !matches!(meta::resource_version(&object), "" | "0") {
        return Err(call.not_found(call.name()));
    }
    meta::set_uid(&mut object, "");
    authorize(&call.shared.roles(), &call.user, &Attributes { verb: "create", ..Attributes::of(&call.info) })?;
    pipeline::create(call, object, options).await
}

/// The body takes the place of what is there.
struct Replacement<'a> {
    object: &'a Value,
    options: &'a WriteOptions,
    part: Part,
}

impl MakeNew for Replacement<'_> {
    fn make(&mut self, call: &ResourceCall, current: &Value) -> Result<NewState, Status> {
        check_uid(call, self.object, current)?;
        let mut object = self.object.clone();
        field_owners::track_update(call, self.part, current, &mut object, self.options)?;
        Ok(NewState { object, warnings: Vec::new() })
    }
}

/// An object that names a uid means that one, and not a later object of the same name.
fn check_uid(call: &ResourceCall, object: &Value, current: &Value) -> Result<(), Status> {
    let (wanted, known) = (meta::uid(object), meta::uid(current));
    if wanted.is_empty() || wanted == known {
        return Ok(());
    }
    let place = if call.namespace().is_empty() { String::new() } else { format!("{}/", call.namespace()) };
    let cause = format!(
        "StorageError: invalid object, Code: 4, Key: /registry/{}/{place}{}, ResourceVersion: 0, AdditionalErrorMsg: \
         Precondition failed: UID in precondition: {wanted}, UID in object meta: {known}",
        call.kind.plural,
        call.name()
    );
    Err(Status::conflict(&call.kind.group, &call.kind.plural, call.name(), &cause))
}
