//! What a Deployment says of itself.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::apps::v1::{Deployment, DeploymentCondition, DeploymentStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::plan::is_paused;
use super::strategy::{Set, available, replicas, room, sizes, split};
use crate::observed::Whole;
use crate::requests::RequestError;

const PROGRESSING: &str = "Progressing";
const TIMED_OUT: &str = "ProgressDeadlineExceeded";
const NEW_SET_AVAILABLE: &str = "NewReplicaSetAvailable";

/// The status, and when to look again.
#[derive(Debug)]
pub(super) struct Report {
    pub(super) status: DeploymentStatus,
    pub(super) look_again: Option<Timestamp>,
}

/// What was just done to get there, for the condition Progressing.
#[derive(Debug)]
pub(super) enum Done {
    Nothing,
    /// A set of this name was created.
    Created(String),
    /// A set could not be created.
    Failed {
        message: String,
        error: RequestError,
    },
}

/// Counts the sets and judges the progress.
pub(super) fn report(
    deployment: &Whole<Deployment>,
    sets: &[Set],
    judged: bool,
    done: &Done,
    now: Timestamp,
) -> Report {
    let (new, _) = split(deployment, sets);
    let mut status = count(deployment, sets, new.as_ref());
    let conditions = &mut status.conditions;
    set(conditions, availability(deployment, status.available_replicas.unwrap_or(0)), now);
    let deadline = deadline(deployment);
    if deadline.is_some() {
        note_pause(deployment, conditions, now);
        note_set(conditions, new.as_ref(), done, now);
    }
    let mut look_again = None;
    if judged {
        if let Some(deadline) = deadline {
            judge(deployment, &mut status, new.as_ref(), deadline, now);
            look_again = stuck_at(deployment, &status, deadline);
        } else {
            remove(&mut status.conditions, PROGRESSING);
        }
        match failure(sets, new.as_ref()) {
            Some(failure) => set(&mut status.conditions, failure, now),
            None => remove(&mut status.conditions, "ReplicaFailure"),
        }
    }
    Report { status, look_again }
}

/// How long a rollout may make no progress; nothing when it may take for ever.
fn deadline(deployment: &Deployment) -> Option<i32> {
    deployment.spec.as_ref().and_then(|spec| spec.progress_deadline_seconds).filter(|seconds| *seconds != i32::MAX)
}

fn count(deployment: &Whole<Deployment>, sets: &[Set], new: Option<&Set>) -> DeploymentStatus {
    let known = deployment.status.clone().unwrap_or_default();
    let counted = |set: &Set| set.status.as_ref().map_or(0, |status| status.replicas);
    let ready = |set: &Set| set.status.as_ref().and_then(|status| status.ready_replicas).unwrap_or(0);
    let some = |count: i32| (count != 0).then_some(count);
    let there: i32 = sets.iter().map(|set| available(set)).sum();
    DeploymentStatus {
        observed_generation: deployment.generation(),
        replicas: some(sets.iter().map(counted).sum()),
        updated_replicas: some(new.map_or(0, counted)),
        ready_replicas: some(sets.iter().map(ready).sum()),
        available_replicas: some(there),
        unavailable_replicas: some((sizes(sets) - there).max(0)),
        conditions: known.conditions,
        collision_count: known.collision_count,
        terminating_replicas: known.terminating_replicas,
    }
}

fn availability(deployment: &Deployment, available: i32) -> DeploymentCondition {
    if available >= replicas(deployment) - room(deployment).1 {
        let message = "Deployment has minimum availability.".to_owned();
        condition("Available", "True", "MinimumReplicasAvailable", message)
    } else {
        let message = "Deployment does not have minimum availability.".to_owned();
        condition("Available", "False", "MinimumReplicasUnavailable", message)
    }
}

fn note_pause(deployment: &Deployment, conditions: &mut Option<Vec<DeploymentCondition>>, now: Timestamp) {
    let reason = find(conditions.as_deref(), PROGRESSING).and_then(|known| known.reason.clone());
    let (paused, was_paused) = (is_paused(deployment), reason.as_deref() == Some("DeploymentPaused"));
    if reason.as_deref() == Some(TIMED_OUT) || paused == was_paused {
        return;
    }
    let (reason, message) = match paused {
        true => ("DeploymentPaused", "Deployment is paused"),
        false => ("DeploymentResumed", "Deployment is resumed"),
    };
    set(conditions, condition(PROGRESSING, "Unknown", reason, message.to_owned()), now);
}

fn note_set(conditions: &mut Option<Vec<DeploymentCondition>>, new: Option<&Set>, done: &Done, now: Timestamp) {
    let noted = match done {
        Done::Created(name) => {
            condition(PROGRESSING, "True", "NewReplicaSetCreated", format!("Created new replica set \"{name}\""))
        }
        Done::Failed { message, .. } => condition(PROGRESSING, "False", "ReplicaSetCreateError", message.clone()),
        Done::Nothing => match new.filter(|_| find(conditions.as_deref(), PROGRESSING).is_none()) {
            None => return,
            Some(new) => {
                let message = format!("Found new replica set \"{}\"", new.name());
                condition(PROGRESSING, "True", "FoundNewReplicaSet", message)
            }
        },
    };
    set(conditions, noted, now);
}

fn is_complete(deployment: &Deployment, status: &DeploymentStatus) -> bool {
    let wanted = replicas(deployment);
    [status.updated_replicas, status.replicas, status.available_replicas]
        .iter()
        .all(|count| count.unwrap_or(0) == wanted)
}

