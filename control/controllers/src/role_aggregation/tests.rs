use serde_json::json;

use super::*;

fn role(name: &str, label: Option<&str>, gathers: Option<&str>, resources: &[&str]) -> ClusterRole {
    let rules: Vec<Value> = resources
        .iter()
        .map(|resource| json!({"apiGroups": [""], "resources": [resource], "verbs": ["get"]}))
        .collect();
    let mut role = json!({"metadata": {"name": name}, "rules": rules});
    if let Some(label) = label {
        role["metadata"]["labels"] = json!({ label: "true" });
    }
    if let Some(label) = gathers {
        role["aggregationRule"] = json!({"clusterRoleSelectors": [{"matchLabels": {label: "true"}}]});
    }
    serde_json::from_value(role).unwrap()
}

fn resources(rules: &[PolicyRule]) -> Vec<String> {
    rules.iter().flat_map(|rule| rule.resources.clone().unwrap_or_default()).collect()
}

#[test]
fn rules_are_gathered_once_and_in_the_order_of_the_roles() {
    let roles = [
        role("all", None, Some("a"), &["old"]),
        role("z", Some("a"), None, &["pods", "nodes"]),
        role("b", Some("a"), None, &["nodes"]),
        role("other", Some("b"), None, &["secrets"]),
    ];
    let changes = plan(&roles);
    assert_eq!(changes.len(), 1);
    assert_eq!((changes[0].0.as_str(), resources(&changes[0].1)), ("all", vec!["nodes".to_owned(), "pods".to_owned()]));
}

#[test]
fn what_is_gathered_already_is_left_alone_and_nobody_gathers_himself() {
    let roles = [role("all", Some("a"), Some("a"), &["nodes"]), role("b", Some("a"), None, &["nodes"])];
    assert!(plan(&roles).is_empty());
    let alone = [role("all", Some("a"), Some("a"), &["nodes"])];
    assert_eq!(plan(&alone), [("all".to_owned(), Vec::new())]);
}
