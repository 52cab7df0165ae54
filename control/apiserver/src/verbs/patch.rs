//! patch: JSON patch, merge patch, strategic merge patch, and server-side apply.

use axum::body::Body;
use bytes::Bytes;
use coracle_control_api::kind::Part;
use coracle_control_api::meta;
use coracle_control_api::patch::{PatchKind, patch as apply_patch};
use coracle_control_api::status::{FieldError, Status};
use http::Request;
use serde_json::Value;

use crate::authorization::{Attributes, authorize};
use crate::body;
use crate::call::{Answer, ResourceCall};
use crate::field_owners;
use crate::negotiation::content_type;
use crate::pipeline::{self, MakeNew, NewState, Written};
use crate::verbs::create::written_answer;
use crate::verbs::get::FORMS;
use crate::write_options::WriteOptions;

/// The patches that custom resources take: none that needs merge keys.
const CUSTOM_PATCHES: &[&str] =
    &["application/json-patch+json", "application/merge-patch+json", "application/apply-patch+yaml"];

/// What a PATCH body can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Patch {
    Change(PatchKind),
    Apply,
}

pub(crate) async fn patch(call: &ResourceCall, part: Part, request: Request<Body>) -> Answer {
    let agreed = call.negotiate(FORMS)?;
    let patch = match content_type(&call.headers) {
        "application/json-patch+json" => Patch::Change(PatchKind::Json),
        "application/merge-patch+json" => Patch::Change(PatchKind::Merge),
        "application/strategic-merge-patch+json" if call.kind.behaviour.custom_type().is_none() => {
            Patch::Change(PatchKind::Strategic)
        }
        "application/apply-patch+yaml" => Patch::Apply,
        _ if call.kind.behaviour.custom_type().is_some() => {
            return Err(Status::unsupported_media_type_accepted(CUSTOM_PATCHES));
        }
        _ => return Err(Status::unsupported_media_type()),
    };
    let options = WriteOptions::parse(call, "PatchOptions")?;
    check_options(call, patch, &options)?;
    let bytes = body::read(request, call.shared.config.body_bytes_max).await?;
    match patch {
        Patch::Change(kind) => {
            let mut change = Change { kind, body: &bytes, options: &options, part };
            let written = pipeline::update(call, part, &options, &mut change).await?;
            let written = written.ok_or_else(|| call.not_found(call.name()))?;
            Ok(written_answer(call, written, Vec::new(), agreed))
        }
        Patch::Apply => {
            let config = field_owners::read_apply(&bytes, options.validation)?;
            let written = apply(call, part, &config, &options).await?;
            Ok(written_answer(call, written, Vec::new(), agreed))
        }
    }
}

fn check_options(call: &ResourceCall, patch: Patch, options: &WriteOptions) -> Result<(), Status> {
    let mut errors = Vec::new();
    if patch == Patch::Apply {
        if call.query.text("fieldManager").is_empty() {
            errors.push(FieldError::required("fieldManager", "is required for apply patch"));
        }
    } else if options.force.is_some() {
        errors.push(FieldError::forbidden("force", "may not be specified for non-apply patch"));
    }
    if errors.is_empty() {
        return Ok(());
    }
    Err(Status::invalid("meta.k8s.io", "PatchOptions", "", &errors))
}

/// A patch that makes a new state of the one that is there. A version named in the patch is insisted on, since the object
/// that is patched has its own in it; without one, a write that came in between is patched again.
struct Change<'a> {
    kind: PatchKind,
    body: &'a Bytes,
    options: &'a WriteOptions,
    part: Part,
}

impl MakeNew for Change<'_> {
    fn make(&mut self, call: &ResourceCall, current: &Value) -> Result<NewState, Status> {
        let target = pipeline::target(&call.kind)?;
        let decoded = apply_patch(self.kind, current, self.body, &target, self.options.validation)?;
        let mut object = decoded.object;
        pipeline::complete(&call.kind, target.schema, &mut object);
        check_identity(call, &object)?;
        field_owners::track_update(call, self.part, current, &mut object, self.options)?;
        Ok(NewState { object, warnings: decoded.warnings })
    }
}

/// A patch cannot turn an object into another.
fn check_identity(call: &ResourceCall, object: &Value) -> Result<(), Status> {
    let given = meta::namespace(object);
    if given != call.namespace() && !given.is_empty() {
        return Err(Status::bad_request(
            "the namespace of the provided object does not match the namespace sent on the request",
        ));
    }
    Ok(())
}

/// Server-side apply: merges the configuration into what is there, or makes it.
async fn apply(call: &ResourceCall, part: Part, config: &Value, options: &WriteOptions) -> Result<Written, Status> {
    let mut merge = Merge { config, options, part };
    loop {
        if let Some(written) = pipeline::update(call, part, options, &mut merge).await? {
            return Ok(written);
        }
        if part != Part::Object {
            return Err(call.not_found(call.name()));
        }
        if !meta::uid(config).is_empty() {
            let cause = format!(
                "uid mismatch: the provided object specified uid {}, and no existing object was found",
                meta::uid(config)
            );
            return Err(Status::conflict(&call.kind.group, &call.kind.plural, call.name(), &cause));
        }
        authorize(&call.shared.roles(), &call.user, &Attributes { verb: "create", ..Attributes::of(&call.info) })?;
        let draft = field_owners::apply_to_nothing(call, config, options)?;
        match pipeline::finish_create(call, &call.kind, draft, options).await {
            // Somebody else made it in the meantime.
            Err(status) if status.reason == coracle_control_api::status::Reason::AlreadyExists => {}
            other => return other,
        }
    }
}

struct Merge<'a> {
    config: &'a Value,
    options: &'a WriteOptions,
    part: Part,
}

impl MakeNew for Merge<'_> {
    fn make(&mut self, call: &ResourceCall, current: &Value) -> Result<NewState, Status> {
        field_owners::apply(call, self.part, current, self.config, self.options)
    }
}
