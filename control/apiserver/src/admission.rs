//! Admission: small plugins between decoding and the store, under upstream's names.
//!
//! A plugin may change what is to be written ([`Admission::mutate`]) and refuse it when it is complete
//! ([`Admission::validate`]). It sees one snapshot of the store. What it found there and relies on, it names as conditions
//! of the transaction, so that nothing can slip in between.

mod certificates;
mod default_tolerations;
mod namespace_lifecycle;
mod node_restriction;
mod priority;
mod service_account;
mod storage_in_use;
mod taint_nodes;

use std::collections::BTreeSet;

use coracle_control_api::status::Status;
use coracle_control_store::{Condition, Snapshot};
use serde_json::Value;

use crate::authorization::check_escalation;
use crate::call::ResourceCall;
use crate::config::ADMISSION_PLUGINS;

/// What happens to an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    Create,
    Update,
    Delete,
}

/// A write that asks for admission.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Request<'a> {
    pub(crate) call: &'a ResourceCall,
    pub(crate) action: Action,
    /// Of the object; empty while its name is still to be generated.
    pub(crate) name: &'a str,
    /// `status` and the like; empty for the object itself.
    pub(crate) subresource: &'a str,
    pub(crate) snapshot: &'a Snapshot,
    /// The object before an update or a delete.
    pub(crate) old: Option<&'a Value>,
}

impl Request<'_> {
    /// Whether this is about that resource of the core group itself.
    fn is_core(&self, plural: &str) -> bool {
        self.call.kind.group.is_empty() && self.call.kind.plural == plural && self.subresource.is_empty()
    }

    /// 403 for the object, with a cause.
    fn forbid(&self, cause: &str) -> Status {
        Status::forbidden(&self.call.kind.group, &self.call.kind.plural, self.name, cause)
    }
}

/// The plugins that run.
#[derive(Debug)]
pub(crate) struct Admission {
    plugins: Vec<&'static str>,
}

impl Admission {
    pub(crate) fn new(disabled: &BTreeSet<String>) -> Self {
        Self { plugins: ADMISSION_PLUGINS.iter().copied().filter(|name| !disabled.contains(*name)).collect() }
    }

    /// Lets the plugins complete the object. The conditions must hold when it is written.
    ///
    /// # Errors
    /// What the first plugin that refuses says.
    pub(crate) async fn mutate(&self, request: &Request<'_>, object: &mut Value) -> Result<Vec<Condition>, Status> {
        let mut conditions = Vec::new();
        // No plugin, so that it cannot be switched off: it says whose certificate a request can become.
        certificates::admit(request, object)?;
        for plugin in &self.plugins {
            match *plugin {
                "NamespaceLifecycle" => conditions.extend(namespace_lifecycle::admit(request)?),
                "ServiceAccount" => service_account::admit(request, object)?,
                "DefaultTolerationSeconds" => default_tolerations::admit(request, object),
                "StorageObjectInUseProtection" => storage_in_use::admit(request, object),
                "Priority" => priority::admit(request, object)?,
                "TaintNodesByCondition" => taint_nodes::admit(request, object),
                _ => {}
            }
        }
        Ok(conditions)
    }

    /// Lets the plugins refuse what is complete. `object` is absent for a delete.
    ///
    /// # Errors
    /// What the first plugin that refuses says.
    pub(crate) async fn validate(&self, request: &Request<'_>, object: Option<&Value>) -> Result<(), Status> {
        // No plugin, so that it cannot be switched off.
        check_escalation(request, object)?;
        for plugin in &self.plugins {
            match *plugin {
                "NamespaceLifecycle" if request.action == Action::Delete => {
                    namespace_lifecycle::protect(request)?;
                }
                "NodeRestriction" => node_restriction::validate(request, object)?,
                _ => {}
            }
        }
        Ok(())
    }
}
