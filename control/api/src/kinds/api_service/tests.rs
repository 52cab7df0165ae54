use super::*;

fn errors(spec: &Value, name: &str) -> Vec<String> {
    let object = json!({"metadata": {"name": name}, "spec": spec});
    kind().validate_create(&object).iter().map(ToString::to_string).collect()
}

#[test]
fn a_local_one_is_available_at_once_and_valid() {
    for (group, version, name) in
        [("", "v1", "v1."), ("apps", "v1", "v1.apps"), ("x.example.com", "v2", "v2.x.example.com")]
    {
        let mut object = local(group, version, group.contains('.'));
        object["metadata"]["creationTimestamp"] = "2026-01-01T00:00:00Z".into();
        kind().prepare_create(&mut object);
        assert_eq!(kind().validate_create(&object), Vec::new(), "{object}");
        assert_eq!(object["metadata"]["name"], name);
        assert_eq!(availability(&object), ("True", "Local"));
        let cells = kind().behaviour.cells(&object, Timestamp::UNIX_EPOCH);
        assert_eq!(&cells[..3], [json!(name), json!("Local"), json!("True")]);
    }
}

#[test]
fn what_is_wrong_is_told_in_upstreams_words() {
    let spec =
        json!({"version": "v1", "groupPriorityMinimum": 0, "versionPriority": 1001, "insecureSkipTLSVerify": true});
    assert_eq!(
        errors(&spec, "v1.x"),
        [
            "metadata.name: Invalid value: \"v1.x\": must be `spec.version+\".\"+spec.group`: \"v1.\"",
            "spec.groupPriorityMinimum: Invalid value: 0: must be positive and less than 20000",
            "spec.versionPriority: Invalid value: 1001: must be positive and less than 1000",
            "spec.insecureSkipTLSVerify: Invalid value: true: local APIServices may not have insecureSkipTLSVerify",
        ]
    );
    let spec = json!({
        "version": "v2", "groupPriorityMinimum": 1, "versionPriority": 1, "insecureSkipTLSVerify": true,
        "caBundle": "YQ==", "service": {"name": "s", "port": 0},
    });
    assert_eq!(
        errors(&spec, "v2."),
        [
            "spec.group: Required value: only v1 may have an empty group and it better be legacy kube",
            "spec.service.namespace: Required value",
            "spec.service.port: Invalid value: 0: port is not valid: must be between 1 and 65535, inclusive",
            "spec.insecureSkipTLSVerify: Invalid value: true: may not be true if caBundle is present",
        ]
    );
}

#[test]
fn a_condition_keeps_its_time_while_its_status_lasts() {
    let mut object = json!({});
    assert!(set_condition(&mut object, "False", "A", "", &json!("1")));
    assert!(set_condition(&mut object, "False", "B", "", &json!("2")));
    assert!(!set_condition(&mut object, "False", "B", "", &json!("3")));
    assert_eq!(object["status"]["conditions"][0]["lastTransitionTime"], "1");
    assert!(set_condition(&mut object, "True", "C", "", &json!("4")));
    assert_eq!(object["status"]["conditions"].as_array().map(Vec::len), Some(1));
    assert_eq!(object["status"]["conditions"][0]["lastTransitionTime"], "4");
}
