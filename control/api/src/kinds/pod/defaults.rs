//! What upstream fills in where a client says nothing.
//!
//! Priority, tolerations, the service account's name and its token volume come from admission, not from here.

use serde_json::{Map, Value, json};

use crate::kinds::fields::{self, Fields, items_mut};
use crate::kinds::validation::resources;

/// Permissions of files in volumes made from config maps, secrets and the like: 0644.
const FILE_MODE: i64 = 420;
/// Seconds for which a projected token is valid.
const TOKEN_SECONDS: i64 = 3600;

const CONTAINER_LISTS: &[&str] = &["initContainers", "containers", "ephemeralContainers"];

/// A whole pod: the spec as in a template, and what only a pod gets.
pub(crate) fn pod(object: &mut Value) {
    if let Some(status) = fields::object_mut(object, "status") {
        join_pod_addresses(status);
    }
    let Some(spec) = fields::object_mut(object, "spec") else { return };
    self::spec(spec);
    for list in ["initContainers", "containers"] {
        for container in items_mut(spec, list) {
            requests_from_limits(container);
        }
    }
    pod_level_requests(spec);
    fields::set_default(spec, "enableServiceLinks", true);
    if spec.is_true("hostNetwork") {
        for list in ["initContainers", "containers"] {
            items_mut(spec, list).iter_mut().for_each(host_ports);
        }
    }
}

/// `podIP` is the first of `podIPs`, whichever of the two a host reports.
fn join_pod_addresses(status: &mut Value) {
    let single = status.text("podIP").to_owned();
    let first = status.list("podIPs").first().map(|first| first.text("ip").to_owned());
    match first {
        _ if !single.is_empty() && first.as_deref() != Some(single.as_str()) => {
            fields::set(status, "podIPs", json!([{ "ip": single }]));
        }
        Some(first) => fields::set(status, "podIP", first),
        None => {}
    }
}

/// The spec of a pod or of a pod template.
pub(crate) fn spec(spec: &mut Value) {
    for (field, value) in
        [("dnsPolicy", "ClusterFirst"), ("restartPolicy", "Always"), ("schedulerName", "default-scheduler")]
    {
        fields::set_text_default(spec, field, value);
    }
    fields::object_mut(spec, "securityContext");
    fields::set_default(spec, "terminationGracePeriodSeconds", 30);
    service_account_names(spec);
    false_is_absent(spec, &["hostNetwork", "hostPID", "hostIPC"]);
    for list in CONTAINER_LISTS {
        items_mut(spec, list).iter_mut().for_each(container);
    }
    items_mut(spec, "volumes").iter_mut().for_each(volume);
    resources::round_up_to_milli(spec.get_mut("overhead"));
}

/// The old name of `serviceAccountName` always shows the same.
fn service_account_names(spec: &mut Value) {
    let name = match spec.text("serviceAccountName") {
        "" => spec.text("serviceAccount").to_owned(),
        name => name.to_owned(),
    };
    for field in ["serviceAccountName", "serviceAccount"] {
        if name.is_empty() {
            fields::remove(spec, field);
        } else {
            fields::set(spec, field, name.clone());
        }
    }
}

/// Flags that upstream does not write out when they are false.
fn false_is_absent(object: &mut Value, names: &[&str]) {
    for name in names {
        if object.flag(name) == Some(false) {
            fields::remove(object, name);
        }
    }
}

fn container(container: &mut Value) {
    let policy = if has_floating_tag(container.text("image")) { "Always" } else { "IfNotPresent" };
    fields::set_text_default(container, "imagePullPolicy", policy);
    fields::set_text_default(container, "terminationMessagePath", "/dev/termination-log");
    fields::set_text_default(container, "terminationMessagePolicy", "File");
    if let Some(requirements) = fields::object_mut(container, "resources") {
        for list in ["limits", "requests"] {
            resources::round_up_to_milli(requirements.get_mut(list));
        }
    }
    for port in items_mut(container, "ports") {
        fields::set_text_default(port, "protocol", "TCP");
    }
    for name in ["livenessProbe", "readinessProbe", "startupProbe"] {
        if let Some(probe) = container.get_mut(name) {
            self::probe(probe);
        }
    }
    if let Some(lifecycle) = container.get_mut("lifecycle") {
        for name in ["postStart", "preStop"] {
            if let Some(handler) = lifecycle.get_mut(name) {
                http_get(handler);
            }
        }
    }
    for variable in items_mut(container, "env") {
        if let Some(source) = variable.get_mut("valueFrom") {
            field_reference(source);
            resource_reference(source);
        }
    }
}

/// True for an image whose tag is `latest`, said or implied. A digest with no tag does not float.
///
/// Names that are paths (`file:///srv/app.wasm`) count as tagged: what is at the path is what runs.
fn has_floating_tag(image: &str) -> bool {
    if image.is_empty() || image.contains("://") {
        return image.is_empty();
    }
    let (name, digest) = match image.split_once('@') {
        Some((name, digest)) => (name, Some(digest)),
        None => (image, None),
    };
    let last = name.rsplit('/').next().unwrap_or(name);
    match last.split_once(':') {
        Some((_, tag)) => tag == "latest",
        None => digest.is_none(),
    }
}

