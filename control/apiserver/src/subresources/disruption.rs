//! Disruption budgets, as an eviction asks them: it takes one of the disruptions that are allowed, so that the next
//! eviction finds one less even before the controller has counted again.

use coracle_control_api::meta;
use coracle_control_api::selector::LabelSelector;
use coracle_control_api::status::{Reason, Status, StatusCause};
use coracle_control_store::{Condition, Entry, Operation, Transaction, TransactionOutcome};
use serde_json::{Map, Value, json};

use crate::call::ResourceCall;
use crate::pipeline::{contended, write_status};
use crate::stored;

const REFUSAL: &str = "Cannot evict pod as it would violate the pod's disruption budget.";
const SEVERAL: &str =
    "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.";
/// Seconds after which an eviction makes sense again that came while a budget is being counted.
const RETRY_SECONDS: u32 = 10;
/// Evictions that the controller has not confirmed.
const DISRUPTED_MAX: usize = 2000;
/// A budget that others keep writing is tried so often.
const ATTEMPTS_MAX: usize = 64;

/// What a budget says to the eviction of a pod.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Leave {
    /// No budget is concerned, or it has given one of its disruptions.
    Granted,
    /// The pod does not count as healthy, so its eviction takes nothing: if it is still as it was seen. Has the budget's
    /// name.
    Unhealthy(String),
}

/// Asks the budget of a pod, and takes what it allows unless this is only tried.
///
/// # Errors
/// 429 for a budget that allows no disruption, 500 for a pod with several budgets.
pub(super) async fn ask(call: &ResourceCall, pod: &Value, dry_run: bool) -> Result<Leave, Status> {
    let phase = pod.pointer("/status/phase").and_then(Value::as_str).unwrap_or_default();
    if matches!(phase, "Pending" | "Succeeded" | "Failed") || meta::is_being_deleted(pod) {
        return Ok(Leave::Granted);
    }
    for _ in 0..ATTEMPTS_MAX {
        let Some((entry, mut budget)) = budget_of(call, pod)? else { return Ok(Leave::Granted) };
        if !is_ready(pod) && lets_unhealthy_go(&budget) {
            return Ok(Leave::Unhealthy(meta::name(&budget).to_owned()));
        }
        check(&budget)?;
        if dry_run {
            return Ok(Leave::Granted);
        }
        take(&mut budget, meta::name(pod), &meta::format_time(call.now));
        let transaction = Transaction {
            conditions: vec![Condition::ModRevision { key: entry.key.clone(), revision: entry.mod_revision }],
            operations: vec![Operation::Put { key: entry.key, value: stored::encode(&budget) }],
        };
        match call.shared.store.transact(transaction).await {
            Ok(TransactionOutcome::Applied { .. }) => return Ok(Leave::Granted),
            Ok(TransactionOutcome::Conflict { .. }) => {}
            Err(error) => return Err(write_status(&error)),
        }
    }
    Err(contended())
}

/// The one budget that selects the pod.
fn budget_of(call: &ResourceCall, pod: &Value) -> Result<Option<(Entry, Value)>, Status> {
    let prefix = format!("/registry/policy/poddisruptionbudgets/{}/", call.namespace());
    let snapshot = call.shared.store.snapshot();
    let mut found = snapshot.prefix(prefix.as_bytes()).filter_map(|entry| {
        let budget: Value = serde_json::from_slice(&entry.value).ok()?;
        let selector = LabelSelector::from_object(budget.pointer("/spec/selector")).ok()?;
        selector.matches(meta::labels(pod)).then_some((entry, budget))
    });
    let first = found.next();
    if found.next().is_some() {
        return Err(Status::failure(500, Reason::Unknown, SEVERAL));
    }
    Ok(first)
}

fn number(budget: &Value, field: &str) -> i64 {
    budget.get("status").and_then(|status| status.get(field)).and_then(Value::as_i64).unwrap_or(0)
}

