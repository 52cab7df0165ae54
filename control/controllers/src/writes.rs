//! Writes of the workload controllers. What the API server answers is taken into the caches at once, so that a controller reads its own
//! writes.

use k8s_openapi::api::core::v1 as api;
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions};
use kube::core::DynamicObject;
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::Context;
use crate::informer::revision_of;
use crate::meta::Meta;
use crate::observed::{Pod, Whole, WholeKind, resource_of};
use crate::requests::{Deletion, FIELD_MANAGER, RequestError};

/// Which part of an object a write is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Object,
    Status,
}

impl Context {
    fn objects<K: WholeKind>(&self, namespace: &str) -> Api<DynamicObject> {
        match namespace {
            "" => Api::all_with(self.requests.client(), &resource_of::<K>()),
            namespace => Api::namespaced_with(self.requests.client(), namespace, &resource_of::<K>()),
        }
    }

    fn pods(&self, namespace: &str) -> Api<api::Pod> {
        Api::namespaced(self.requests.client(), namespace)
    }

    fn take_in<K: WholeKind>(&self, answer: &DynamicObject) -> Option<Whole<K>> {
        let object: K = serde_json::to_value(answer).ok().and_then(|value| serde_json::from_value(value).ok())?;
        let whole = Whole::new(object);
        K::cache(&self.observed).observe(whole.clone(), revision_of(answer));
        Some(whole)
    }

    /// Asks the API server, past the cache.
    pub(crate) async fn get<K: WholeKind>(&self, meta: &Meta) -> Result<Option<K>, RequestError> {
        let found = self.requests.bounded(self.objects::<K>(&meta.key.namespace).get_opt(&meta.key.name)).await?;
        Ok(found.and_then(|found| serde_json::from_value(serde_json::to_value(found).ok()?).ok()))
    }

    /// Creates the object in its namespace.
    pub(crate) async fn create<K: WholeKind>(&self, object: &K) -> Result<Option<Whole<K>>, RequestError> {
        let namespace = k8s_openapi::Metadata::metadata(object).namespace.clone().unwrap_or_default();
        let object: DynamicObject = match serde_json::to_value(object).and_then(serde_json::from_value) {
            Ok(object) => object,
            Err(error) => return Err(RequestError::Refused(kube::Error::SerdeError(error))),
        };
        let created = self.requests.bounded(self.objects::<K>(&namespace).create(&posting(), &object)).await?;
        Ok(self.take_in(&created))
    }

    /// Changes an object by a JSON merge patch, in the version that the patch names, if it names one. That the object is gone, or
    /// another of its name is there, is fine; a later version is a conflict.
    pub(crate) async fn patch<K: WholeKind>(
        &self,
        object: &Whole<K>,
        part: Part,
        patch: Value,
    ) -> Result<Option<Whole<K>>, RequestError> {
        self.patch_with(object, part, &Patch::Merge(identified(&object.meta, patch))).await
    }

    /// Changes an object by a strategic merge patch.
    pub(crate) async fn patch_lists<K: WholeKind>(
        &self,
        object: &Whole<K>,
        patch: Value,
    ) -> Result<Option<Whole<K>>, RequestError> {
        self.patch_with(object, Part::Object, &Patch::Strategic(identified(&object.meta, patch))).await
    }

