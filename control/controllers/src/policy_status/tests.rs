use super::*;

fn policy(generation: i64, seen: Option<i64>) -> ValidatingAdmissionPolicy {
    let mut policy = json!({"metadata": {"name": "p", "generation": generation}});
    if let Some(seen) = seen {
        policy["status"] = json!({"observedGeneration": seen});
    }
    serde_json::from_value(policy).unwrap()
}

#[test]
fn a_policy_is_marked_once_for_each_generation() {
    assert_eq!(plan(&policy(1, None)), Some(json!({"observedGeneration": 1, "typeChecking": {}})));
    assert_eq!(plan(&policy(2, Some(1))), Some(json!({"observedGeneration": 2, "typeChecking": {}})));
    assert_eq!(plan(&policy(2, Some(2))), None);
}
