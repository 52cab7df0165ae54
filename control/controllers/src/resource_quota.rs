//! Counts what the objects of a namespace use of its quotas.
//!
//! The API server charges a quota in the write that makes an object; what goes it leaves to this controller. A count is right although
//! others write meanwhile: the quota is read first and written back only if it is still the same, and every charge would have changed it.

use std::sync::Arc;
use std::time::Duration;

use coracle_control_api::quota::{Counted, Tally};
use jiff::Timestamp;
use kube::Api;
use kube::api::{ListParams, PostParams};
use kube::core::DynamicObject;
use kube::discovery::{ApiResource, Scope};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::Context;
use crate::informer::Cache;
use crate::kind::Kind;
use crate::meta::{Meta, ObjectKey};
use crate::queue::{Next, Queue};
use crate::requests::{FIELD_MANAGER, RequestError};
use crate::worker::{self, Reconcile};

/// Upstream counts again this often: of some changes (a pod whose time to end is over, a custom object that goes) no event tells.
const RESYNC: Duration = Duration::from_mins(5);
/// Objects often go many at a time, and one count tells of all of them.
const GATHER: Duration = Duration::from_millis(50);
/// Objects of one list request.
const PAGE: u32 = 500;

/// What to look at.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Subject {
    /// Whether the quota itself has changed: its bounds are not those of its status.
    Quota(ObjectKey),
    /// What its namespace uses.
    Usage(ObjectKey),
}

pub(crate) fn start(context: &Context, tasks: &mut JoinSet<()>, stopped: &watch::Receiver<bool>) {
    let queue = Arc::new(Queue::default());
    let quotas = context.observed.metadata.iter().find(|(kind, _)| kind.path() == ("", "resourcequotas"));
    let Some((_, quotas)) = quotas else { return };
    let marked = queue.clone();
    quotas.subscribe(move |change| {
        let Some(quota) = change.new else { return };
        let key = quota.key.clone();
        // One that was not seen before is counted in any case: objects may have gone while nobody looked.
        marked.add(if change.old.is_none() { Subject::Usage(key) } else { Subject::Quota(key) });
    });
    let mark = Mark { queue: queue.clone(), quotas: quotas.clone() };
    for (kind, cache) in &context.observed.metadata {
        let (mark, changes_count) = (mark.clone(), matches!(kind.path(), ("", "services" | "persistentvolumeclaims")));
        let counted = Counted { group: kind.path().0, plural: kind.path().1 };
        if !kind.is_namespaced() || !counted.is_counted() {
            continue;
        }
        cache.subscribe(move |change| {
            if let Some(object) = change.gone().or(change.new.filter(|_| changes_count && change.old.is_some())) {
                mark.namespace(&object.key.namespace);
            }
        });
    }
    context.observed.pods.subscribe(move |change| {
        let ended = change.new.is_some_and(|new| new.finished) && change.old.is_some_and(|old| !old.finished);
        if let Some(pod) = change.gone().or(change.new.filter(|_| ended)) {
            mark.namespace(&pod.meta.key.namespace);
        }
    });
    worker::start(Controller { context: context.clone() }, queue, context, tasks, stopped);
}

/// Has the quotas of a namespace counted again, soon.
#[derive(Clone)]
struct Mark {
    queue: Arc<Queue<Subject>>,
    quotas: Arc<Cache<Meta>>,
}

impl Mark {
    fn namespace(&self, namespace: &Arc<str>) {
        for quota in self.quotas.filter(|quota| quota.key.namespace == *namespace) {
            self.queue.add_at(Subject::Usage(quota.key.clone()), Instant::now() + GATHER);
        }
    }
}

struct Controller {
    context: Context,
}

impl Reconcile for Controller {
    type Key = Subject;
    const NAME: &'static str = "resource quota";

