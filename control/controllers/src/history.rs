//! Templates of the past, kept as ControllerRevisions, so that a set can go back to one.

use std::sync::Arc;

use k8s_openapi::api::apps::v1::ControllerRevision;
use k8s_openapi::api::core::v1::PodTemplateSpec;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::apimachinery::pkg::runtime::RawExtension;
use serde_json::{Value, json};

use crate::Context;
use crate::hash;
use crate::observed::{Whole, WholeKind};
use crate::requests::{Deletion, RequestError};
use crate::writes::Part;

pub(crate) type Revision = Arc<Whole<ControllerRevision>>;

/// The label of revisions, and of the pods of a DaemonSet.
pub(crate) const HASH_LABEL: &str = "controller-revision-hash";
/// The label by which the revisions of a StatefulSet carry their hash.
pub(crate) const REVISION_HASH_LABEL: &str = "controller.kubernetes.io/hash";

/// What to do so that the history knows a template.
#[derive(Debug)]
enum Step {
    /// It is the newest already.
    Known(Revision),
    /// It is known and becomes the newest again, with this number.
    Renumber(Revision, i64),
    Create(i64),
}

/// What a revision holds: a patch that brings the template back.
pub(crate) fn data_of(template: &PodTemplateSpec) -> Value {
    let mut template = json!(template);
    template["$patch"] = json!("replace");
    json!({"spec": {"template": template}})
}

/// The template that a revision holds.
pub(crate) fn template_of(revision: &ControllerRevision) -> Option<PodTemplateSpec> {
    let mut template = revision.data.as_ref()?.0.get("spec")?.get("template")?.clone();
    template.as_object_mut()?.remove("$patch");
    serde_json::from_value(template).ok()
}

fn plan(known: &[Revision], data: &Value) -> Step {
    let newest = known.iter().map(|revision| revision.revision).max().unwrap_or(0);
    let same = known.iter().filter(|revision| revision.data.as_ref().is_some_and(|known| known.0 == *data));
    match same.max_by_key(|revision| revision.revision) {
        Some(revision) if revision.revision == newest => Step::Known(revision.clone()),
        Some(revision) => Step::Renumber(revision.clone(), newest + 1),
        None => Step::Create(newest + 1),
    }
}

/// The revisions that may go: those that nobody uses, the oldest first, as many as are beyond `limit`.
pub(crate) fn surplus(
    known: &[Revision],
    limit: i32,
    used: impl Fn(&Whole<ControllerRevision>) -> bool,
) -> Vec<Revision> {
    let mut idle: Vec<Revision> = known.iter().filter(|revision| !used(revision)).cloned().collect();
    idle.sort_by_key(|revision| (revision.revision, revision.meta.key.clone()));
    idle.truncate(idle.len().saturating_sub(usize::try_from(limit).unwrap_or(0)));
    idle
}

impl Context {
    /// The revision of `template`, made if there is none. `hash_label` is the label that carries its hash.
    pub(crate) async fn revision_of<K: WholeKind>(
        &self,
        owner: &Whole<K>,
        template: &PodTemplateSpec,
        known: &[Revision],
        hash_label: &str,
    ) -> Result<Revision, RequestError> {
        let data = data_of(template);
        match plan(known, &data) {
            Step::Known(revision) => Ok(revision),
            Step::Renumber(revision, number) => {
                let patched = self.patch(&revision, Part::Object, json!({"revision": number})).await?;
                Ok(patched.map_or(revision, Arc::new))
            }
            Step::Create(number) => {
                let hash = hash::encode(data.to_string().as_bytes());
                let labels = template.metadata.as_ref().and_then(|metadata| metadata.labels.clone());
                let mut labels = labels.unwrap_or_default();
                labels.insert(hash_label.to_owned(), hash.clone());
                let revision = ControllerRevision {
                    metadata: ObjectMeta {
                        name: Some(format!("{}-{hash}", owner.name())),
                        namespace: Some(owner.namespace().to_owned()),
                        labels: Some(labels),
                        annotations: owner.metadata().annotations.clone().map(handed_down),
                        owner_references: Some(vec![owner.controller_reference()]),
                        ..ObjectMeta::default()
                    },
                    data: Some(RawExtension(data)),
                    revision: number,
                };
                let created = self.create(&revision).await?;
                Ok(Arc::new(created.unwrap_or_else(|| Whole::new(revision))))
            }
        }
    }

    pub(crate) async fn forget_revisions(&self, surplus: Vec<Revision>) -> Result<(), RequestError> {
        for revision in surplus {
            self.delete(&revision, Deletion::default()).await?;
        }
        Ok(())
    }
}

/// What kubectl wrote to compare with later is no part of a revision.
fn handed_down(
    mut annotations: std::collections::BTreeMap<String, String>,
) -> std::collections::BTreeMap<String, String> {
    annotations.remove("kubectl.kubernetes.io/last-applied-configuration");
    annotations
}

#[cfg(test)]
mod tests;
