//! The parts of the control plane, as ComponentStatuses tell of them: computed when they are asked for, never stored.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use bytes::Bytes;
use coracle_control_api::kind::Kind;
use coracle_control_api::status::Status;
use serde_json::json;

use crate::call::{Answer, ResourceCall};
use crate::filter::Filter;
use crate::list_options::Version;
use crate::stored;
use crate::verbs::get::{FORMS, object_answer};
use crate::verbs::list::{self, Page, page_answer};

/// The store, by the name that upstream's has.
const STORE: &str = "etcd-0";

/// A part of the control plane besides the API server and its store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Component {
    /// `controller-manager`
    ControllerManager,
    /// `scheduler`
    Scheduler,
}

type Probe = Arc<dyn Fn() -> bool + Send + Sync>;

/// The parts that have registered with this API server. Clones share one registry.
#[derive(Clone, Default)]
pub struct Components {
    probes: Arc<RwLock<BTreeMap<Component, Probe>>>,
}

impl fmt::Debug for Components {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Components").finish_non_exhaustive()
    }
}

impl Component {
    const ALL: [Self; 2] = [Self::ControllerManager, Self::Scheduler];

    fn name(self) -> &'static str {
        match self {
            Self::ControllerManager => "controller-manager",
            Self::Scheduler => "scheduler",
        }
    }
}

impl Components {
    /// From now on `is_running` is asked whenever somebody wants to know. It must answer at once.
    pub fn register(&self, component: Component, is_running: impl Fn() -> bool + Send + Sync + 'static) {
        let mut probes = self.probes.write().unwrap_or_else(PoisonError::into_inner);
        probes.insert(component, Arc::new(is_running));
    }

    /// What is wrong with a part, if anything.
    fn complaint(&self, component: Component) -> Option<String> {
        let probe = self.probes.read().unwrap_or_else(PoisonError::into_inner).get(&component).cloned();
        match probe {
            None => Some(format!("no {} runs with this API server", component.name())),
            Some(is_running) if is_running() => None,
            Some(_) => Some(format!("the {} has stopped", component.name())),
        }
    }
}

/// Whether objects of this kind are computed here.
pub(crate) fn is_component_status(kind: &Kind) -> bool {
    kind.group.is_empty() && kind.plural == "componentstatuses"
}

/// Answers with one of them.
///
/// # Errors
/// 404 for a part that there is not.
pub(crate) async fn get(call: &ResourceCall) -> Answer {
    let agreed = call.negotiate(FORMS)?;
    let all = statuses(call).await;
    let found = all.into_iter().find(|(name, _)| *name == call.name());
    let (_, object) = found.ok_or_else(|| call.not_found(call.name()))?;
    Ok(object_answer(call, 200, &object, None, agreed))
}

/// Answers with those that match.
///
/// # Errors
/// 400 for selectors that cannot be read.
pub(crate) async fn list(call: &ResourceCall) -> Result<axum::response::Response, Status> {
    let agreed = call.negotiate(list::FORMS)?;
    let filter = Filter::parse(&call.kind, &call.query)?;
    let objects = statuses(call).await.into_iter().map(|(_, object)| (object, 0));
    let objects = objects.filter(|(object, _)| filter.is_everything() || filter.matches(&call.kind, object)).collect();
    Ok(page_answer(call, &Page { revision: 0, objects, next: None }, agreed))
}

/// All of them by their names, in the order of these.
async fn statuses(call: &ResourceCall) -> Vec<(&'static str, Bytes)> {
    let store = call.snapshot(Version::Latest).await.err().map(|status| status.message.clone());
    let parts = Component::ALL.map(|part| (part.name(), call.shared.components.complaint(part)));
    let mut all = Vec::from(parts);
    all.push((STORE, store));
    all.sort_unstable();
    all.into_iter().map(|(name, complaint)| (name, stored::encode(&status(name, complaint)))).collect()
}

fn status(name: &str, complaint: Option<String>) -> serde_json::Value {
    let healthy = if complaint.is_none() { "True" } else { "False" };
    let message = complaint.unwrap_or_else(|| "ok".to_owned());
    json!({
        "kind": "ComponentStatus", "apiVersion": "v1", "metadata": {"name": name},
        "conditions": [{"type": "Healthy", "status": healthy, "message": message}],
    })
}
