//! What admission wants besides the change of the object.

use coracle_control_store::{Condition, Operation};

use crate::call::Call;
use tokio::sync::OwnedMutexGuard;

use super::reinvocation::Reinvocation;

/// What the plugins of one write ask for. On a dry run nothing of it is carried out but the warnings.
#[derive(Debug, Default)]
pub(crate) struct Effects {
    /// Must hold when the object is written. A write that finds one broken starts again with admission.
    pub(crate) conditions: Vec<Condition>,
    /// Happen together with the write, or not at all.
    pub(crate) operations: Vec<Operation>,
    /// Texts for Warning headers of the answer.
    pub(crate) warnings: Vec<String>,
    /// Goes into the audit log with the request: key with the plugin's domain, and value.
    pub(crate) audit_annotations: Vec<(String, String)>,
    /// Held until the write is done or given up.
    pub(super) turn: Option<OwnedMutexGuard<()>>,
    /// Who is to be asked a second time.
    pub(super) reinvocation: Reinvocation,
}

impl Effects {
    /// Whether something is written under this key together with the object.
    pub(super) fn makes(&self, key: &[u8]) -> bool {
        self.operations.iter().any(|operation| operation.key() == key)
    }
}

impl Effects {
    /// Hands the annotations over to the audit event of the request.
    pub(super) fn tell_audit(&mut self, call: &Call) {
        for (key, value) in self.audit_annotations.drain(..) {
            call.annotate(&key, &value);
        }
    }
}
