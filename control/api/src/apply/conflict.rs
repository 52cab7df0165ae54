//! Fields that another manager owns with another value, and the 409 that tells of them.

use super::field_set::FieldSet;
use crate::status::{Status, StatusCause};

/// Per manager (as it is printed), the fields it would lose.
#[derive(Clone, Debug, Default)]
pub(super) struct Conflicts(pub(super) Vec<(String, FieldSet)>);

impl Conflicts {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The conflicts that `allowed` does not cover.
    pub(super) fn without(&self, allowed: &FieldSet) -> Self {
        let rest = self.0.iter().map(|(manager, set)| (manager.clone(), set.difference(allowed)));
        Self(rest.filter(|(_, set)| !set.is_empty()).collect())
    }

    pub(super) fn into_status(self) -> Status {
        let mut causes = Vec::new();
        let mut groups = Vec::new();
        for (manager, set) in &self.0 {
            let paths = set.paths();
            groups.push(format!("conflicts with {manager}:"));
            for path in paths {
                groups.push(format!("- {path}"));
                causes.push(StatusCause {
                    reason: "FieldManagerConflict".to_owned(),
                    message: format!("conflict with {manager}"),
                    field: path,
                });
            }
        }
        let message = match causes.as_slice() {
            [one] => format!("Apply failed with 1 conflict: {}: {}", one.message, one.field),
            many => format!("Apply failed with {} conflicts: {}", many.len(), groups.join("\n")),
        };
        Status::apply_conflict(causes, message)
    }
}
