//! What is allowed in a pod and yet is probably not meant.

mod overlaps;

use std::collections::BTreeSet;

use serde_json::Value;

use super::app_armor;
use crate::go_text;
use crate::kinds::fields::{Fields, text_entries};
use crate::kinds::persistent_volume_claim::fraction_warning;
use crate::kinds::validation::addresses::ip_warning;
use crate::kinds::validation::resources::amount_of;
use crate::names;
use crate::status::FieldPath;

/// Node labels of old and what to use in their place.
const OLD_LABELS: &[(&str, &str)] = &[
    ("beta.kubernetes.io/arch", "deprecated since v1.14; use \"kubernetes.io/arch\" instead"),
    ("beta.kubernetes.io/os", "deprecated since v1.14; use \"kubernetes.io/os\" instead"),
    (
        "failure-domain.beta.kubernetes.io/region",
        "deprecated since v1.17; use \"topology.kubernetes.io/region\" instead",
    ),
    ("failure-domain.beta.kubernetes.io/zone", "deprecated since v1.17; use \"topology.kubernetes.io/zone\" instead"),
    ("beta.kubernetes.io/instance-type", "deprecated since v1.17; use \"node.kubernetes.io/instance-type\" instead"),
];

/// Annotations that do nothing any more.
const OLD_ANNOTATIONS: &[(&str, &str)] = &[
    (
        "scheduler.alpha.kubernetes.io/critical-pod",
        "non-functional in v1.16+; use the \"priorityClassName\" field instead",
    ),
    ("security.alpha.kubernetes.io/sysctls", "non-functional in v1.11+; use the \"sysctls\" field instead"),
    ("security.alpha.kubernetes.io/unsafe-sysctls", "non-functional in v1.11+; use the \"sysctls\" field instead"),
];

/// Volume sources of old.
const OLD_VOLUMES: &[(&str, &str, &str)] = &[
    ("photonPersistentDisk", "photonPersistentDisk", "deprecated in v1.11, non-functional in v1.16+"),
    ("gitRepo", "gitRepo", "deprecated in v1.11, and disabled by default in v1.33+"),
    ("scaleIO", "scaleIO", "deprecated in v1.16, non-functional in v1.22+"),
    ("flocker", "flocker", "deprecated in v1.22, non-functional in v1.25+"),
    ("storageos", "storageOS", "deprecated in v1.22, non-functional in v1.25+"),
    ("quobyte", "quobyte", "deprecated in v1.22, non-functional in v1.25+"),
    ("glusterfs", "glusterfs", "deprecated in v1.25, non-functional in v1.26+"),
    ("cephfs", "cephfs", "deprecated in v1.28, non-functional in v1.31+"),
    ("rbd", "rbd", "deprecated in v1.28, non-functional in v1.31+"),
];

const SECCOMP_OF_POD: &str = "seccomp.security.alpha.kubernetes.io/pod";
const SECCOMP_OF_CONTAINER: &str = "container.seccomp.security.alpha.kubernetes.io/";

/// Warnings about a new pod. Updates of pods give none: programs make them.
pub(super) fn of_new_pod(pod: &Value) -> Vec<String> {
    let null = Value::Null;
    let (metadata, spec) = (pod.child("metadata").unwrap_or(&null), pod.child("spec").unwrap_or(&null));
    let mut warnings = Vec::new();
    let annotations = FieldPath::root("metadata");
    let annotations = annotations.child("annotations");
    for key in app_armor::annotations_behind_fields(metadata, spec) {
        warnings.push(old_app_armor(&annotations, &key));
    }
    let complaints = names::dns_label(metadata.text("name"));
    if !complaints.is_empty() {
        warnings.push(format!(
            "metadata.name: this is used in the Pod's hostname, which can result in surprising behavior; a DNS label is recommended: [{}]",
            complaints.join(" ")
        ));
    }
    of_spec(&mut warnings, &FieldPath::empty(), metadata, spec);
    warnings
}

