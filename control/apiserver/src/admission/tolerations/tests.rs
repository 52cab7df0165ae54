use serde_json::json;

use super::*;

#[test]
fn the_wider_toleration_stays() {
    let all = json!({"operator": "Exists"});
    let one = json!({"key": "a", "operator": "Exists", "effect": "NoSchedule"});
    let value = json!({"key": "a", "operator": "Equal", "value": "v", "effect": "NoSchedule"});
    assert!(covers(&all, &one) && covers(&one, &value) && !covers(&value, &one) && !covers(&one, &all));
    let alone = std::slice::from_ref(&one);
    assert_eq!(merge(&[value.clone(), one.clone()], alone), alone);
    assert_eq!(merge(&[one], &[all.clone(), value]), [all]);
}

#[test]
fn a_longer_time_is_not_covered_by_a_shorter() {
    let of = |seconds| json!({"key": "a", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": seconds});
    assert!(covers(&of(300), &of(60)) && !covers(&of(60), &of(300)));
    let forever = json!({"key": "a", "operator": "Exists", "effect": "NoExecute"});
    assert!(covers(&forever, &of(300)) && !covers(&of(300), &forever));
}