fn has_moved(old: &DeploymentStatus, new: &DeploymentStatus) -> bool {
    let updated = |status: &DeploymentStatus| status.updated_replicas.unwrap_or(0);
    let outdated = |status: &DeploymentStatus| status.replicas.unwrap_or(0) - updated(status);
    updated(new) > updated(old)
        || outdated(new) < outdated(old)
        || new.ready_replicas.unwrap_or(0) > old.ready_replicas.unwrap_or(0)
        || new.available_replicas.unwrap_or(0) > old.available_replicas.unwrap_or(0)
}

fn judge(
    deployment: &Whole<Deployment>,
    status: &mut DeploymentStatus,
    new: Option<&Set>,
    deadline: i32,
    now: Timestamp,
) {
    let known = find(status.conditions.as_deref(), PROGRESSING).cloned();
    let reason = known.as_ref().and_then(|known| known.reason.as_deref());
    if status.replicas == status.updated_replicas && reason == Some(NEW_SET_AVAILABLE) {
        return;
    }
    let subject = match new {
        Some(new) => format!("ReplicaSet \"{}\"", new.name()),
        None => format!("Deployment \"{}\"", deployment.name()),
    };
    let old = deployment.status.clone().unwrap_or_default();
    if is_complete(deployment, status) {
        let message = format!("{subject} has successfully progressed.");
        set(&mut status.conditions, condition(PROGRESSING, "True", NEW_SET_AVAILABLE, message), now);
    } else if has_moved(&old, status) {
        let message = format!("{subject} is progressing.");
        let mut moved = condition(PROGRESSING, "True", "ReplicaSetUpdated", message);
        moved.last_update_time = Some(Time(now));
        moved.last_transition_time = known
            .filter(|known| known.status == "True")
            .and_then(|known| known.last_transition_time)
            .or(Some(Time(now)));
        remove(&mut status.conditions, PROGRESSING);
        status.conditions.get_or_insert_default().push(moved);
    } else if is_timed_out(known.as_ref(), deadline, now) {
        let message = format!("{subject} has timed out progressing.");
        set(&mut status.conditions, condition(PROGRESSING, "False", TIMED_OUT, message), now);
    }
}

fn is_timed_out(known: Option<&DeploymentCondition>, deadline: i32, now: Timestamp) -> bool {
    let Some(known) = known else { return false };
    match known.reason.as_deref() {
        Some(NEW_SET_AVAILABLE) => false,
        Some(TIMED_OUT) => true,
        _ => deadline_of(known, deadline).is_some_and(|at| at < now),
    }
}

fn deadline_of(progressing: &DeploymentCondition, deadline: i32) -> Option<Timestamp> {
    let updated = progressing.last_update_time.as_ref()?.0;
    updated.checked_add(SignedDuration::from_secs(i64::from(deadline))).ok()
}

/// When a rollout that does not move from now on will have timed out.
fn stuck_at(deployment: &Deployment, status: &DeploymentStatus, deadline: i32) -> Option<Timestamp> {
    let known = find(status.conditions.as_deref(), PROGRESSING)?;
    if is_complete(deployment, status) || matches!(known.reason.as_deref(), Some(TIMED_OUT | NEW_SET_AVAILABLE)) {
        return None;
    }
    deadline_of(known, deadline)?.checked_add(SignedDuration::from_secs(1)).ok()
}

/// What the sets say of pods that could not be made; the newest is heard first.
fn failure(sets: &[Set], new: Option<&Set>) -> Option<DeploymentCondition> {
    let mut conditions = new
        .into_iter()
        .chain(sets)
        .flat_map(|set| set.status.iter().filter_map(|status| status.conditions.as_ref()).flatten());
    let failed = conditions.find(|condition| condition.type_ == "ReplicaFailure")?;
    Some(DeploymentCondition {
        type_: failed.type_.clone(),
        status: failed.status.clone(),
        reason: failed.reason.clone(),
        message: failed.message.clone(),
        last_transition_time: failed.last_transition_time.clone(),
        last_update_time: failed.last_transition_time.clone(),
    })
}

fn condition(kind: &str, status: &str, reason: &str, message: String) -> DeploymentCondition {
    DeploymentCondition {
        type_: kind.to_owned(),
        status: status.to_owned(),
        reason: Some(reason.to_owned()),
        message: Some(message),
        last_transition_time: None,
        last_update_time: None,
    }
}

fn find<'a>(conditions: Option<&'a [DeploymentCondition]>, kind: &str) -> Option<&'a DeploymentCondition> {
    conditions?.iter().find(|condition| condition.type_ == kind)
}

/// Puts the condition in, unless one of its status and reason is there.
fn set(conditions: &mut Option<Vec<DeploymentCondition>>, mut new: DeploymentCondition, now: Timestamp) {
    let known = find(conditions.as_deref(), &new.type_).cloned();
    if known.as_ref().is_some_and(|known| known.status == new.status && known.reason == new.reason) {
        return;
    }
    let same_status = known.filter(|known| known.status == new.status);
    new.last_update_time = new.last_update_time.or(Some(Time(now)));
    new.last_transition_time =
        same_status.and_then(|known| known.last_transition_time).or(new.last_transition_time).or(Some(Time(now)));
    remove(conditions, &new.type_);
    conditions.get_or_insert_default().push(new);
}

fn remove(conditions: &mut Option<Vec<DeploymentCondition>>, kind: &str) {
    if let Some(conditions) = conditions {
        conditions.retain(|condition| condition.type_ != kind);
    }
    if conditions.as_ref().is_some_and(Vec::is_empty) {
        *conditions = None;
    }
}

#[cfg(test)]
mod tests;
