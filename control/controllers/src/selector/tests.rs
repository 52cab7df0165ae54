use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{is_empty, selects};
use crate::observed::Labels;

fn selected(selector: &Value, labels: &Value) -> bool {
    let labels: BTreeMap<String, String> = serde_json::from_value(labels.clone()).expect("labels");
    selects(&serde_json::from_value(selector.clone()).expect("a selector"), &Labels::new(Some(&labels)))
}

#[test]
fn every_requirement_must_hold() {
    let web = json!({"matchLabels": {"app": "web"}, "matchExpressions": [{"key": "tier", "operator": "NotIn", "values": ["test"]}]});
    assert!(selected(&web, &json!({"app": "web"})));
    assert!(selected(&web, &json!({"app": "web", "tier": "prod"})));
    assert!(!selected(&web, &json!({"app": "web", "tier": "test"})));
    assert!(!selected(&web, &json!({"tier": "prod"})));
    assert!(selected(&json!({}), &json!({"a": "b"})));
    let exists =
        json!({"matchExpressions": [{"key": "a", "operator": "Exists"}, {"key": "b", "operator": "DoesNotExist"}]});
    assert!(selected(&exists, &json!({"a": "b"})));
    assert!(!selected(&exists, &json!({"a": "b", "b": "c"})));
    assert!(is_empty(&serde_json::from_value(json!({"matchLabels": {}})).expect("a selector")));
}