/// Warnings about a pod or, at the path of its object, a pod template.
pub(super) fn of_spec(warnings: &mut Vec<String>, path: &FieldPath<'_>, metadata: &Value, spec: &Value) {
    let (meta_path, spec_path) = (path.child("metadata"), path.child("spec"));
    node_labels(warnings, &spec_path, spec);
    annotations(warnings, &meta_path.child("annotations"), metadata);
    volumes(warnings, &spec_path.child("volumes"), spec.list("volumes"));
    overlaps::of_volumes(warnings, spec.list("volumes"));
    duplicates(warnings, &spec_path, spec);
    for resource in ["memory", "ephemeral-storage"] {
        fraction(warnings, &spec_path.child("overhead"), spec.child("overhead"), resource);
    }
    let annotation_path = meta_path.child("annotations");
    let annotations = metadata.child("annotations").unwrap_or(&Value::Null);
    seccomp(warnings, &annotation_path, annotations, spec, SECCOMP_OF_POD);
    let is_template = !path.to_string().is_empty();
    let has_app_armor = |object: &Value| object.at(&["securityContext", "appArmorProfile"]).is_some();
    for (list, index, container) in super::containers(spec) {
        let name = container.text("name");
        seccomp(warnings, &annotation_path, annotations, container, &format!("{SECCOMP_OF_CONTAINER}{name}"));
        let key = format!("{}{name}", app_armor::ANNOTATION);
        if is_template && annotations.has(&key) && !has_app_armor(spec) && !has_app_armor(container) {
            warnings.push(old_app_armor(&annotation_path, &key));
        }
        let path = spec_path.child(list);
        self::container(warnings, &path.index(index), container);
    }
    ports(warnings, &spec_path, spec);
    if spec.int("terminationGracePeriodSeconds").is_some_and(|seconds| seconds < 0) {
        let field = spec_path.child("terminationGracePeriodSeconds");
        warnings.push(format!("{field}: must be >= 0; negative values are invalid and will be treated as 1"));
    }
    for kind in ["podAffinity", "podAntiAffinity"] {
        if let Some(affinity) = spec.at(&["affinity", kind]) {
            affinity_selectors(warnings, &spec_path.child("affinity").child(kind), affinity);
        }
    }
    addresses(warnings, &spec_path, spec);
}

/// Addresses that are written strangely.
fn addresses(warnings: &mut Vec<String>, path: &FieldPath<'_>, spec: &Value) {
    let servers = path.child("dnsConfig.nameservers");
    let given = spec.child("dnsConfig").map(|config| config.texts("nameservers")).unwrap_or_default();
    for (index, server) in given.into_iter().enumerate() {
        warnings.extend(ip_warning(&servers.index(index), server));
    }
    let aliases = path.child("hostAliases");
    for (index, alias) in spec.list("hostAliases").iter().enumerate() {
        warnings.extend(ip_warning(&aliases.index(index).child("ip"), alias.text("ip")));
    }
}

fn affinity_selectors(warnings: &mut Vec<String>, path: &FieldPath<'_>, affinity: &Value) {
    let null = Value::Null;
    let lists = [
        ("requiredDuringSchedulingIgnoredDuringExecution", "labelSelector"),
        ("preferredDuringSchedulingIgnoredDuringExecution", "podAffinityTerm.labelSelector"),
    ];
    for (list, field) in lists {
        let path = path.child(list);
        for (index, term) in affinity.list(list).iter().enumerate() {
            let inner = if field == "labelSelector" { term } else { term.child("podAffinityTerm").unwrap_or(&null) };
            if !inner.has("labelSelector") {
                let field = path.index(index).child(field).to_string();
                warnings.push(format!("{field}: a null labelSelector results in matching no pod"));
            }
        }
    }
}

fn old_label(key: &str) -> Option<&'static str> {
    OLD_LABELS.iter().find(|(old, _)| *old == key).map(|(_, advice)| *advice)
}

