use serde_json::{Value, json};

use super::{FILTERS, Reason, SCORES, Verdict};
use crate::node::{Node, NodeSpec};
use crate::pod::Pod;
use crate::pod::tests::{pod, pod_asking};

/// A node of 4 cores, 8 GiB and 10 pods, with these metadata and spec.
pub(crate) fn node(name: &str, labels: &Value, spec: &Value) -> Node {
    let object = json!({
        "metadata": {"name": name, "labels": labels},
        "spec": spec,
        "status": {"allocatable": {"cpu": "4", "memory": "8Gi", "pods": "10", "example.com/dongle": "1"}},
    });
    Node::new(NodeSpec::from_api(&serde_json::from_value(object).expect("the test's node is a Node")))
}

/// The reasons for which `node` refuses `pod`, and whether other pods' leaving could help; nothing when it fits.
fn refusal(pod: &Pod, node: &Node) -> Option<(Vec<String>, bool)> {
    let mut reasons = Vec::new();
    let verdict =
        FILTERS.iter().map(|filter| filter.judge(pod, node, &mut reasons)).find(|verdict| *verdict != Verdict::Fits)?;
    Some((reasons.iter().map(Reason::to_string).collect(), verdict == Verdict::Unschedulable))
}

fn refused(reason: &str) -> Option<(Vec<String>, bool)> {
    Some((vec![reason.to_owned()], false))
}

#[test]
fn a_cordoned_node_takes_only_pods_that_tolerate_it() {
    let cordoned = node("a", &json!({}), &json!({"unschedulable": true}));
    assert_eq!(refusal(&pod("p", json!({})), &cordoned), refused("node(s) were unschedulable"));
    let tolerant = json!({"tolerations": [{"key": "node.kubernetes.io/unschedulable", "operator": "Exists"}]});
    assert_eq!(refusal(&pod("p", tolerant), &cordoned), None);
}

#[test]
fn hard_taints_keep_pods_away_unless_tolerated() {
    let tainted =
        |effect: &str| node("a", &json!({}), &json!({"taints": [{"key": "team", "value": "red", "effect": effect}]}));
    let tolerating = |toleration: &Value| pod("p", json!({"tolerations": [toleration]}));
    let reason = refused("node(s) had untolerated taint {team: red}");
    assert_eq!(refusal(&pod("p", json!({})), &tainted("NoSchedule")), reason);
    assert_eq!(refusal(&pod("p", json!({})), &tainted("NoExecute")), reason);
    assert_eq!(refusal(&pod("p", json!({})), &tainted("PreferNoSchedule")), None);
    let cases = [
        (json!({"key": "team", "value": "red"}), true),
        (json!({"key": "team", "operator": "Equal", "value": "red", "effect": "NoSchedule"}), true),
        (json!({"key": "team", "operator": "Exists"}), true),
        (json!({"operator": "Exists"}), true),
        (json!({"key": "team", "value": "blue"}), false),
        (json!({"key": "team", "value": "red", "effect": "NoExecute"}), false),
        (json!({"key": "other", "operator": "Exists"}), false),
    ];
    for (toleration, admitted) in cases {
        assert_eq!(refusal(&tolerating(&toleration), &tainted("NoSchedule")).is_none(), admitted, "{toleration}");
    }
}

#[test]
fn selectors_and_required_affinity_must_match() {
    let here = node("a", &json!({"disk": "ssd", "cores": "8"}), &json!({}));
    let reason = refused("node(s) didn't match Pod's node affinity/selector");
    assert_eq!(refusal(&pod("p", json!({"nodeSelector": {"disk": "ssd"}})), &here), None);
    assert_eq!(refusal(&pod("p", json!({"nodeSelector": {"disk": "ssd", "gpu": "yes"}})), &here), reason);
    let expressions = [
        (json!({"key": "disk", "operator": "In", "values": ["hdd", "ssd"]}), true),
        (json!({"key": "disk", "operator": "NotIn", "values": ["ssd"]}), false),
        (json!({"key": "gpu", "operator": "NotIn", "values": ["x"]}), true),
        (json!({"key": "gpu", "operator": "Exists"}), false),
        (json!({"key": "gpu", "operator": "DoesNotExist"}), true),
        (json!({"key": "cores", "operator": "Gt", "values": ["7"]}), true),
        (json!({"key": "cores", "operator": "Gt", "values": ["8"]}), false),
        (json!({"key": "cores", "operator": "Lt", "values": ["9"]}), true),
        (json!({"key": "disk", "operator": "Lt", "values": ["9"]}), false),
    ];
    for (expression, admitted) in expressions {
        let wish = affine(&json!([{"matchExpressions": [expression]}]));
        assert_eq!(refusal(&wish, &here).is_none(), admitted, "{expression}");
    }
    assert_eq!(refusal(&affine(&json!([{}])), &here), reason, "an empty term matches nothing");
    let field =
        |name: &str| affine(&json!([{"matchFields": [{"key": "metadata.name", "operator": "In", "values": [name]}]}]));
    assert_eq!(refusal(&field("a"), &here), None);
    assert_eq!(refusal(&field("b"), &here), reason);
}