    async fn reconcile(&self, subject: &Subject) -> Result<Next, RequestError> {
        let (key, only_if_changed) = match subject {
            Subject::Quota(key) => (key, true),
            Subject::Usage(key) => (key, false),
        };
        let Some(resource) = Kind::find("", "v1", "ResourceQuota").map(Kind::resource) else { return Ok(Next::Wait) };
        let client = self.context.requests.client();
        let quotas: Api<DynamicObject> = Api::namespaced_with(client, &key.namespace, &resource);
        let Some(quota) = self.context.requests.bounded(quotas.get_opt(&key.name)).await? else {
            return Ok(Next::Wait);
        };
        let mut quota = as_value(&quota);
        if only_if_changed && has_status_of_its_own(&quota) {
            return Ok(Next::Wait);
        }
        if let Some(status) = self.count(&key.namespace, &quota).await? {
            quota["status"] = status;
            let parameters = PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() };
            if let Ok(counted) = serde_json::from_value::<DynamicObject>(quota) {
                let written = quotas.replace_status(&key.name, &parameters, &counted);
                match self.context.requests.bounded(written).await {
                    // Charged or changed since it was read: counted anew at once.
                    Err(error) if error.is_conflict() => return Ok(Next::after(GATHER)),
                    other => other.map(drop)?,
                }
            }
        }
        Ok(if only_if_changed { Next::Wait } else { Next::after(RESYNC) })
    }
}

fn as_value(object: &DynamicObject) -> Value {
    // An object that came as JSON can become JSON again.
    serde_json::to_value(object).unwrap_or_default()
}

/// Whether the status is about the bounds that the quota has now.
fn has_status_of_its_own(quota: &Value) -> bool {
    let hard = |part: &str| quota.get(part).and_then(|part| part.get("hard")).cloned().unwrap_or_else(|| json!({}));
    hard("spec") == hard("status")
}

impl Controller {
    /// The status that the quota shall have; nothing when it has it.
    async fn count(&self, namespace: &str, quota: &Value) -> Result<Option<Value>, RequestError> {
        let mut tally = Tally::new(quota);
        for kind in Kind::watched().filter(|kind| kind.is_namespaced()) {
            let counted = Counted { group: kind.path().0, plural: kind.path().1 };
            if counted.is_counted() && tally.counts(&counted) {
                self.add(&mut tally, &counted, namespace, &kind.resource()).await?;
            }
        }
        for resource in self.custom(quota).await? {
            let counted = Counted { group: &resource.group, plural: &resource.plural };
            self.add(&mut tally, &counted, namespace, &resource).await?;
        }
        Ok((!tally.is_settled()).then(|| tally.status()))
    }

    async fn add(
        &self,
        tally: &mut Tally<'_>,
        counted: &Counted<'_>,
        namespace: &str,
        resource: &ApiResource,
    ) -> Result<(), RequestError> {
        let objects: Api<DynamicObject> = Api::namespaced_with(self.context.requests.client(), namespace, resource);
        let now = Timestamp::now();
        let mut parameters = ListParams::default().limit(PAGE);
        loop {
            let page = match self.context.requests.bounded(objects.list(&parameters)).await {
                Err(error) if error.is_not_found() => return Ok(()),
                other => other?,
            };
            for object in &page.items {
                tally.add(counted, &as_value(object), now);
            }
            match page.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => parameters = parameters.continue_token(&token),
                None => return Ok(()),
            }
        }
    }

    /// The custom resources whose objects the quota counts: `count/widgets.example.com`.
    async fn custom(&self, quota: &Value) -> Result<Vec<ApiResource>, RequestError> {
        let built_in: Vec<(&str, &str)> = Kind::watched().map(Kind::path).collect();
        let names = quota.pointer("/spec/hard").and_then(Value::as_object).into_iter().flatten();
        let wanted: Vec<(&str, &str)> = names
            .filter_map(|(name, _)| name.strip_prefix("count/")?.split_once('.'))
            .filter(|(plural, group)| !built_in.contains(&(*group, *plural)))
            .collect();
        if wanted.is_empty() {
            return Ok(Vec::new());
        }
        let discovery = kube::Discovery::new(self.context.requests.client());
        let discovery = self.context.requests.bounded(discovery.run_aggregated()).await?;
        let found = wanted.iter().filter_map(|(plural, group)| {
            let resources = discovery.get(group)?.recommended_resources();
            let resource = resources.into_iter().find(|(resource, _)| resource.plural == *plural);
            resource.filter(|(_, capabilities)| capabilities.scope == Scope::Namespaced).map(|(resource, _)| resource)
        });
        Ok(found.collect())
    }
}
