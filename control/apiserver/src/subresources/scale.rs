//! scale: the number of replicas of an object, read and written the same way for every kind.

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use coracle_control_api::decode::{Decoded, decode};
use coracle_control_api::kind::{Kind, Part, ScalePaths};
use coracle_control_api::kinds::{self, scale};
use coracle_control_api::meta;
use coracle_control_api::patch::{PatchKind, patch};
use coracle_control_api::status::Status;
use http::Request;
use serde_json::Value;

use crate::answer::{add_warnings, value_answer};
use crate::body;
use crate::call::ResourceCall;
use crate::custom::conversion;
use crate::field_owners;
use crate::list_options::Version;
use crate::negotiation::{body_format, content_type};
use crate::pipeline::{self, MakeNew, NewState};
use crate::write_options::WriteOptions;

pub(super) async fn answer(call: &ResourceCall, request: Request<Body>) -> Result<Response, Status> {
    let Some(paths) = call.kind.scale.as_ref() else { return Err(Status::unknown_resource()) };
    let kind = kinds::find_kind("autoscaling", "v1", "Scale").ok_or_else(|| Status::internal("no kind Scale"))?;
    let agreed = call.negotiate(&[])?;
    if call.info.verb == "get" {
        let snapshot = call.snapshot(Version::Latest).await?;
        let entry = conversion::entry(&call.shared, &call.kind, call.find(&snapshot)?).await?;
        let object = call.decode(&entry)?;
        return Ok(value_answer(200, &scale::of_object(paths, &object), agreed));
    }
    let (wanted, options) = if call.info.verb == "update" {
        let options = WriteOptions::parse(call, "UpdateOptions")?;
        let format = body_format(&call.headers)?;
        let bytes = body::read(request, call.shared.config.body_bytes_max).await?;
        let target = pipeline::target(kind)?;
        let bytes = body::to_json(bytes, format, target.schema, options.validation)?;
        let decoded = decode(&bytes, &target, options.validation)?;
        pipeline::ensure_name(call, &decoded.object)?;
        (Wanted::Scale(Box::new(decoded)), options)
    } else {
        let patch = match content_type(&call.headers) {
            "application/json-patch+json" => PatchKind::Json,
            "application/merge-patch+json" => PatchKind::Merge,
            "application/strategic-merge-patch+json" => PatchKind::Strategic,
            _ => return Err(Status::unsupported_media_type()),
        };
        let options = WriteOptions::parse(call, "PatchOptions")?;
        (Wanted::Patch(patch, body::read(request, call.shared.config.body_bytes_max).await?), options)
    };
    let mut change = Change { wanted, paths, kind, options: &options };
    let written = pipeline::update(call, Part::Object, &options, &mut change).await?;
    let written = written.ok_or_else(|| call.not_found(call.name()))?;
    let mut object: Value = serde_json::from_slice(&written.object)
        .map_err(|error| Status::internal(&format!("the object that was written cannot be read: {error}")))?;
    if let Some(revision) = written.revision {
        crate::stored::set_revision(&mut object, revision);
    }
    let mut answer = value_answer(200, &scale::of_object(paths, &object), agreed);
    add_warnings(&mut answer, &written.warnings);
    Ok(answer)
}

/// What the client wants the scale to be.
enum Wanted {
    Scale(Box<Decoded>),
    Patch(PatchKind, Bytes),
}

/// Brings a scale into the object that it is of.
struct Change<'a> {
    wanted: Wanted,
    paths: &'a ScalePaths,
    kind: &'a Kind,
    options: &'a WriteOptions,
}

impl MakeNew for Change<'_> {
    fn make(&mut self, call: &ResourceCall, current: &Value) -> Result<NewState, Status> {
        let target = pipeline::target(self.kind)?;
        let (mut wanted, warnings) = match &self.wanted {
            Wanted::Scale(decoded) => (decoded.object.clone(), decoded.warnings.clone()),
            Wanted::Patch(kind, body) => {
                let scale = scale::of_object(self.paths, current);
                let decoded = patch(*kind, &scale, body, &target, self.options.validation)?;
                (decoded.object, decoded.warnings)
            }
        };
        pipeline::complete(self.kind, target.schema, &mut wanted);
        let errors = self.kind.behaviour.validate_create(&wanted);
        if !errors.is_empty() {
            return Err(Status::invalid(&self.kind.group, &self.kind.kind, call.name(), &errors));
        }
        let mut object = current.clone();
        scale::into_object(self.paths, &mut object, &wanted);
        pipeline::complete(&call.kind, pipeline::target(&call.kind)?.schema, &mut object);
        let version = meta::resource_version(&wanted).to_owned();
        meta::metadata_mut(&mut object).insert("resourceVersion".to_owned(), Value::from(version));
        field_owners::track_update(call, Part::Object, current, &mut object, self.options)?;
        Ok(NewState { object, warnings })
    }
}
