//! What to do with one object, given what is known of its owners and dependents.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::api::PropagationPolicy;

use super::source::Source;
use crate::meta::{FOREGROUND_FINALIZER, Meta, ORPHAN_FINALIZER};

/// What is known of an owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OwnerState {
    /// It exists.
    Present,
    /// It exists and is being deleted in the foreground.
    WaitsForDependents,
    /// The API server says that it does not exist.
    Absent,
    /// Its kind is not served, so nobody can tell.
    Unknown,
}

/// What to do.
#[derive(Debug)]
pub(super) enum Action {
    Nothing,
    Delete(PropagationPolicy),
    /// Drop the references to owners that are gone; these stay.
    KeepOwners(Vec<OwnerReference>),
    /// Foreground: delete those that this object waits for.
    DeleteDependents(Vec<(Source, Meta)>),
    /// Orphan: make these name this object no longer.
    ReleaseDependents(Vec<(Source, Meta)>),
    RemoveFinalizer(&'static str),
}

/// Decides. `owners` is in the order of `meta.owners`, and empty when the object is being deleted already.
pub(super) fn plan(meta: &Meta, owners: &[OwnerState], dependents: Vec<(Source, Meta)>) -> Action {
    if meta.deleting {
        return finish_deletion(meta, dependents);
    }
    let any = |state: OwnerState| owners.contains(&state);
    if owners.is_empty() || any(OwnerState::Unknown) {
        return Action::Nothing;
    }
    if any(OwnerState::Present) {
        let stays = |(_, state): &(&OwnerReference, &OwnerState)| **state == OwnerState::Present;
        let kept: Vec<_> = meta.owners.iter().zip(owners).filter(stays).map(|(owner, _)| owner.clone()).collect();
        return if kept.len() == meta.owners.len() { Action::Nothing } else { Action::KeepOwners(kept) };
    }
    if meta.orphan_finalizer {
        return Action::Delete(PropagationPolicy::Orphan);
    }
    let in_foreground = meta.foreground_finalizer || (any(OwnerState::WaitsForDependents) && !dependents.is_empty());
    Action::Delete(if in_foreground { PropagationPolicy::Foreground } else { PropagationPolicy::Background })
}

fn finish_deletion(meta: &Meta, dependents: Vec<(Source, Meta)>) -> Action {
    if meta.orphan_finalizer {
        let still_named = dependents;
        return if still_named.is_empty() {
            Action::RemoveFinalizer(ORPHAN_FINALIZER)
        } else {
            Action::ReleaseDependents(still_named)
        };
    }
    if meta.foreground_finalizer {
        let blocks = |dependent: &Meta| {
            let mut naming = dependent.owners.iter().filter(|owner| *owner.uid == *meta.uid);
            naming.any(|owner| owner.block_owner_deletion == Some(true))
        };
        if !dependents.iter().any(|(_, dependent)| blocks(dependent)) {
            return Action::RemoveFinalizer(FOREGROUND_FINALIZER);
        }
        // A dependent with another owner is not deleted; looking at it drops its reference to this one.
        let only_ours = |dependent: &Meta| dependent.owners.iter().all(|owner| *owner.uid == *meta.uid);
        let doomed =
            dependents.into_iter().filter(|(_, dependent)| !dependent.deleting && only_ours(dependent)).collect();
        return Action::DeleteDependents(doomed);
    }
    Action::Nothing
}

#[cfg(test)]
mod tests;
