//! Requests to the API server, each with a time limit.

use std::fmt::Debug;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1 as api;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta, Time};
use kube::api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions, PropagationPolicy};
use kube::{Api, Client};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::meta::Meta;

/// Who writes, in `managedFields` and Events.
pub(crate) const FIELD_MANAGER: &str = "kube-controller-manager";

/// Why a request had no effect, as far as we know.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RequestError {
    #[error("the API server did not answer within {0:?}")]
    TimedOut(Duration),
    #[error("the API server refused")]
    Refused(#[source] kube::Error),
}

impl RequestError {
    /// What the API server said, for the log.
    pub(crate) fn cause(&self) -> String {
        match self {
            Self::Refused(kube::Error::Api(status)) => status.message.clone(),
            Self::Refused(error) => error.to_string(),
            Self::TimedOut(_) => String::new(),
        }
    }

    fn code(&self) -> Option<u16> {
        match self {
            Self::Refused(kube::Error::Api(status)) => Some(status.code),
            _ => None,
        }
    }

    fn reason(&self) -> &str {
        match self {
            Self::Refused(kube::Error::Api(status)) => &status.reason,
            _ => "",
        }
    }

    /// Whether the object is not there.
    pub(crate) fn is_not_found(&self) -> bool {
        self.code() == Some(404)
    }

    /// Whether discovery does not know the kind that was asked for.
    pub(crate) fn is_discovery_miss(&self) -> bool {
        matches!(self, Self::Refused(kube::Error::Discovery(_)))
    }

    /// Whether the object is there already.
    pub(crate) fn is_already_exists(&self) -> bool {
        self.reason() == "AlreadyExists"
    }

    /// Whether the object is not the one, or not in the version, that the request was made for.
    pub(crate) fn is_conflict(&self) -> bool {
        self.code() == Some(409)
    }

    /// Whether the request was refused because its namespace is on its way out.
    pub(crate) fn is_namespace_terminating(&self) -> bool {
        self.code() == Some(403) && self.cause().contains("because it is being terminated")
    }
}

/// Sends requests through one client.
#[derive(Clone)]
pub(crate) struct Requests {
    client: Client,
    timeout: Duration,
}

impl Requests {
    pub(crate) fn new(client: Client, timeout: Duration) -> Self {
        Self { client, timeout }
    }

    pub(crate) fn client(&self) -> Client {
        self.client.clone()
    }

    /// Waits for the answer no longer than the configured time.
    pub(crate) async fn bounded<T>(&self, request: impl Future<Output = kube::Result<T>>) -> Result<T, RequestError> {
        match tokio::time::timeout(self.timeout, request).await {
            Ok(answer) => answer.map_err(RequestError::Refused),
            Err(_) => Err(RequestError::TimedOut(self.timeout)),
        }
    }

