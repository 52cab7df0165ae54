//! eviction: a polite delete of a pod, which a disruption budget may refuse.

use axum::body::Body;
use axum::response::Response;
use coracle_control_api::decode::FieldValidation;
use coracle_control_api::meta;
use coracle_control_api::status::Status;
use http::Request;
use serde_json::Value;

use super::disruption::{self, Leave};
use crate::admission::subresource::admit;
use crate::answer::value_answer;
use crate::body;
use crate::call::ResourceCall;
use crate::list_options::Version;
use crate::negotiation::body_format;
use crate::verbs::delete::{DeleteOptions, delete_object};
use crate::write_options::WriteOptions;

pub(super) async fn evict(call: &ResourceCall, request: Request<Body>) -> Result<Response, Status> {
    let agreed = call.negotiate(&[])?;
    let options = WriteOptions::parse(call, "CreateOptions")?;
    let format = body_format(&call.headers)?;
    let bytes = body::read(request, call.shared.config.body_bytes_max).await?;
    let bytes =
        body::to_json(bytes, format, body::request_type("io.k8s.api.policy.v1.Eviction")?, FieldValidation::Warn)?;
    let mut eviction: Value = serde_json::from_slice(&bytes).map_err(|error| {
        Status::bad_request(format!("the object provided is unrecognized (must be of type Eviction): {error}"))
    })?;
    let given = meta::name(&eviction);
    if !given.is_empty() && given != call.name() {
        let text = format!("name in URL does not match name in Eviction object: {}/{given}", call.name());
        return Err(Status::bad_request(text));
    }
    admit(call, call.name(), &mut eviction, options.dry_run).await?;
    let mut delete: DeleteOptions = match eviction.get("deleteOptions").filter(|options| !options.is_null()) {
        Some(options) => serde_json::from_value(options.clone())
            .map_err(|error| Status::bad_request(format!("deleteOptions: {error}")))?,
        None => DeleteOptions::default(),
    };
    if options.dry_run {
        delete.dry_run = Some(vec!["All".to_owned()]);
    }
    let snapshot = call.snapshot(Version::Latest).await?;
    let pod = call.decode(&call.find(&snapshot)?)?;
    let leave = disruption::ask(call, &pod, options.dry_run).await?;
    let preconditions = delete.preconditions.get_or_insert_default();
    match leave {
        Leave::Unhealthy(budget) if preconditions.resource_version.is_none() => {
            // It may have become healthy since it was looked at.
            preconditions.resource_version = Some(meta::resource_version(&pod).to_owned());
            let deleted = delete_object(call, call.name(), &delete).await;
            deleted.map_err(|status| if status.code == 409 { disruption::unsettled(&budget) } else { status })?;
        }
        Leave::Unhealthy(_) | Leave::Granted => {
            delete_object(call, call.name(), &delete).await?;
        }
    }
    Ok(value_answer(201, &Status::success(201).to_value(), agreed))
}
