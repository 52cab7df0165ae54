use super::*;
use coracle_control_api::kinds;
use proptest::prelude::*;
use serde_json::json;

fn check(plural: &str, object: &Value, selector: &str, want: bool) {
    let kind = kinds::find("", "v1", plural).unwrap();
    let filter = Filter::parse(kind, &Query::parse(&format!("fieldSelector={selector}"))).unwrap();
    assert_eq!(filter.matches(kind, &stored::encode(object)), want, "{selector}");
}

#[test]
fn fields_are_compared_as_the_kind_says() {
    let pod = json!({
        "metadata": {"name": "p", "namespace": "n"},
        "spec": {"nodeName": "edge", "nodeNameSuffix": "x", "restartPolicy": "Always"},
        "status": {"phase": "Running", "podIP": "100.64.0.1", "podIPs": [{"ip": "100.64.0.1"}]},
    });
    check("pods", &pod, "spec.nodeName%3Dedge", true);
    check("pods", &pod, "spec.nodeName!%3Dedge", false);
    check("pods", &pod, "spec.nodeName%3D", false);
    check("pods", &pod, "status.podIP%3D100.64.0.1", true);
    check("pods", &pod, "spec.hostNetwork%3Dfalse", true);
    check("pods", &pod, "metadata.name%3Dp,metadata.namespace%3Dn,status.phase%3DRunning", true);
    check("pods", &json!({"metadata": {"name": "p"}, "spec": {}}), "spec.nodeName%3D", true);
    check("nodes", &json!({"metadata": {"name": "n"}}), "spec.unschedulable%3Dfalse", true);
    check(
        "events",
        &json!({"metadata": {}, "reason": "R", "source": {"component": "c"}}),
        "reason%3DR,source%3Dc",
        true,
    );
}

proptest! {
    #[test]
    fn the_part_of_interest_is_as_good_as_the_whole(
        node in prop::option::of("[a-z]{0,3}"), ip in prop::option::of("[0-9]{1,3}"), host in any::<Option<bool>>(),
        phase in prop::option::of(prop::sample::select(vec!["Running", "Pending"])),
    ) {
        let mut pod = json!({"metadata": {"name": "p"}, "spec": {}, "status": {}});
        let mut set = |pointer: &str, field: &str, value: Option<Value>| {
            if let (Some(value), Some(Value::Object(map))) = (value, pod.pointer_mut(pointer)) {
                map.insert(field.to_owned(), value);
            }
        };
        set("/spec", "nodeName", node.map(Value::from));
        set("/spec", "hostNetwork", host.map(Value::from));
        set("/status", "phase", phase.map(Value::from));
        set("/status", "podIP", ip.clone().map(Value::from));
        set("/status", "podIPs", ip.map(|ip| json!([{"ip": ip}])));
        let kind = kinds::find("", "v1", "pods").unwrap();
        let stored = stored::encode(&pod);
        for label in kind.behaviour.field_labels() {
            let part = part_of_interest(&stored, label);
            prop_assert_eq!(kind.field_value(&part, label), kind.field_value(&pod, label), "{}", label);
        }
    }
}
