use serde_json::json;

use super::*;

#[test]
fn resources_are_told_in_the_form_of_aggregated_discovery() {
    let resources = json!([
        {"name": "pods", "singularName": "pod", "namespaced": true, "kind": "PodMetrics", "verbs": ["get"], "shortNames": ["pm"]},
        {"name": "pods/status", "namespaced": true, "kind": "PodMetrics", "verbs": ["patch"]},
    ]);
    let learned = Learned { resources: resources.as_array().unwrap().clone(), ..Learned::default() };
    assert_eq!(
        learned.aggregated(),
        [json!({
            "resource": "pods", "singularResource": "pod", "scope": "Namespaced", "verbs": ["get"], "shortNames": ["pm"],
            "responseKind": {"group": "", "version": "", "kind": "PodMetrics"},
            "subresources": [{
                "subresource": "status", "verbs": ["patch"],
                "responseKind": {"group": "", "version": "", "kind": "PodMetrics"},
            }],
        })]
    );
}