fn probe(probe: &mut Value) {
    http_get(probe);
    if let Some(grpc) = probe.get_mut("grpc")
        && grpc.is_object()
    {
        fields::set_default(grpc, "service", "");
    }
    for (field, value) in
        [("timeoutSeconds", 1), ("periodSeconds", 10), ("successThreshold", 1), ("failureThreshold", 3)]
    {
        if probe.is_object() && probe.int(field).unwrap_or(0) == 0 {
            fields::set(probe, field, value);
        }
    }
}

fn http_get(handler: &mut Value) {
    if let Some(action) = handler.get_mut("httpGet") {
        fields::set_text_default(action, "path", "/");
        fields::set_text_default(action, "scheme", "HTTP");
    }
}

/// A reference to a field of the pod names the version in which the field is meant.
fn field_reference(source: &mut Value) {
    if let Some(reference) = source.get_mut("fieldRef") {
        fields::set_text_default(reference, "apiVersion", "v1");
    }
}

fn resource_reference(source: &mut Value) {
    if let Some(reference) = source.get_mut("resourceFieldRef") {
        fields::set_default(reference, "divisor", "0");
    }
}

/// A limit without a request is a request as well.
fn requests_from_limits(container: &mut Value) {
    let Some(requirements) = container.get_mut("resources") else { return };
    let Some(limits) = requirements.map("limits").cloned() else { return };
    if limits.is_empty() {
        return;
    }
    if let Some(requests) = fields::object_mut(requirements, "requests").and_then(Value::as_object_mut) {
        for (name, amount) in limits {
            requests.entry(name).or_insert(amount);
        }
    }
}

/// Requests of the pod as a whole, where it has limits: the containers' sum where they ask, else the limit.
fn pod_level_requests(spec: &mut Value) {
    let Some(limits) = spec.child("resources").and_then(|resources| resources.map("limits")).cloned() else { return };
    if limits.is_empty() {
        return;
    }
    let asked = super::quality::requests_of_containers(spec);
    let Some(resources) = spec.get_mut("resources") else { return };
    let Some(requests) = fields::object_mut(resources, "requests").and_then(Value::as_object_mut) else { return };
    for (name, amount) in asked {
        if matches!(name.as_str(), "cpu" | "memory") {
            requests.entry(name).or_insert_with(|| Value::from(amount.to_string()));
        }
    }
    for (name, limit) in limits {
        requests.entry(name).or_insert(limit);
    }
}

/// On the host's network a port is the host's port.
fn host_ports(container: &mut Value) {
    for port in items_mut(container, "ports") {
        if port.int("hostPort").unwrap_or(0) == 0
            && let Some(number) = port.int("containerPort")
        {
            fields::set(port, "hostPort", number);
        }
    }
}

fn volume(volume: &mut Value) {
    let Some(map) = volume.as_object_mut() else { return };
    if !map.iter().any(|(field, source)| field != "name" && !source.is_null()) {
        map.insert("emptyDir".to_owned(), Value::Object(Map::new()));
    }
    for name in ["secret", "configMap", "downwardAPI", "projected"] {
        if let Some(source) = map.get_mut(name)
            && source.is_object()
        {
            fields::set_default(source, "defaultMode", FILE_MODE);
            downward_items(source);
        }
    }
    if let Some(source) = map.get_mut("projected") {
        items_mut(source, "sources").iter_mut().for_each(projection);
    }
    if let Some(path) = map.get_mut("hostPath") {
        fields::set_default(path, "type", "");
    }
    if let Some(claim) = map.get_mut("ephemeral").and_then(|source| source.get_mut("volumeClaimTemplate"))
        && let Some(claim_spec) = fields::object_mut(claim, "spec")
    {
        fields::set_text_default(claim_spec, "volumeMode", "Filesystem");
    }
    if let Some(image) = map.get_mut("image") {
        let policy = if has_floating_tag(image.text("reference")) { "Always" } else { "IfNotPresent" };
        fields::set_text_default(image, "pullPolicy", policy);
    }
    remote_disk(map);
}

/// Defaults of the sources that are disks somewhere else.
fn remote_disk(volume: &mut Map<String, Value>) {
    let defaults: [(&str, &[(&str, &str)]); 4] = [
        ("iscsi", &[("iscsiInterface", "default")]),
        ("rbd", &[("pool", "rbd"), ("user", "admin"), ("keyring", "/etc/ceph/keyring")]),
        ("azureDisk", &[("cachingMode", "ReadWrite"), ("fsType", "ext4"), ("kind", "Shared")]),
        ("scaleIO", &[("storageMode", "ThinProvisioned"), ("fsType", "xfs")]),
    ];
    for (name, values) in defaults {
        if let Some(source) = volume.get_mut(name) {
            for (field, value) in values {
                fields::set_text_default(source, field, value);
            }
            if name == "azureDisk" {
                fields::set_default(source, "readOnly", json!(false));
            }
        }
    }
}

fn projection(source: &mut Value) {
    if let Some(token) = source.get_mut("serviceAccountToken") {
        fields::set_default(token, "expirationSeconds", TOKEN_SECONDS);
    }
    if let Some(downward) = source.get_mut("downwardAPI") {
        downward_items(downward);
    }
}

fn downward_items(source: &mut Value) {
    for item in items_mut(source, "items") {
        field_reference(item);
        resource_reference(item);
    }
}