fn affine(terms: &Value) -> Pod {
    let required = json!({"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}});
    pod("p", json!({"affinity": {"nodeAffinity": required}}))
}

#[test]
fn a_host_port_belongs_to_one_pod_at_a_time() {
    let with_port = |name: &str, ip: Option<&str>| {
        let port = json!({"containerPort": 80, "hostPort": 8080, "hostIP": ip});
        pod(name, json!({"containers": [{"name": "c", "ports": [port]}]}))
    };
    let mut here = node("a", &json!({}), &json!({}));
    here.add_pod(with_port("first", Some("127.0.0.1")).into());
    let reason = Some((vec!["node(s) didn't have free ports for the requested pod ports".to_owned()], true));
    assert_eq!(refusal(&with_port("second", None), &here), reason);
    assert_eq!(refusal(&with_port("second", Some("127.0.0.1")), &here), reason);
    assert_eq!(refusal(&with_port("second", Some("127.0.0.2")), &here), None);
    here.remove_pod(&with_port("first", None).key);
    assert_eq!(refusal(&with_port("second", None), &here), None);
}

#[test]
fn resources_that_are_taken_are_named() {
    let mut here = node("a", &json!({}), &json!({}));
    here.add_pod(pod_asking("first", &json!({"cpu": "3", "memory": "6Gi", "example.com/dongle": "1"})));
    let both = refusal(&pod_asking("second", &json!({"cpu": "2", "memory": "4Gi"})), &here);
    assert_eq!(both, Some((vec!["Insufficient cpu".to_owned(), "Insufficient memory".to_owned()], true)));
    let dongle = refusal(&pod_asking("second", &json!({"example.com/dongle": "1"})), &here);
    assert_eq!(dongle, Some((vec!["Insufficient example.com/dongle".to_owned()], true)));
    assert_eq!(refusal(&pod_asking("second", &json!({"cpu": "5"})), &here), refused("Insufficient cpu"));
    assert_eq!(refusal(&pod_asking("second", &json!({"cpu": "1", "memory": "2Gi"})), &here), None, "an exact fit fits");
}

#[test]
fn a_node_has_a_number_of_places() {
    let mut here = node("a", &json!({}), &json!({}));
    for number in 0..10 {
        here.add_pod(pod(&format!("p{number}"), json!({})).into());
    }
    assert_eq!(refusal(&pod("last", json!({})), &here), Some((vec!["Too many pods".to_owned()], true)));
}

#[test]
fn normalized_scores_lie_between_zero_and_one_hundred() {
    let mut nodes = [
        node("plain", &json!({"zone": "a"}), &json!({})),
        node("disliked", &json!({}), &json!({"taints": [{"key": "old", "effect": "PreferNoSchedule"}]})),
        node("busy", &json!({"zone": "b"}), &json!({})),
    ];
    nodes[2].add_pod(pod_asking("other", &json!({"cpu": "3", "memory": "1Gi"})));
    let preferred = json!([{"weight": 10, "preference": {"matchExpressions": [{"key": "zone", "operator": "In", "values": ["a"]}]}},
        {"weight": 40, "preference": {"matchExpressions": [{"key": "zone", "operator": "Exists"}]}}]);
    let wish = pod(
        "p",
        json!({
            "affinity": {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": preferred}},
            "containers": [{"name": "c", "resources": {"requests": {"cpu": "400m", "memory": "819Mi"}}}],
        }),
    );
    let columns: Vec<Vec<i64>> = SCORES
        .iter()
        .map(|(score, _)| {
            let mut scores: Vec<i64> = nodes.iter().map(|node| score.score(&wish, node)).collect();
            score.normalize(&mut scores);
            scores
        })
        .collect();
    assert_eq!(columns[0], [100, 0, 100], "TaintToleration");
    assert_eq!(columns[1], [100, 0, 80], "NodeAffinity");
    assert_eq!(columns[2], [90, 90, 46], "LeastAllocated: mean of free CPU and memory");
    assert!(columns[3][0] == 99 || columns[3][0] == 100, "BalancedAllocation: {:?}", columns[3]);
    assert!(columns[3][2] < columns[3][0], "BalancedAllocation: {:?}", columns[3]);
}
