//! `NodeAffinity`: the pod's `nodeSelector` and required node affinity say where it may run, preferred affinity where it
//! likes to.

use super::{Filter, Reason, Score, Verdict, stretch};
use crate::node::Node;
use crate::pod::{NodeExpression, NodeTerm, Pod};

pub(super) struct NodeAffinity;

impl Filter for NodeAffinity {
    fn judge<'a>(&self, pod: &'a Pod, node: &'a Node, reasons: &mut Vec<Reason<'a>>) -> Verdict {
        let needs = &pod.requirements;
        let selected = needs.node_selector.iter().all(|(key, value)| node.spec.labels.get(key) == Some(value));
        let required = &needs.required_node_terms;
        if selected && required.as_ref().is_none_or(|terms| terms.iter().any(|term| matches(term, node))) {
            return Verdict::Fits;
        }
        reasons.push(Reason::Text("node(s) didn't match Pod's node affinity/selector"));
        Verdict::Unresolvable
    }
}

impl Score for NodeAffinity {
    fn score(&self, pod: &Pod, node: &Node) -> i64 {
        let preferred = pod.requirements.preferred_node_terms.iter();
        preferred.filter(|(_, term)| matches(term, node)).map(|(weight, _)| i64::from(*weight)).sum()
    }

    fn normalize(&self, scores: &mut [i64]) {
        stretch(scores, false);
    }
}

/// Whether all of the term's expressions hold; a term without any holds nowhere.
fn matches(term: &NodeTerm, node: &Node) -> bool {
    let label =
        |expression: &NodeExpression| holds(expression, node.spec.labels.get(&expression.key).map(String::as_str));
    let field = |expression: &NodeExpression| {
        let name = (expression.key == "metadata.name").then_some(node.spec.name.as_ref());
        name.is_some() && holds(expression, name)
    };
    let empty = term.expressions.is_empty() && term.fields.is_empty();
    !empty && term.expressions.iter().all(label) && term.fields.iter().all(field)
}

fn holds(expression: &NodeExpression, actual: Option<&str>) -> bool {
    let listed = |actual: &str| expression.values.iter().any(|value| value == actual);
    let compared = |wanted: fn(&i64, &i64) -> bool| {
        let bound = expression.values.first().and_then(|value| value.parse::<i64>().ok());
        let actual = actual.and_then(|value| value.parse::<i64>().ok());
        matches!((actual, bound), (Some(actual), Some(bound)) if wanted(&actual, &bound))
    };
    match expression.operator.as_str() {
        "In" => actual.is_some_and(listed),
        "NotIn" => !actual.is_some_and(listed),
        "Exists" => actual.is_some(),
        "DoesNotExist" => actual.is_none(),
        "Gt" => compared(i64::gt),
        "Lt" => compared(i64::lt),
        _ => false,
    }
}