    /// Deletes the very object that `meta` names; that it is gone or another already is fine.
    pub(crate) async fn delete<K>(&self, objects: &Api<K>, meta: &Meta, how: Deletion) -> Result<(), RequestError>
    where
        K: Clone + DeserializeOwned + Debug,
    {
        let parameters = DeleteParams {
            grace_period_seconds: how.grace_period_seconds,
            propagation_policy: how.propagation,
            preconditions: Some(Preconditions { uid: Some(meta.uid.to_string()), resource_version: None }),
            ..DeleteParams::default()
        };
        match self.bounded(objects.delete(&meta.key.name, &parameters)).await {
            Ok(_) => Ok(()),
            Err(error) if error.is_not_found() || error.is_conflict() => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Changes the status by a strategic merge patch; that the object is gone is fine.
    pub(crate) async fn patch_status<K>(&self, objects: &Api<K>, name: &str, patch: Value) -> Result<(), RequestError>
    where
        K: Clone + DeserializeOwned + Debug,
    {
        let patched = self.bounded(objects.patch_status(name, &patching(), &Patch::Strategic(patch))).await;
        patched.map(drop).or_else(|error| if error.is_not_found() { Ok(()) } else { Err(error) })
    }

    /// Changes the object by a JSON merge patch; that the object is gone is fine.
    pub(crate) async fn patch<K>(&self, objects: &Api<K>, name: &str, patch: Value) -> Result<(), RequestError>
    where
        K: Clone + DeserializeOwned + Debug,
    {
        let patched = self.bounded(objects.patch(name, &patching(), &Patch::Merge(patch))).await;
        patched.map(drop).or_else(|error| if error.is_not_found() { Ok(()) } else { Err(error) })
    }

    /// Changes metadata of the very object that `meta` names, in the version that was read just before. `change` is given the
    /// finalizers of now.
    pub(crate) async fn rewrite<K>(
        &self,
        objects: &Api<K>,
        meta: &Meta,
        change: impl FnOnce(Vec<String>) -> Value,
    ) -> Result<(), RequestError>
    where
        K: Clone + DeserializeOwned + Debug,
    {
        let Some(now) = self.bounded(objects.get_metadata_opt(&meta.key.name)).await? else { return Ok(()) };
        if now.metadata.uid.as_deref() != Some(&*meta.uid) {
            return Ok(());
        }
        let mut metadata = change(now.metadata.finalizers.unwrap_or_default());
        metadata["resourceVersion"] = json!(now.metadata.resource_version);
        self.patch(objects, &meta.key.name, json!({"metadata": metadata})).await
    }

    /// Creates the object; that it is there already, or that its namespace is going, is fine.
    pub(crate) async fn create<K>(&self, objects: &Api<K>, object: &K) -> Result<(), RequestError>
    where
        K: Clone + DeserializeOwned + Debug + serde::Serialize,
    {
        let parameters = PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() };
        match self.bounded(objects.create(&parameters, object)).await {
            Ok(_) => Ok(()),
            Err(error) if error.is_already_exists() || error.is_namespace_terminating() || error.is_not_found() => {
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// Writes an Event about an object, and returns its name. Events are best effort.
    pub(crate) async fn record(&self, about: api::ObjectReference, component: &str, note: Note<'_>) -> Option<String> {
        // Events about cluster-wide objects live in `default`, as upstream's do.
        let namespace = about.namespace.clone().unwrap_or_else(|| "default".to_owned());
        let now = Timestamp::now();
        let event = api::Event {
            metadata: ObjectMeta {
                name: Some(format!("{}.{:x}", about.name.as_deref().unwrap_or_default(), now.as_nanosecond())),
                namespace: Some(namespace.clone()),
                ..ObjectMeta::default()
            },
            involved_object: about,
            type_: Some(note.kind.to_owned()),
            reason: Some(note.reason.to_owned()),
            action: Some(note.reason.to_owned()),
            message: Some(note.message),
            count: Some(1),
            event_time: Some(MicroTime(now)),
            first_timestamp: Some(Time(now)),
            last_timestamp: Some(Time(now)),
            reporting_component: Some(component.to_owned()),
            reporting_instance: Some(component.to_owned()),
            source: Some(api::EventSource { component: Some(component.to_owned()), host: None }),
            ..api::Event::default()
        };
        let events = Api::<api::Event>::namespaced(self.client(), &namespace);
        match self.bounded(events.create(&PostParams::default(), &event)).await {
            Ok(event) => event.metadata.name,
            Err(error) => {
                tracing::debug!(%error, cause = error.cause(), "an event was refused");
                None
            }
        }
    }
}

/// How an object is to be deleted.
#[derive(Clone, Debug, Default)]
pub(crate) struct Deletion {
    pub(crate) grace_period_seconds: Option<u32>,
    pub(crate) propagation: Option<PropagationPolicy>,
}

/// What an Event says.
#[derive(Debug)]
pub(crate) struct Note<'a> {
    /// Normal or Warning.
    pub(crate) kind: &'a str,
    pub(crate) reason: &'a str,
    pub(crate) message: String,
}

/// What [`Requests::rewrite`] does to take one finalizer away.
pub(crate) fn without_finalizer(finalizer: &str) -> impl FnOnce(Vec<String>) -> Value {
    move |finalizers| {
        let kept: Vec<_> = finalizers.into_iter().filter(|listed| listed != finalizer).collect();
        json!({"finalizers": kept})
    }
}

fn patching() -> PatchParams {
    PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() }
}