    async fn patch_with<K: WholeKind>(
        &self,
        object: &Whole<K>,
        part: Part,
        patch: &Patch<Value>,
    ) -> Result<Option<Whole<K>>, RequestError> {
        let (objects, name) = (self.objects::<K>(object.namespace()), object.name());
        let parameters = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
        let patched = match part {
            Part::Object => self.requests.bounded(objects.patch(name, &parameters, patch)).await,
            Part::Status => self.requests.bounded(objects.patch_status(name, &parameters, patch)).await,
        };
        match patched {
            Ok(answer) => Ok(self.take_in(&answer)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Makes the status `new`, if it is not. `old` is what was read.
    pub(crate) async fn write_status<K: WholeKind>(
        &self,
        object: &Whole<K>,
        old: &impl Serialize,
        new: &impl Serialize,
    ) -> Result<(), RequestError> {
        match difference(&json!(old), &json!(new)) {
            None => Ok(()),
            Some(difference) => self.patch(object, Part::Status, json!({"status": difference})).await.map(drop),
        }
    }

    /// Deletes the very object; that it is gone or another already is fine.
    pub(crate) async fn delete<K: WholeKind>(&self, object: &Whole<K>, how: Deletion) -> Result<(), RequestError> {
        self.requests.delete(&self.objects::<K>(object.namespace()), &object.meta, how).await?;
        K::cache(&self.observed).observe_deletion(&object.meta);
        Ok(())
    }

    pub(crate) async fn create_pod(&self, pod: &api::Pod) -> Result<Pod, RequestError> {
        let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
        let created = self.requests.bounded(self.pods(namespace).create(&posting(), pod)).await?;
        let kept = Pod::from_api(&created);
        self.observed.pods.observe(kept.clone(), revision_of(&created));
        Ok(kept)
    }

    /// Deletes the very pod. Says whether it was there.
    pub(crate) async fn delete_pod(&self, pod: &Pod) -> Result<bool, RequestError> {
        let parameters = DeleteParams {
            preconditions: Some(Preconditions { uid: Some(pod.meta.uid.to_string()), resource_version: None }),
            ..DeleteParams::default()
        };
        let deleted =
            self.requests.bounded(self.pods(&pod.meta.key.namespace).delete(&pod.meta.key.name, &parameters)).await;
        match deleted {
            Ok(_) => {
                self.observed.pods.observe_deletion(&pod.meta);
                Ok(true)
            }
            Err(error) if error.is_not_found() || error.is_conflict() => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Changes a pod by a strategic merge patch; that it is gone or another already is fine.
    pub(crate) async fn patch_pod(&self, pod: &Pod, part: Part, patch: Value) -> Result<Option<Pod>, RequestError> {
        let patch = Patch::Strategic(identified(&pod.meta, patch));
        let (pods, name) = (self.pods(&pod.meta.key.namespace), &*pod.meta.key.name);
        let parameters = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
        let patched = match part {
            Part::Object => self.requests.bounded(pods.patch(name, &parameters, &patch)).await,
            Part::Status => self.requests.bounded(pods.patch_status(name, &parameters, &patch)).await,
        };
        match patched {
            Ok(patched) => {
                let kept = Pod::from_api(&patched);
                self.observed.pods.observe(kept.clone(), revision_of(&patched));
                Ok(Some(kept))
            }
            Err(error) if error.is_not_found() || error.is_conflict() => Ok(None),
            Err(error) => Err(error),
        }
    }
}

fn posting() -> PostParams {
    PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() }
}

/// The uid makes the server refuse the patch if another object has taken the name.
fn identified(meta: &Meta, mut patch: Value) -> Value {
    patch["metadata"]["uid"] = json!(&*meta.uid);
    patch
}

/// The JSON merge patch that makes `old` into `new`; none if they are the same. Fields that are null count as absent.
pub(crate) fn difference(old: &Value, new: &Value) -> Option<Value> {
    let empty = Map::new();
    let (old_fields, Value::Object(new_fields)) = (old.as_object().unwrap_or(&empty), new) else {
        return (old != new).then(|| new.clone());
    };
    let mut changed = Map::new();
    for (name, value) in new_fields.iter().filter(|(_, value)| !value.is_null()) {
        let known = old_fields.get(name).unwrap_or(&Value::Null);
        if let Some(difference) = difference(known, value) {
            changed.insert(name.clone(), difference);
        } else if known.is_null() {
            changed.insert(name.clone(), value.clone());
        }
    }
    let there = |name: &String| new_fields.get(name).is_some_and(|value| !value.is_null());
    for (name, _) in old_fields.iter().filter(|(name, value)| !value.is_null() && !there(name)) {
        changed.insert(name.clone(), Value::Null);
    }
    (!changed.is_empty()).then_some(Value::Object(changed))
}

/// What an object's owner reference looks like in a patch that adds it.
pub(crate) fn adoption<K: WholeKind>(owner: &Whole<K>) -> Value {
    json!({"metadata": {"ownerReferences": [owner.controller_reference()]}})
}

/// The patch that takes an owner reference away.
pub(crate) fn release(uid: &str) -> Value {
    json!({"metadata": {"ownerReferences": [{"$patch": "delete", "uid": uid}]}})
}

#[cfg(test)]
mod tests;
