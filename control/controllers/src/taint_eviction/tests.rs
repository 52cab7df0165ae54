use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Taint, Toleration};
use serde_json::{Value, json};

use super::{Stay, plan};

fn stay(taints: Value, tolerations: Value) -> Stay {
    let taints: Vec<Taint> = serde_json::from_value(taints).expect("taints");
    let tolerations: Vec<Toleration> = serde_json::from_value(tolerations).expect("tolerations");
    plan(taints.iter(), &tolerations, |_| Timestamp::UNIX_EPOCH)
}

#[test]
fn a_pod_stays_as_long_as_its_least_patient_toleration() {
    let lost = || json!([{"key": "unreachable", "effect": "NoExecute"}]);
    let until = |second| Stay::Until(Timestamp::from_second(second).expect("a time"));
    let bearing =
        |seconds: Option<i64>| json!({"key": "unreachable", "operator": "Exists", "tolerationSeconds": seconds});
    assert_eq!(stay(json!([]), json!([])), Stay::ForEver);
    assert_eq!(stay(lost(), json!([])), until(0));
    assert_eq!(stay(lost(), json!([bearing(Some(300))])), until(300));
    assert_eq!(stay(lost(), json!([bearing(None), bearing(Some(5))])), until(5));
    assert_eq!(stay(lost(), json!([bearing(None)])), Stay::ForEver);
    assert_eq!(stay(lost(), json!([{"key": "other", "operator": "Exists"}])), until(0));
    let two =
        json!([{"key": "unreachable", "effect": "NoExecute"}, {"key": "mine", "value": "x", "effect": "NoExecute"}]);
    assert_eq!(stay(two, json!([bearing(Some(300)), {"key": "mine", "value": "x", "tolerationSeconds": 7}])), until(7));
}
