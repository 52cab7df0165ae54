//! eviction: a polite delete of a pod, which a disruption budget may refuse.

use axum::body::Body;
use axum::response::Response;
use coracle_control_api::decode::FieldValidation;
use coracle_control_api::meta;
use coracle_control_api::selector::LabelSelector;
use coracle_control_api::status::{Status, StatusCause};
use http::Request;
use serde_json::Value;

use crate::admission::subresource::admit;
use crate::answer::value_answer;
use crate::body;
use crate::call::ResourceCall;
use crate::list_options::Version;
use crate::negotiation::body_format;
use crate::verbs::delete::{DeleteOptions, delete_object};
use crate::write_options::WriteOptions;

/// Seconds after which an eviction that a budget refused makes sense again.
const RETRY_SECONDS: u32 = 10;

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
    check_budgets(call).await?;
    delete_object(call, call.name(), &delete).await?;
    Ok(value_answer(201, &Status::success(201).to_value(), agreed))
}

/// A running pod may go when every budget that selects it allows a disruption.
async fn check_budgets(call: &ResourceCall) -> Result<(), Status> {
    let snapshot = call.snapshot(Version::Latest).await?;
    let pod = call.decode(&call.find(&snapshot)?)?;
    let phase = pod.pointer("/status/phase").and_then(Value::as_str).unwrap_or_default();
    if matches!(phase, "Pending" | "Succeeded" | "Failed") || meta::is_being_deleted(&pod) {
        return Ok(());
    }
    let prefix = format!("/registry/policy/poddisruptionbudgets/{}/", call.namespace());
    for entry in snapshot.prefix(prefix.as_bytes()) {
        let budget: Value = serde_json::from_slice(&entry.value).unwrap_or_default();
        let selects = LabelSelector::from_object(budget.pointer("/spec/selector"))
            .is_ok_and(|selector| selector.matches(meta::labels(&pod)));
        let allowed = budget.pointer("/status/disruptionsAllowed").and_then(Value::as_i64).unwrap_or(0);
        if selects && allowed <= 0 {
            return Err(refused(meta::name(&budget)));
        }
    }
    Ok(())
}

fn refused(budget: &str) -> Status {
    let text = "Cannot evict pod as it would violate the pod's disruption budget.";
    let mut status = Status::too_many_requests(text, RETRY_SECONDS);
    status.details.get_or_insert_default().causes.push(StatusCause {
        reason: "DisruptionBudget".to_owned(),
        message: format!("The disruption budget {budget} does not allow another disruption at the moment"),
        field: String::new(),
    });
    status
}
