//! Who owns whom.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use super::plan::OwnerState;
use super::source::Source;
use crate::meta::Meta;

pub(super) type Uid = Arc<str>;

/// The objects that were observed, and for each uid that is named as an owner those that name it.
///
/// Objects that have no owners, own nothing and are not being deleted are kept too, since only so an owner can be found without
/// asking; they cost one entry that shares its strings with the caches.
#[derive(Debug, Default)]
pub(super) struct Graph {
    objects: HashMap<Uid, (Source, Meta)>,
    dependents: HashMap<Uid, BTreeSet<Uid>>,
    /// Those that were observed to go while others named them, for as long as others do.
    gone: HashSet<Uid>,
}

impl Graph {
    /// Takes in an object. Returns the uids that have to be looked at.
    pub(super) fn set(&mut self, source: &Source, meta: &Meta) -> Vec<Uid> {
        let old = self.objects.insert(meta.uid.clone(), (source.clone(), meta.clone()));
        let mut touched = Vec::new();
        if let Some((_, old)) = &old {
            for owner in &old.owners {
                self.unlink(&owner.uid, &meta.uid);
                touched.extend(self.waiting_owner(&owner.uid));
            }
        }
        for owner in &meta.owners {
            self.dependents.entry(Arc::from(owner.uid.as_str())).or_default().insert(meta.uid.clone());
            touched.extend(self.waiting_owner(&owner.uid));
        }
        if meta.deleting && (meta.foreground_finalizer || meta.orphan_finalizer) {
            touched.push(meta.uid.clone());
            // Dependents ask whether an owner waits for them.
            touched.extend(self.dependents.get(&meta.uid).into_iter().flatten().cloned());
        }
        let absent = |owner: &str| !self.objects.contains_key(owner);
        let owners_changed = old.as_ref().is_none_or(|(_, old)| old.owners != meta.owners);
        if owners_changed && meta.owners.iter().any(|owner| absent(&owner.uid)) {
            touched.push(meta.uid.clone());
        }
        touched
    }

    /// Takes an object out. Returns the uids that have to be looked at: those it owned, and owners that wait for it.
    pub(super) fn remove(&mut self, uid: &Uid) -> Vec<Uid> {
        let Some((_, meta)) = self.objects.remove(uid) else { return Vec::new() };
        let mut touched: Vec<Uid> = self.dependents.get(uid).into_iter().flatten().cloned().collect();
        if !touched.is_empty() {
            self.gone.insert(uid.clone());
        }
        for owner in &meta.owners {
            self.unlink(&owner.uid, uid);
            touched.extend(self.waiting_owner(&owner.uid));
        }
        touched
    }

    pub(super) fn object(&self, uid: &Uid) -> Option<(Source, Meta)> {
        self.objects.get(uid).cloned()
    }

    /// The objects that name `uid` as an owner.
    pub(super) fn dependents(&self, uid: &Uid) -> Vec<(Source, Meta)> {
        let uids = self.dependents.get(uid).into_iter().flatten();
        uids.filter_map(|dependent| self.objects.get(dependent).cloned()).collect()
    }

    /// What an owner in the graph is up to; nothing when it is not in the graph.
    pub(super) fn owner_state(&self, uid: &str) -> Option<OwnerState> {
        let (_, meta) = self.objects.get(uid)?;
        let waits = meta.deleting && meta.foreground_finalizer;
        Some(if waits { OwnerState::WaitsForDependents } else { OwnerState::Present })
    }

    /// Whether an owner was there once and was observed to go. Uids do not come back.
    pub(super) fn was_seen_to_go(&self, uid: &str) -> bool {
        self.gone.contains(uid)
    }

    fn waiting_owner(&self, uid: &str) -> Option<Uid> {
        let (_, meta) = self.objects.get(uid)?;
        (meta.deleting && (meta.foreground_finalizer || meta.orphan_finalizer)).then(|| meta.uid.clone())
    }

    fn unlink(&mut self, owner: &str, dependent: &Uid) {
        if let Some(dependents) = self.dependents.get_mut(owner) {
            dependents.remove(dependent);
            if dependents.is_empty() {
                self.dependents.remove(owner);
                self.gone.remove(owner);
            }
        }
    }
}

#[cfg(test)]
pub(in crate::owner_garbage) mod tests;
