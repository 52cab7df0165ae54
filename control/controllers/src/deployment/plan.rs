//! The next step of a Deployment. A step is small: after it the plan is made again from what is then there.

use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use serde_json::{Value, json};

use super::strategy::{
    DESIRED, MAX, REVISION, REVISION_HISTORY, Set, available, handed_down, is_recreating, new_set, new_size, number,
    replicas, revision, room, size, sizes, split,
};
use crate::observed::Whole;

/// What to do next.
#[derive(Debug)]
pub(super) enum Step {
    Create(Box<ReplicaSet>),
    /// Change a set by this merge patch.
    Patch(Set, Value),
    /// Give a set this number of pods.
    Scale(Set, i32),
    Delete(Set),
    /// Change the Deployment itself by this merge patch.
    PatchSelf(Value),
    /// Nothing but the status is left to do. Whether progress is to be judged: not while it is scaled or paused.
    Done {
        judged: bool,
    },
}

/// Decides. `old_pods` says whether a pod of an old set may still run.
pub(super) fn plan(deployment: &Whole<Deployment>, sets: &[Set], old_pods: bool) -> Step {
    let (new, old) = split(deployment, sets);
    let done = Step::Done { judged: true };
    if deployment.meta.deleting {
        return Step::Done { judged: false };
    }
    if let Some(step) = new.as_ref().and_then(|new| describe(deployment, new, &old)) {
        return step;
    }
    if is_paused(deployment) {
        let step = scale(deployment, new.as_ref(), &old).or_else(|| clean_up(deployment, &old));
        return step.unwrap_or(Step::Done { judged: false });
    }
    if is_being_scaled(deployment, sets) {
        // Sets that are all to go or to come at once have no proportions to keep.
        match scale(deployment, new.as_ref(), &old) {
            Some(step) => return step,
            None if is_recreating(deployment) => {}
            None => return Step::Done { judged: false },
        }
    }
    let step = if is_recreating(deployment) {
        recreate(deployment, new.as_ref(), &old, old_pods)
    } else {
        roll(deployment, new.as_ref(), &old)
    };
    let complete = || new.as_ref().is_some_and(|new| is_complete(deployment, new, &old));
    step.or_else(|| if complete() { clean_up(deployment, &old) } else { None }).unwrap_or(done)
}

pub(super) fn is_paused(deployment: &Deployment) -> bool {
    deployment.spec.as_ref().and_then(|spec| spec.paused).unwrap_or(false)
}

/// The newest set says which revision it is, and carries what the Deployment hands down.
fn describe(deployment: &Whole<Deployment>, new: &Set, old: &[Set]) -> Option<Step> {
    let next = old.iter().map(|set| revision(set)).max().unwrap_or(0) + 1;
    let mut changed = serde_json::Map::new();
    for (name, value) in handed_down(deployment) {
        if new.annotation(&name) != Some(value.as_str()) {
            changed.insert(name, json!(value));
        }
    }
    let current = revision(new);
    if current < next {
        changed.insert(REVISION.to_owned(), json!(next.to_string()));
        if current > 0 {
            let history = new.annotation(REVISION_HISTORY).unwrap_or_default();
            let history = if history.is_empty() { current.to_string() } else { format!("{history},{current}") };
            changed.insert(REVISION_HISTORY.to_owned(), json!(history));
        }
    }
    let min_ready = deployment.spec.as_ref().and_then(|spec| spec.min_ready_seconds).unwrap_or(0);
    let other_min_ready = new.spec.as_ref().and_then(|spec| spec.min_ready_seconds).unwrap_or(0) != min_ready;
    if !changed.is_empty() || other_min_ready {
        let patch = json!({"metadata": {"annotations": changed}, "spec": {"minReadySeconds": min_ready}});
        return Some(Step::Patch(new.clone(), patch));
    }
    let shown = new.annotation(REVISION)?;
    (deployment.annotation(REVISION) != Some(shown))
        .then(|| Step::PatchSelf(json!({"metadata": {"annotations": {REVISION: shown}}})))
}

