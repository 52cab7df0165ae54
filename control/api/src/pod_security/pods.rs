//! Which pods are looked at: the templates of workloads, changes of pods, and the pods of a namespace whose level changes.

use std::collections::{BTreeMap, HashSet};

use serde_json::Value;

use super::LevelVersion;
use crate::go_text;
use crate::kinds::fields::Fields;
use crate::meta;

/// Of the pods of a namespace no more are looked at when its level changes.
const PODS_MAX: usize = 3000;

/// The pod template of a workload, a pod itself included, as the object that has its metadata and spec; `None` for
/// another kind, or a workload without a template.
#[must_use]
pub fn template<'a>(group: &str, plural: &str, object: &'a Value) -> Option<&'a Value> {
    let path: &[&str] = match (group, plural) {
        ("", "pods") => &[],
        ("", "podtemplates") => &["template"],
        ("", "replicationcontrollers")
        | ("apps", "replicasets" | "deployments" | "statefulsets" | "daemonsets")
        | ("batch", "jobs") => &["spec", "template"],
        ("batch", "cronjobs") => &["spec", "jobTemplate", "spec", "template"],
        _ => return None,
    };
    object.at(path)
}

/// Whether an update of a pod changes something that the standards are about.
#[must_use]
pub fn changes_matter(new: &Value, old: &Value) -> bool {
    let lists = |pod: &'_ Value, name: &str| -> Vec<(String, String)> {
        let containers = pod.child("spec").map(|spec| spec.list(name)).unwrap_or_default();
        let entries = containers.iter().map(|one| (one.text("name").to_owned(), one.text("image").to_owned()));
        entries.collect()
    };
    let images =
        |pod: &Value, name: &str| -> Vec<String> { lists(pod, name).into_iter().map(|(_, image)| image).collect() };
    if ["containers", "initContainers"].iter().any(|name| images(new, name) != images(old, name)) {
        return true;
    }
    let known = lists(old, "ephemeralContainers");
    lists(new, "ephemeralContainers").iter().any(|container| !known.contains(container))
}

/// What somebody who sets this level on a namespace is told of the pods that are there, given in the order of their names.
#[must_use]
pub fn warnings_for_pods(namespace: &str, level: LevelVersion, pods: &[Value]) -> Vec<String> {
    // Pods of one controller are alike: one of each comes before the others.
    let mut controllers = HashSet::new();
    let (first, others): (Vec<&Value>, Vec<&Value>) = pods.iter().partition(|pod| {
        meta::controller_reference(pod).is_none_or(|controller| controllers.insert(controller.text("uid").to_owned()))
    });
    let mut found: BTreeMap<String, (&str, usize)> = BTreeMap::new();
    let null = Value::Null;
    for pod in first.into_iter().chain(others).take(PODS_MAX) {
        let (metadata, spec) = (pod.child("metadata").unwrap_or(&null), pod.child("spec").unwrap_or(&null));
        let verdict = level.judge(metadata, spec);
        if !verdict.is_allowed() {
            let entry = found.entry(verdict.reasons()).or_insert((meta::name(pod), 0));
            entry.0 = entry.0.min(meta::name(pod));
            entry.1 += 1;
        }
    }
    let mut warnings = Vec::new();
    if pods.len() > PODS_MAX {
        warnings.push(format!(
            "new PodSecurity enforce level only checked against the first {PODS_MAX} of {} existing pods",
            pods.len()
        ));
    }
    if !found.is_empty() {
        let (namespace, level) = (go_text::quote(namespace), go_text::quote(&level.to_string()));
        warnings
            .push(format!("existing pods in namespace {namespace} violate the new PodSecurity enforce level {level}"));
    }
    let mut of_pods: Vec<String> = found
        .into_iter()
        .map(|(reasons, (pod, count))| match count {
            1 => format!("{pod}: {reasons}"),
            2 => format!("{pod} (and 1 other pod): {reasons}"),
            more => format!("{pod} (and {} other pods): {reasons}", more - 1),
        })
        .collect();
    of_pods.sort();
    warnings.extend(of_pods);
    warnings
}