fn node_labels(warnings: &mut Vec<String>, path: &FieldPath<'_>, spec: &Value) {
    let selector = path.child("nodeSelector");
    for (key, _) in text_entries(spec.map("nodeSelector")) {
        if let Some(advice) = old_label(key) {
            warnings.push(format!("{}: {advice}", selector.key(key)));
        }
    }
    let null = Value::Null;
    let affinity = spec.at(&["affinity", "nodeAffinity"]).unwrap_or(&null);
    let affinity_path = path.child("affinity.nodeAffinity");
    let required = affinity_path.child("requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms");
    let terms = affinity.child("requiredDuringSchedulingIgnoredDuringExecution").unwrap_or(&null);
    for (index, term) in terms.list("nodeSelectorTerms").iter().enumerate() {
        term_labels(warnings, &required.index(index), term);
    }
    let preferred = affinity_path.child("preferredDuringSchedulingIgnoredDuringExecution");
    for (index, term) in affinity.list("preferredDuringSchedulingIgnoredDuringExecution").iter().enumerate() {
        let path = preferred.index(index);
        term_labels(warnings, &path.child("preference"), term.child("preference").unwrap_or(&null));
    }
    let spread = path.child("topologySpreadConstraints");
    for (index, constraint) in spec.list("topologySpreadConstraints").iter().enumerate() {
        let path = spread.index(index);
        let key = constraint.text("topologyKey");
        if let Some(advice) = old_label(key) {
            warnings.push(format!("{}: {key} is {advice}", path.child("topologyKey")));
        }
        if !constraint.has("labelSelector") {
            let field = path.child("labelSelector");
            warnings.push(format!("{field}: a null labelSelector results in matching no pod"));
        }
    }
}

pub(in crate::kinds) fn term_labels(warnings: &mut Vec<String>, path: &FieldPath<'_>, term: &Value) {
    let expressions = path.child("matchExpressions");
    for (index, expression) in term.list("matchExpressions").iter().enumerate() {
        let key = expression.text("key");
        if let Some(advice) = old_label(key) {
            warnings.push(format!("{}: {key} is {advice}", expressions.index(index).child("key")));
        }
    }
}

fn annotations(warnings: &mut Vec<String>, path: &FieldPath<'_>, metadata: &Value) {
    let Some(annotations) = metadata.child("annotations") else { return };
    for (key, advice) in OLD_ANNOTATIONS {
        if annotations.has(key) {
            warnings.push(format!("{}: {advice}", path.key(key)));
        }
    }
}

/// A profile that only an annotation names.
fn seccomp(warnings: &mut Vec<String>, path: &FieldPath<'_>, annotations: &Value, object: &Value, key: &str) {
    if annotations.has(key) && object.at(&["securityContext", "seccompProfile"]).is_none() {
        let field = path.key(key);
        warnings.push(format!("{field}: non-functional in v1.27+; use the \"seccompProfile\" field instead"));
    }
}

fn old_app_armor(path: &FieldPath<'_>, key: &str) -> String {
    format!("{}: deprecated since v1.30; use the \"appArmorProfile\" field instead", path.key(key))
}

fn volumes(warnings: &mut Vec<String>, path: &FieldPath<'_>, volumes: &[Value]) {
    for (index, volume) in volumes.iter().enumerate() {
        if let Some(claim) = volume.at(&["ephemeral", "volumeClaimTemplate"]) {
            let place = format!("{}.ephemeral.volumeClaimTemplate.", path.index(index));
            warnings.extend(fraction_warning(&place, claim));
        }
        for (source, shown, advice) in OLD_VOLUMES {
            if volume.has(source) {
                warnings.push(format!("{}: {advice}", path.index(index).child(shown)));
            }
        }
    }
}

