//! The kinds that are served, found by what a path names.

use std::collections::HashMap;
use std::sync::Arc;

use coracle_control_api::kind::Kind;
use coracle_control_api::kinds;

/// Every kind that is served. It is replaced as a whole when a custom resource comes or goes.
#[derive(Debug)]
pub(crate) struct Catalog {
    kinds: Vec<Arc<Kind>>,
    by_path: HashMap<(String, String, String), usize>,
}

impl Catalog {
    /// The built-in kinds.
    pub(crate) fn built_in() -> Self {
        Self::new(kinds::kinds().to_vec())
    }

    fn new(kinds: Vec<Arc<Kind>>) -> Self {
        let by_path = kinds
            .iter()
            .enumerate()
            .map(|(index, kind)| ((kind.group.to_string(), kind.version.to_string(), kind.plural.to_string()), index));
        Self { by_path: by_path.collect(), kinds }
    }

    /// Every kind, in the order of the table.
    pub(crate) fn kinds(&self) -> &[Arc<Kind>] {
        &self.kinds
    }

    /// The kind under `/apis/GROUP/VERSION/PLURAL`.
    pub(crate) fn find(&self, group: &str, version: &str, plural: &str) -> Option<&Arc<Kind>> {
        let key = (group.to_owned(), version.to_owned(), plural.to_owned());
        self.by_path.get(&key).and_then(|index| self.kinds.get(*index))
    }

    /// Whether any kind is served in the group, and in the version of the group.
    pub(crate) fn has_version(&self, group: &str, version: &str) -> bool {
        self.kinds.iter().any(|kind| kind.group == group && kind.version == version)
    }
}
