//! The built-in kinds, as a client names them.

use std::collections::HashSet;
use std::fmt;

use coracle_control_api::kind::{self, Verb};
use kube::discovery::ApiResource;

/// A built-in kind.
#[derive(Clone, Copy)]
pub(crate) struct Kind(&'static kind::Kind);

impl Kind {
    /// Every kind whose objects are stored, can be watched and can be deleted. Of several versions of a kind one is named: all of them
    /// show the same objects.
    pub(crate) fn watched() -> impl Iterator<Item = Self> {
        let mut named = HashSet::new();
        let lasting = kind::kinds().iter().filter(|kind| {
            let able = [Verb::List, Verb::Watch, Verb::Delete].iter().all(|verb| kind.verbs.contains(verb));
            able && kind.stored_as.as_ref().is_none_or(|(group, plural)| *group == kind.group && *plural == kind.plural)
        });
        lasting.filter(move |kind| named.insert((&kind.group, &kind.plural))).map(|kind| Self(kind))
    }

    /// The kind that an owner reference names.
    pub(crate) fn find(group: &str, version: &str, name: &str) -> Option<Self> {
        let named = |kind: &&'static std::sync::Arc<kind::Kind>| {
            kind.kind == name && kind.group == group && kind.version == version && kind.verbs.contains(&Verb::Get)
        };
        kind::kinds().iter().find(named).map(|kind| Self(kind))
    }

    /// Group (empty for core) and plural.
    pub(crate) fn path(self) -> (&'static str, &'static str) {
        (&self.0.group, &self.0.plural)
    }

    pub(crate) fn is_namespaced(self) -> bool {
        self.0.namespaced
    }

    pub(crate) fn resource(self) -> ApiResource {
        let (group, version) = (self.0.group.to_string(), self.0.version.to_string());
        let api_version = if group.is_empty() { version.clone() } else { format!("{group}/{version}") };
        ApiResource { api_version, group, version, kind: self.0.kind.to_string(), plural: self.0.plural.to_string() }
    }
}

impl fmt::Debug for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Kind({} {})", self.0.group, self.0.kind)
    }
}

#[cfg(test)]
mod tests;