fn duplicates(warnings: &mut Vec<String>, path: &FieldPath<'_>, spec: &Value) {
    for (list, field) in [("hostAliases", "ip"), ("imagePullSecrets", "name")] {
        let path = path.child(list);
        let mut seen = BTreeSet::new();
        for (index, item) in spec.list(list).iter().enumerate() {
            let value = item.text(field);
            if !seen.insert(value) {
                let quoted = go_text::quote(value);
                warnings.push(format!("{}: duplicate {field} {quoted}", path.index(index).child(field)));
            }
        }
    }
    let secrets = path.child("imagePullSecrets");
    for (index, secret) in spec.list("imagePullSecrets").iter().enumerate() {
        if secret.text("name").is_empty() {
            warnings.push(format!("{}: invalid empty name \"\"", secrets.index(index).child("name")));
        }
    }
}

/// Bytes come whole.
fn fraction(warnings: &mut Vec<String>, path: &FieldPath<'_>, list: Option<&Value>, resource: &str) {
    if let Some(amount) = amount_of(list, resource).filter(|amount| amount.milli_value() % 1000 != 0) {
        let quoted = go_text::quote(&amount.to_string());
        let field = path.key(resource);
        warnings.push(format!("{field}: fractional byte value {quoted} is invalid, must be an integer"));
    }
}

fn container(warnings: &mut Vec<String>, path: &FieldPath<'_>, container: &Value) {
    let resources = path.child("resources");
    for resource in ["memory", "ephemeral-storage"] {
        for part in ["limits", "requests"] {
            let list = container.child("resources").and_then(|resources| resources.child(part));
            fraction(warnings, &resources.child(part), list, resource);
        }
    }
    let env = path.child("env");
    let mut seen = BTreeSet::new();
    for (index, variable) in container.list("env").iter().enumerate() {
        let name = variable.text("name");
        if seen.insert(name) {
            continue;
        }
        // A later value may build on an earlier one: X="$(X) and more" is meant.
        let earlier = format!("$({name})");
        let value = variable.text("value");
        let builds_on = value.contains(&earlier) && value != earlier && !variable.has("valueFrom");
        if !builds_on {
            let quoted = go_text::quote(name);
            warnings.push(format!(
                "{}: hides previous definition of {quoted}, which may be dropped when using apply",
                env.index(index)
            ));
        }
    }
}

struct Port {
    field: String,
    address: String,
    host: i64,
    own: (i64, String),
}

fn ports(warnings: &mut Vec<String>, path: &FieldPath<'_>, spec: &Value) {
    let mut seen: Vec<Port> = Vec::new();
    for (list, index, container) in super::containers(spec) {
        let path = path.child(list);
        let path = path.index(index);
        let path = path.child("ports");
        for (index, given) in container.list("ports").iter().enumerate() {
            let port = Port {
                field: path.index(index).to_string(),
                address: given.text("hostIP").to_owned(),
                host: given.int("hostPort").unwrap_or(0),
                own: (given.int("containerPort").unwrap_or(0), given.text("protocol").to_owned()),
            };
            if !port.address.is_empty() && port.host == 0 {
                let shown = format!(
                    "{{Name:{} HostPort:0 ContainerPort:{} Protocol:{} HostIP:{}}}",
                    given.text("name"),
                    port.own.0,
                    port.own.1,
                    port.address
                );
                warnings.push(format!("{}: hostIP set without hostPort: {shown}", port.field));
            }
            for other in seen.iter().filter(|other| other.own == port.own) {
                if let Some(relation) = relation(&port, other) {
                    warnings.push(format!("{}: {relation} port definition with {}", port.field, other.field));
                }
            }
            seen.push(port);
        }
    }
}

/// How two definitions of the same port get into each other's way, if they do.
fn relation(port: &Port, other: &Port) -> Option<&'static str> {
    let same_host = port.host == other.host;
    if same_host && port.address == other.address {
        Some("duplicate")
    } else if port.host == 0 || other.host == 0 {
        Some("overlapping")
    } else if same_host && (port.address.is_empty() || other.address.is_empty()) {
        Some("dangerously ambiguous")
    } else {
        None
    }
}
