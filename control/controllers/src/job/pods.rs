//! The pods of a Job.

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{self as api, Container, EnvVar, EnvVarSource, ObjectFieldSelector};

use crate::observed::{JOB_FINALIZER, Whole};
use crate::workload;

const INDEX: &str = "batch.kubernetes.io/job-completion-index";
/// How often pods of the index failed before this one.
const INDEX_FAILURES: &str = "batch.kubernetes.io/job-index-failure-count";
const INDEX_VARIABLE: &str = "JOB_COMPLETION_INDEX";

/// A pod to make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct New {
    pub(super) index: Option<u32>,
    /// Written where failures are counted for each index.
    pub(super) index_failures: Option<u32>,
}

pub(super) fn pod(job: &Whole<Job>, new: &New) -> Option<api::Pod> {
    let template = &job.spec.as_ref()?.template;
    let mut pod = workload::pod_of_template(job, template);
    pod.metadata.finalizers.get_or_insert_default().push(JOB_FINALIZER.to_owned());
    pod.metadata.generate_name = Some(workload::generate_name(job.name()));
    if let Some(index) = new.index {
        let number = index.to_string();
        pod.metadata.generate_name = Some(workload::generate_name(&format!("{}-{number}", job.name())));
        pod.metadata.labels.get_or_insert_default().insert(INDEX.to_owned(), number.clone());
        let annotations = pod.metadata.annotations.get_or_insert_default();
        annotations.insert(INDEX.to_owned(), number.clone());
        if let Some(failures) = new.index_failures {
            annotations.insert(INDEX_FAILURES.to_owned(), failures.to_string());
        }
        let spec = pod.spec.get_or_insert_default();
        spec.hostname = Some(format!("{}-{number}", job.name()));
        let containers = spec.init_containers.iter_mut().flatten().chain(&mut spec.containers);
        containers.for_each(name_index);
    }
    Some(pod)
}

/// Tells the container its index.
fn name_index(container: &mut Container) {
    let environment = container.env.get_or_insert_default();
    if environment.iter().any(|variable| variable.name == INDEX_VARIABLE) {
        return;
    }
    let field_path = format!("metadata.annotations['{INDEX}']");
    let field_ref = ObjectFieldSelector { api_version: None, field_path };
    let value_from = EnvVarSource { field_ref: Some(field_ref), ..EnvVarSource::default() };
    environment.push(EnvVar { name: INDEX_VARIABLE.to_owned(), value: None, value_from: Some(value_from) });
}
