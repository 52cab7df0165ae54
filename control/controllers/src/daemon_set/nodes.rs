//! On which nodes a DaemonSet's pod belongs.

use k8s_openapi::api::core::v1::{
    Affinity, NodeAffinity, NodeSelector, NodeSelectorRequirement, NodeSelectorTerm, PodSpec, Taint, Toleration,
};

use crate::observed::Node;

/// What a DaemonSet's pods bear without being asked: they belong to the node, whatever state it is in.
const BORNE: [(&str, &str); 6] = [
    ("node.kubernetes.io/not-ready", "NoExecute"),
    ("node.kubernetes.io/unreachable", "NoExecute"),
    ("node.kubernetes.io/disk-pressure", "NoSchedule"),
    ("node.kubernetes.io/memory-pressure", "NoSchedule"),
    ("node.kubernetes.io/pid-pressure", "NoSchedule"),
    ("node.kubernetes.io/unschedulable", "NoSchedule"),
];
const NAME_FIELD: &str = "metadata.name";

/// What a node is to a DaemonSet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Eligible {
    /// A pod is to be started there.
    pub(super) run: bool,
    /// A pod that is there may stay.
    pub(super) stay: bool,
}

/// The tolerations of the pods.
pub(super) fn tolerations(spec: &PodSpec) -> Vec<Toleration> {
    let mut tolerations = spec.tolerations.clone().unwrap_or_default();
    let network = [("node.kubernetes.io/network-unavailable", "NoSchedule")];
    let hosted = if spec.host_network == Some(true) { &network[..] } else { &[] };
    for (key, effect) in BORNE.iter().chain(hosted) {
        let added = Toleration {
            key: Some((*key).to_owned()),
            operator: Some("Exists".to_owned()),
            effect: Some((*effect).to_owned()),
            ..Toleration::default()
        };
        if !tolerations.contains(&added) {
            tolerations.push(added);
        }
    }
    tolerations
}

pub(super) fn eligible(spec: &PodSpec, tolerations: &[Toleration], node: &Node) -> Eligible {
    let named = spec.node_name.as_ref().is_none_or(|name| name.is_empty() || **name == *node.meta.key.name);
    let fits = named && selects(spec, node);
    let borne = |effects: &[&str]| {
        let taints = node.taints.iter().filter(|taint| effects.contains(&taint.effect.as_str()));
        taints.into_iter().all(|taint| tolerations.iter().any(|toleration| tolerates(toleration, taint)))
    };
    Eligible { run: fits && borne(&["NoSchedule", "NoExecute"]), stay: fits && borne(&["NoExecute"]) }
}

/// Whether a pod with this toleration may be where this taint is.
pub(crate) fn tolerates(toleration: &Toleration, taint: &Taint) -> bool {
    let some = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    let effect = some(&toleration.effect).is_none_or(|effect| effect == taint.effect);
    let key = some(&toleration.key).is_none_or(|key| key == taint.key);
    let value = match toleration.operator.as_deref() {
        Some("Exists") => true,
        _ => toleration.value.clone().unwrap_or_default() == taint.value.clone().unwrap_or_default(),
    };
    effect && key && value
}

fn required(spec: &PodSpec) -> Option<&NodeSelector> {
    let affinity = spec.affinity.as_ref()?.node_affinity.as_ref()?;
    affinity.required_during_scheduling_ignored_during_execution.as_ref()
}

fn selects(spec: &PodSpec, node: &Node) -> bool {
    let wanted = spec.node_selector.iter().flatten();
    wanted.into_iter().all(|(key, value)| node.labels.get(key) == Some(value))
        && required(spec).is_none_or(|required| required.node_selector_terms.iter().any(|term| matches(term, node)))
}

fn matches(term: &NodeSelectorTerm, node: &Node) -> bool {
    let (labels, fields) = (term.match_expressions.iter().flatten(), term.match_fields.iter().flatten());
    let empty = labels.clone().next().is_none() && fields.clone().next().is_none();
    let name = |expression: &NodeSelectorRequirement| (expression.key == NAME_FIELD).then_some(&*node.meta.key.name);
    !empty
        && labels.into_iter().all(|expression| holds(expression, node.labels.get(&expression.key)))
        && fields.into_iter().all(|expression| name(expression).is_some() && holds(expression, name(expression)))
}

fn holds(expression: &NodeSelectorRequirement, actual: Option<&str>) -> bool {
    let values = || expression.values.iter().flatten();
    let listed = || actual.is_some_and(|actual| values().any(|value| value == actual));
    let compared = |wanted: fn(&i64, &i64) -> bool| {
        let bound = values().next().and_then(|value| value.parse::<i64>().ok());
        matches!((actual.and_then(|actual| actual.parse().ok()), bound), (Some(actual), Some(bound)) if wanted(&actual, &bound))
    };
    match expression.operator.as_str() {
        "In" => listed(),
        "NotIn" => !listed(),
        "Exists" => actual.is_some(),
        "DoesNotExist" => actual.is_none(),
        "Gt" => compared(i64::gt),
        "Lt" => compared(i64::lt),
        _ => false,
    }
}

/// Sends a pod to one node: the scheduler binds it there and nowhere else. Other requirements were looked at already.
pub(super) fn send_to(spec: &mut PodSpec, node: &str) {
    let name = NodeSelectorRequirement {
        key: NAME_FIELD.to_owned(),
        operator: "In".to_owned(),
        values: Some(vec![node.to_owned()]),
    };
    let mut terms = required(spec).map(|required| required.node_selector_terms.clone()).unwrap_or_default();
    if terms.is_empty() {
        terms.push(NodeSelectorTerm::default());
    }
    for term in &mut terms {
        term.match_expressions = None;
        term.match_fields = Some(vec![name.clone()]);
    }
    terms.truncate(1);
    let affinity: &mut Affinity = spec.affinity.get_or_insert_default();
    let node_affinity: &mut NodeAffinity = affinity.node_affinity.get_or_insert_default();
    node_affinity.required_during_scheduling_ignored_during_execution =
        Some(NodeSelector { node_selector_terms: terms });
}