/// Whether the number asked for is another than the one that the sets were made for.
fn is_being_scaled(deployment: &Deployment, sets: &[Set]) -> bool {
    let desired = replicas(deployment);
    let active = sets.iter().filter(|set| size(set) > 0);
    active.filter_map(|set| number(set, DESIRED)).any(|made_for| made_for != desired)
}

fn scale_to(deployment: &Deployment, set: &Set, to: i32) -> Option<Step> {
    let desired = replicas(deployment);
    let most = desired + room(deployment).0;
    let described = number(set, DESIRED) == Some(desired) && number(set, MAX) == Some(most);
    (size(set) != to || !described && size(set) > 0).then(|| Step::Scale(set.clone(), to))
}

/// Follows a change of the number asked for, without moving from one template to another.
fn scale(deployment: &Deployment, new: Option<&Set>, old: &[Set]) -> Option<Step> {
    let desired = replicas(deployment);
    let all: Vec<&Set> = old.iter().chain(new).collect();
    let active: Vec<&Set> = all.iter().copied().filter(|set| size(set) > 0).collect();
    let only = match active.as_slice() {
        [] => new.or(old.last()),
        [only] => Some(*only),
        _ => None,
    };
    if let Some(only) = only {
        return scale_to(deployment, only, desired);
    }
    if new.is_some_and(|new| is_saturated(deployment, new)) {
        return old.iter().filter(|set| size(set) > 0).find_map(|set| scale_to(deployment, set, 0));
    }
    if is_recreating(deployment) {
        return None;
    }
    let sized = proportions(deployment, active);
    // Who shrinks goes first, so that there are never too many in between.
    let (shrinking, growing): (Vec<_>, Vec<_>) = sized.into_iter().partition(|(set, to)| *to < size(set));
    shrinking.into_iter().chain(growing).find_map(|(set, to)| scale_to(deployment, &set, to))
}

fn is_saturated(deployment: &Deployment, new: &Set) -> bool {
    let desired = replicas(deployment);
    size(new) == desired && number(new, DESIRED) == Some(desired) && available(new) == desired
}

/// What each set gets when the whole grows or shrinks: in proportion to its size, what is left over to the first.
fn proportions(deployment: &Deployment, mut active: Vec<&Set>) -> Vec<(Set, i32)> {
    let desired = replicas(deployment);
    let allowed = if desired > 0 { desired + room(deployment).0 } else { 0 };
    let to_add = allowed - active.iter().map(|set| size(set)).sum::<i32>();
    // The largest first; of equal ones the newest grows first and the oldest shrinks first.
    active.sort_by(|a, b| {
        let age = (a.meta.created, &a.meta.key).cmp(&(b.meta.created, &b.meta.key));
        size(b).cmp(&size(a)).then(if to_add > 0 { age.reverse() } else { age })
    });
    let mut added = 0;
    let mut sized: Vec<(Set, i32)> = Vec::with_capacity(active.len());
    for set in active {
        let share = if to_add == 0 { 0 } else { proportion(deployment, set, to_add, added) };
        added += share;
        sized.push((set.clone(), size(set) + share));
    }
    if let Some((_, first)) = sized.first_mut() {
        *first = (*first + to_add - added).max(0);
    }
    sized
}

fn proportion(deployment: &Deployment, set: &Set, to_add: i32, added: i32) -> i32 {
    let rest = to_add - added;
    if size(set) == 0 || rest == 0 {
        return 0;
    }
    let share = fraction(deployment, set);
    if to_add > 0 { share.min(rest) } else { share.max(rest) }
}

