//! What the scheduler writes: Bindings, the PodScheduled condition, and Events.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1 as api;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta, Time};
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client};
use serde_json::{Value, json};

use crate::config::SchedulerConfig;
use crate::pod::PodKey;

/// Why a request had no effect, as far as we know.
#[derive(Debug, thiserror::Error)]
pub(super) enum RequestError {
    #[error("the API server did not answer within {0:?}")]
    TimedOut(Duration),
    #[error("the API server refused")]
    Refused(#[source] kube::Error),
}

#[derive(Debug, Clone, Copy)]
enum EventKind {
    Scheduled,
    FailedScheduling,
}

/// Sends requests through one client.
pub(super) struct Requests {
    client: Client,
    component: String,
    timeout: Duration,
}

impl Requests {
    pub(super) fn new(client: Client, config: &SchedulerConfig) -> Self {
        Self { client, component: config.scheduler_name.clone(), timeout: config.request_timeout }
    }

    /// Binds the pod to the node. Afterwards, and without any effect on the result, an Event says so.
    pub(super) async fn bind(&self, pod: &PodKey, node: &str) -> Result<(), RequestError> {
        let binding = api::Binding {
            metadata: ObjectMeta {
                namespace: Some(pod.namespace.to_string()),
                name: Some(pod.name.to_string()),
                uid: Some(pod.uid.to_string()),
                ..ObjectMeta::default()
            },
            target: api::ObjectReference {
                kind: Some("Node".to_owned()),
                name: Some(node.to_owned()),
                ..api::ObjectReference::default()
            },
        };
        let pods = self.pods(pod);
        let parameters = PostParams::default();
        let bound =
            self.bounded(pods.create_subresource::<_, Value>("binding", &pod.name, &parameters, &binding)).await;
        let (kind, message) = match &bound {
            Ok(_) => (EventKind::Scheduled, format!("Successfully assigned {}/{} to {node}", pod.namespace, pod.name)),
            Err(RequestError::Refused(kube::Error::Api(status))) if status.code == 404 => return bound.map(drop),
            Err(error) => (EventKind::FailedScheduling, format!("binding rejected: {}", innermost(error))),
        };
        self.record(pod, kind, message).await;
        bound.map(drop)
    }

    /// Says in the pod's condition, and then in an Event, why no node takes it.
    pub(super) async fn report_unschedulable(&self, pod: &PodKey, message: &str) -> Result<(), RequestError> {
        let now = Time(Timestamp::now());
        // The uid makes the server refuse the patch if another pod has taken the name.
        let patch = json!({
            "metadata": {"uid": &*pod.uid},
            "status": {"conditions": [{
                "type": "PodScheduled",
                "status": "False",
                "reason": "Unschedulable",
                "message": message,
                "lastProbeTime": null,
                "lastTransitionTime": now,
            }]},
        });
        let parameters = PatchParams { field_manager: Some(self.component.clone()), ..PatchParams::default() };
        let pods = self.pods(pod);
        let patched = self.bounded(pods.patch_status(&pod.name, &parameters, &Patch::Strategic(patch))).await;
        match patched {
            Ok(_) => {}
            Err(RequestError::Refused(kube::Error::Api(status))) if status.code == 404 => return Ok(()),
            Err(error) => return Err(error),
        }
        self.record(pod, EventKind::FailedScheduling, message.to_owned()).await;
        Ok(())
    }

    /// Writes an Event about the pod. Events are best effort: the pod's own condition holds the truth.
    async fn record(&self, pod: &PodKey, kind: EventKind, message: String) {
        let (type_, reason, action) = match kind {
            EventKind::Scheduled => ("Normal", "Scheduled", "Binding"),
            EventKind::FailedScheduling => ("Warning", "FailedScheduling", "Scheduling"),
        };
        let now = Timestamp::now();
        let event = api::Event {
            metadata: ObjectMeta {
                namespace: Some(pod.namespace.to_string()),
                name: Some(format!("{}.{:x}", pod.name, now.as_nanosecond())),
                ..ObjectMeta::default()
            },
            involved_object: api::ObjectReference {
                api_version: Some("v1".to_owned()),
                kind: Some("Pod".to_owned()),
                namespace: Some(pod.namespace.to_string()),
                name: Some(pod.name.to_string()),
                uid: Some(pod.uid.to_string()),
                ..api::ObjectReference::default()
            },
            type_: Some(type_.to_owned()),
            reason: Some(reason.to_owned()),
            action: Some(action.to_owned()),
            message: Some(message),
            count: Some(1),
            event_time: Some(MicroTime(now)),
            first_timestamp: Some(Time(now)),
            last_timestamp: Some(Time(now)),
            reporting_component: Some(self.component.clone()),
            reporting_instance: Some(self.component.clone()),
            source: Some(api::EventSource { component: Some(self.component.clone()), host: None }),
            ..api::Event::default()
        };
        let events = Api::<api::Event>::namespaced(self.client.clone(), &pod.namespace);
        if let Err(error) = self.bounded(events.create(&PostParams::default(), &event)).await {
            tracing::debug!(%pod, error = innermost(&error), "an event was refused");
        }
    }

    fn pods(&self, pod: &PodKey) -> Api<api::Pod> {
        Api::namespaced(self.client.clone(), &pod.namespace)
    }

    async fn bounded<T>(&self, request: impl Future<Output = kube::Result<T>>) -> Result<T, RequestError> {
        match tokio::time::timeout(self.timeout, request).await {
            Ok(answer) => answer.map_err(RequestError::Refused),
            Err(_) => Err(RequestError::TimedOut(self.timeout)),
        }
    }
}

fn innermost(error: &RequestError) -> String {
    match error {
        RequestError::Refused(kube::Error::Api(status)) => status.message.clone(),
        RequestError::Refused(error) => error.to_string(),
        RequestError::TimedOut(_) => error.to_string(),
    }
}