fn is_ready(pod: &Value) -> bool {
    let text = |condition: &Value, field: &str| condition.get(field).and_then(Value::as_str).map(str::to_owned);
    meta::list(pod, &["status", "conditions"])
        .iter()
        .any(|one| text(one, "type").as_deref() == Some("Ready") && text(one, "status").as_deref() == Some("True"))
}

fn lets_unhealthy_go(budget: &Value) -> bool {
    let policy = budget.pointer("/spec/unhealthyPodEvictionPolicy").and_then(Value::as_str);
    let (current, desired) = (number(budget, "currentHealthy"), number(budget, "desiredHealthy"));
    policy == Some("AlwaysAllow") || (current >= desired && desired > 0)
}

fn check(budget: &Value) -> Result<(), Status> {
    let name = meta::name(budget);
    if number(budget, "observedGeneration") < meta::generation(budget) {
        return Err(unsettled(name));
    }
    let forbid = |cause: &str| Err(Status::forbidden("policy", "poddisruptionbudget", name, cause));
    let allowed = number(budget, "disruptionsAllowed");
    if allowed < 0 {
        return forbid("pdb disruptions allowed is negative");
    }
    let disrupted = budget.pointer("/status/disruptedPods").and_then(Value::as_object).map_or(0, Map::len);
    if disrupted > DISRUPTED_MAX {
        return forbid("DisruptedPods map too big - too many evictions not confirmed by PDB controller");
    }
    if allowed > 0 {
        return Ok(());
    }
    let failed = meta::list(budget, &["status", "conditions"])
        .iter()
        .find(|condition| condition.get("reason").and_then(Value::as_str) == Some("SyncFailed"));
    let failed = failed.and_then(|condition| condition.get("message")).and_then(Value::as_str).unwrap_or_default();
    let (current, desired) = (number(budget, "currentHealthy"), number(budget, "desiredHealthy"));
    let why = if !failed.is_empty() {
        format!("The disruption budget {name} does not allow evicting pods currently because it failed sync: {failed}")
    } else if current <= desired {
        format!("The disruption budget {name} needs {desired} healthy pods and has {current} currently")
    } else {
        format!("The disruption budget {name} does not allow evicting pods currently")
    };
    Err(refused(&why, 0))
}

/// 429 while the controller has not counted what is there.
pub(super) fn unsettled(budget: &str) -> Status {
    refused(&format!("The disruption budget {budget} is still being processed by the server."), RETRY_SECONDS)
}

fn refused(why: &str, retry_seconds: u32) -> Status {
    let mut status = Status::too_many_requests(REFUSAL, retry_seconds);
    status.details.get_or_insert_default().causes.push(StatusCause {
        reason: "DisruptionBudget".to_owned(),
        message: why.to_owned(),
        field: String::new(),
    });
    status
}

/// Takes one disruption for a pod, and notes it for the controller.
fn take(budget: &mut Value, pod: &str, time: &str) {
    let left = number(budget, "disruptionsAllowed") - 1;
    let observed = number(budget, "observedGeneration");
    let Some(status) = budget.get_mut("status").and_then(Value::as_object_mut) else { return };
    status.insert("disruptionsAllowed".to_owned(), json!(left));
    let disrupted = status.entry("disruptedPods").or_insert_with(|| json!({}));
    if let Some(disrupted) = disrupted.as_object_mut() {
        disrupted.insert(pod.to_owned(), json!(time));
    }
    if left > 0 {
        return;
    }
    let conditions = status.entry("conditions").or_insert_with(|| json!([]));
    let Some(conditions) = conditions.as_array_mut() else { return };
    conditions.retain(|condition| condition.get("type").and_then(Value::as_str) != Some("DisruptionAllowed"));
    conditions.push(json!({
        "type": "DisruptionAllowed", "status": "False", "reason": "InsufficientPods", "message": "",
        "observedGeneration": observed, "lastTransitionTime": time,
    }));
}
