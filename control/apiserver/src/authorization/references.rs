//! What a pod names of other objects in its namespace.

use serde_json::Value;

/// The kinds of containers of a pod.
const CONTAINERS: &[&str] = &["initContainers", "containers", "ephemeralContainers"];
/// Volumes whose secret is named by a reference: the volume's sort, and where the reference is.
const VOLUME_SECRETS: &[(&str, &str)] = &[
    ("secret", "/secretName"),
    ("azureFile", "/secretName"),
    ("cephfs", "/secretRef/name"),
    ("cinder", "/secretRef/name"),
    ("flexVolume", "/secretRef/name"),
    ("iscsi", "/secretRef/name"),
    ("rbd", "/secretRef/name"),
    ("scaleIO", "/secretRef/name"),
    ("storageos", "/secretRef/name"),
    ("csi", "/nodePublishSecretRef/name"),
];

/// Each object that the pod of this `spec` names: the plural of its kind, and its name. Some may come twice.
pub(crate) fn pod_references(spec: &Value) -> impl Iterator<Item = (&'static str, &str)> {
    let pulls = list(spec, "imagePullSecrets").map(|secret| ("secrets", text(secret, "/name")));
    let volumes = list(spec, "volumes").flat_map(volume_references);
    let containers = CONTAINERS.iter().flat_map(|field| list(spec, field)).flat_map(container_references);
    pulls.chain(volumes).chain(containers).filter(|(_, name)| !name.is_empty())
}

fn list<'a>(value: &'a Value, name: &str) -> impl Iterator<Item = &'a Value> + use<'a> {
    value.get(name).and_then(Value::as_array).into_iter().flatten()
}

fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

fn volume_references(volume: &Value) -> Vec<(&'static str, &str)> {
    let mut references: Vec<(&'static str, &str)> = VOLUME_SECRETS
        .iter()
        .filter_map(|(sort, pointer)| Some(("secrets", text(volume.get(sort)?, pointer))))
        .collect();
    references.push(("configmaps", text(volume, "/configMap/name")));
    references.push(("persistentvolumeclaims", text(volume, "/persistentVolumeClaim/claimName")));
    for source in volume.get("projected").into_iter().flat_map(|projected| list(projected, "sources")) {
        references.push(("secrets", text(source, "/secret/name")));
        references.push(("configmaps", text(source, "/configMap/name")));
    }
    references
}

fn container_references(container: &Value) -> Vec<(&'static str, &str)> {
    let mut references = Vec::new();
    for variable in list(container, "env") {
        references.push(("secrets", text(variable, "/valueFrom/secretKeyRef/name")));
        references.push(("configmaps", text(variable, "/valueFrom/configMapKeyRef/name")));
    }
    for source in list(container, "envFrom") {
        references.push(("secrets", text(source, "/secretRef/name")));
        references.push(("configmaps", text(source, "/configMapRef/name")));
    }
    references
}