/// By how much the set would change if it kept its part of the whole.
fn fraction(deployment: &Deployment, set: &Set) -> i32 {
    let desired = replicas(deployment);
    if desired == 0 {
        return -size(set);
    }
    let shown = || deployment.status.as_ref().and_then(|status| status.replicas);
    let before = i64::from(number(set, MAX).filter(|most| *most > 0).or_else(shown).unwrap_or(0));
    if before <= 0 {
        return 0;
    }
    let after = i64::from(desired + room(deployment).0);
    // Rounded to the nearest, halves up; all three are positive.
    let resized = (i64::from(size(set)) * after * 2 + before) / (before * 2);
    i32::try_from(resized).unwrap_or(i32::MAX) - size(set)
}

fn create(deployment: &Whole<Deployment>, old: &[Set]) -> Option<Step> {
    let revision = old.iter().map(|set| revision(set)).max().unwrap_or(0) + 1;
    new_set(deployment, old, revision).map(|set| Step::Create(Box::new(set)))
}

fn recreate(deployment: &Whole<Deployment>, new: Option<&Set>, old: &[Set], old_pods: bool) -> Option<Step> {
    if let Some(set) = old.iter().find(|set| size(set) > 0) {
        return Some(Step::Scale(set.clone(), 0));
    }
    match new {
        _ if old_pods => None,
        None => create(deployment, old),
        Some(new) => scale_to(deployment, new, replicas(deployment)),
    }
}

fn roll(deployment: &Whole<Deployment>, new: Option<&Set>, old: &[Set]) -> Option<Step> {
    let Some(new) = new else { return create(deployment, old) };
    let desired = replicas(deployment);
    let to = if size(new) > desired { desired } else { new_size(deployment, old, size(new)) };
    if size(new) != to {
        return Some(Step::Scale(new.clone(), to));
    }
    let may_go = sizes(old) + size(new) - (desired - room(deployment).1) - (size(new) - available(new));
    if sizes(old) == 0 || may_go <= 0 {
        return None;
    }
    clean_unhealthy(old, may_go).or_else(|| shrink_old(deployment, new, old))
}

/// Pods of old sets that are not available are the first to go.
fn clean_unhealthy(old: &[Set], may_go: i32) -> Option<Step> {
    let unhealthy = old.iter().find(|set| size(set) > available(set))?;
    let to = size(unhealthy) - may_go.min(size(unhealthy) - available(unhealthy));
    Some(Step::Scale(unhealthy.clone(), to))
}

fn shrink_old(deployment: &Deployment, new: &Set, old: &[Set]) -> Option<Step> {
    let there: i32 = old.iter().chain([new]).map(|set| available(set)).sum();
    // A set that is told to shrink still counts the pods that are about to go.
    let there = there.min(sizes(old) + available(new));
    let may_go = there - (replicas(deployment) - room(deployment).1);
    let set = old.iter().find(|set| size(set) > 0).filter(|_| may_go > 0)?;
    Some(Step::Scale(set.clone(), size(set) - may_go.min(size(set))))
}

fn is_complete(deployment: &Deployment, new: &Set, old: &[Set]) -> bool {
    let desired = replicas(deployment);
    let counted = |set: &Set| set.status.as_ref().map_or(0, |status| status.replicas);
    available(new) == desired && counted(new) == desired && old.iter().all(|set| counted(set) == 0)
}

/// Old sets beyond the history limit go, the oldest revision first, one at a time.
fn clean_up(deployment: &Deployment, old: &[Set]) -> Option<Step> {
    let limit = deployment.spec.as_ref().and_then(|spec| spec.revision_history_limit)?;
    let kept: Vec<&Set> = old.iter().filter(|set| !set.meta.deleting).collect();
    if kept.len() <= usize::try_from(limit).unwrap_or(0) {
        return None;
    }
    let oldest = kept.into_iter().min_by_key(|set| revision(set))?;
    let status = oldest.status.as_ref();
    let empty = size(oldest) == 0 && status.is_none_or(|status| status.replicas == 0);
    let seen = oldest.generation() <= status.and_then(|status| status.observed_generation);
    (empty && seen).then(|| Step::Delete(oldest.clone()))
}

#[cfg(test)]
mod tests;
