//! AdmissionReview: the question and the answer.

use base64::Engine as _;
use serde_json::{Value, json};

use crate::admission::attributes::{Attributes, Invocation};

/// What a webhook answers.
#[derive(Debug, Default)]
pub(super) struct Answer {
    pub(super) allowed: bool,
    /// The Status that goes with a refusal.
    pub(super) result: Option<Value>,
    pub(super) warnings: Vec<String>,
    pub(super) audit_annotations: Vec<(String, String)>,
    /// A JSON patch as text.
    pub(super) patch: Option<Vec<u8>>,
}

/// The question to a webhook.
///
/// # Errors
/// When the objects cannot be shown in the kind that the webhook asked for, in words.
pub(super) async fn question(
    uid: &str,
    version: &str,
    attributes: &Attributes<'_>,
    invocation: &Invocation,
) -> Result<Value, String> {
    let mut request = attributes.request_value(invocation);
    let object = attributes.object_as(invocation).await?;
    let old = attributes.old_as(invocation).await?;
    if let Some(map) = request.as_object_mut() {
        map.insert("uid".to_owned(), Value::from(uid));
        map.insert("object".to_owned(), object.unwrap_or_default());
        map.insert("oldObject".to_owned(), old.unwrap_or_default());
    }
    Ok(json!({
        "kind": "AdmissionReview", "apiVersion": format!("admission.k8s.io/{version}"), "request": request,
    }))
}

/// Reads the answer to the question with that uid.
///
/// # Errors
/// What is wrong with it, in upstream's words.
pub(super) fn read(review: &Value, uid: &str, version: &str, mutating: bool) -> Result<Answer, String> {
    let Some(response) = review.get("response").filter(|response| response.is_object()) else {
        return Err("webhook response was absent".to_owned());
    };
    let text = |value: &Value, name: &str| value.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let (patch, patch_type) = (text(response, "patch"), response.get("patchType").filter(|value| !value.is_null()));
    if version == "v1" {
        if text(response, "uid") != uid {
            return Err(format!("expected response.uid={uid:?}, got {:?}", text(response, "uid")));
        }
        let (group_version, kind) = (text(review, "apiVersion"), text(review, "kind"));
        if group_version != "admission.k8s.io/v1" || kind != "AdmissionReview" {
            return Err(format!(
                "expected webhook response of admission.k8s.io/v1, Kind=AdmissionReview, got {group_version}, Kind={kind}"
            ));
        }
        check_patch(&patch, patch_type, mutating)?;
    }
    let patch = if mutating && !patch.is_empty() {
        let decoded = base64::engine::general_purpose::STANDARD.decode(&patch);
        Some(decoded.map_err(|error| format!("illegal base64 data in response.patch: {error}"))?)
    } else {
        None
    };
    let texts = |value: &Value| value.as_str().map(str::to_owned);
    Ok(Answer {
        allowed: response.get("allowed").and_then(Value::as_bool).unwrap_or(false),
        result: response.get("status").filter(|status| status.is_object()).cloned(),
        warnings: response.get("warnings").and_then(Value::as_array).into_iter().flatten().filter_map(texts).collect(),
        audit_annotations: response
            .get("auditAnnotations")
            .and_then(Value::as_object)
            .into_iter()
            .flatten()
            .filter_map(|(key, value)| Some((key.clone(), texts(value)?)))
            .collect(),
        patch,
    })
}

fn check_patch(patch: &str, patch_type: Option<&Value>, mutating: bool) -> Result<(), String> {
    let complaint = match (mutating, patch.is_empty(), patch_type) {
        (true, false, None) => "webhook returned response.patch but not response.patchType",
        (true, true, Some(_)) => "webhook returned response.patchType but not response.patch",
        (true, false, Some(kind)) if kind == "" => "webhook returned invalid response.patchType of \"\"",
        (true, false, Some(kind)) if kind != "JSONPatch" => return Err(format!("unsupported patch type {kind}")),
        (false, false, _) => "validating webhook may not return response.patch",
        (false, true, Some(_)) => "validating webhook may not return response.patchType",
        _ => return Ok(()),
    };
    Err(complaint.to_owned())
}
