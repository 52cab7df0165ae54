//! Events about objects, written beside the work that they tell of.
//!
//! An Event is best effort: it waits in a bounded queue, and is dropped when that is full. One that was told before is counted up
//! instead of written again.

use std::collections::HashMap;

use jiff::Timestamp;
use k8s_openapi::api::core::v1 as api;
use kube::Api;
use serde_json::json;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use crate::observed::{Whole, WholeKind};
use crate::requests::{Note, Requests};

/// Events that wait to be written.
const QUEUE_LENGTH: usize = 1024;
/// Events that are remembered, so that a repetition is counted up.
const REMEMBERED_MAX: usize = 4096;

/// Where Events are handed in.
#[derive(Clone)]
pub(crate) struct Events(mpsc::Sender<Told>);

/// One Event to write.
#[derive(Debug)]
struct Told {
    about: api::ObjectReference,
    component: &'static str,
    kind: &'static str,
    reason: &'static str,
    message: String,
}

type Identity = (Option<String>, &'static str, String);

impl Events {
    /// Starts the writer.
    pub(crate) fn start(requests: &Requests, tasks: &mut JoinSet<()>, stopped: &watch::Receiver<bool>) -> Self {
        let (sender, receiver) = mpsc::channel(QUEUE_LENGTH);
        tasks.spawn(write(requests.clone(), receiver, stopped.clone()));
        Self(sender)
    }

    /// Tells of something normal.
    pub(crate) fn normal<K: WholeKind>(
        &self,
        about: &Whole<K>,
        component: &'static str,
        reason: &'static str,
        message: String,
    ) {
        self.tell(Told { about: reference(about), component, kind: "Normal", reason, message });
    }

    /// Tells of something that should not be.
    pub(crate) fn warning<K: WholeKind>(
        &self,
        about: &Whole<K>,
        component: &'static str,
        reason: &'static str,
        message: String,
    ) {
        self.tell(Told { about: reference(about), component, kind: "Warning", reason, message });
    }

    /// Tells of something normal about a pod.
    pub(crate) fn about_pod(
        &self,
        pod: &crate::observed::Pod,
        component: &'static str,
        reason: &'static str,
        message: String,
    ) {
        let about = api::ObjectReference {
            api_version: Some("v1".to_owned()),
            kind: Some("Pod".to_owned()),
            namespace: Some(pod.meta.key.namespace.to_string()),
            name: Some(pod.meta.key.name.to_string()),
            uid: Some(pod.meta.uid.to_string()),
            ..api::ObjectReference::default()
        };
        self.tell(Told { about, component, kind: "Normal", reason, message });
    }

    fn tell(&self, told: Told) {
        if let Err(error) = self.0.try_send(told) {
            tracing::debug!(%error, "an event is dropped");
        }
    }
}

fn reference<K: WholeKind>(object: &Whole<K>) -> api::ObjectReference {
    api::ObjectReference {
        api_version: Some(K::API_VERSION.to_owned()),
        kind: Some(K::KIND.to_owned()),
        namespace: Some(object.namespace().to_owned()).filter(|namespace| !namespace.is_empty()),
        name: Some(object.name().to_owned()),
        uid: Some(object.meta.uid.to_string()),
        resource_version: object.metadata().resource_version.clone(),
        field_path: None,
    }
}

async fn write(requests: Requests, mut told: mpsc::Receiver<Told>, mut stopped: watch::Receiver<bool>) {
    let mut known: HashMap<Identity, (String, i32)> = HashMap::new();
    loop {
        // Both arms are cancel-safe.
        let event = tokio::select! {
            _ = stopped.wait_for(|stopped| *stopped) => return,
            event = told.recv() => match event {
                Some(event) => event,
                None => return,
            },
        };
        let identity = (event.about.uid.clone(), event.reason, event.message.clone());
        if let Some((name, count)) = known.get_mut(&identity) {
            *count = count.saturating_add(1);
            let namespace = event.about.namespace.as_deref().unwrap_or("default");
            let events: Api<api::Event> = Api::namespaced(requests.client(), namespace);
            let patch = json!({"count": count, "lastTimestamp": k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(Timestamp::now())});
            if requests.patch(&events, name, patch).await.is_ok() {
                continue;
            }
        }
        if known.len() >= REMEMBERED_MAX {
            known.clear();
        }
        let note = Note { kind: event.kind, reason: event.reason, message: event.message };
        if let Some(name) = requests.record(event.about, event.component, note).await {
            known.insert(identity, (name, 1));
        }
    }
}
