use super::*;

fn role(rules: &Value, autoupdate: &str) -> Value {
    json!({
        "metadata": {
            "name": "r", "labels": {"kubernetes.io/bootstrapping": "rbac-defaults"},
            "annotations": {"rbac.authorization.kubernetes.io/autoupdate": autoupdate},
        },
        "rules": rules,
    })
}

fn rule(verbs: &[&str], resource: &str) -> Value {
    json!({"apiGroups": [""], "resources": [resource], "verbs": verbs})
}

#[test]
fn a_role_gets_back_what_it_lacks_and_keeps_what_was_added() {
    let made = role(&json!([rule(&["get"], "pods"), rule(&["get"], "nodes")]), "true");
    let current = role(&json!([rule(&["get", "list"], "pods"), rule(&["get"], "secrets")]), "true");
    let repaired = roles::repair_role(&current, &made).unwrap();
    let expected = json!([rule(&["get", "list"], "pods"), rule(&["get"], "secrets"), rule(&["get"], "nodes")]);
    assert_eq!(repaired["rules"], expected);
    assert_eq!(roles::repair_role(&repaired, &made), None);
    assert_eq!(roles::repair_role(&role(&json!([]), "false"), &made), None);
}

#[test]
fn a_binding_gets_back_its_subjects() {
    let subject = |name: &str| json!({"kind": "Group", "name": name});
    let binding =
        |role: &str, subjects: Value| json!({"metadata": {}, "roleRef": {"name": role}, "subjects": subjects});
    let made = binding("r", json!([subject("a"), subject("b")]));
    let repaired = roles::repair_binding(&binding("r", json!([subject("b"), subject("c")])), &made).unwrap();
    assert_eq!(repaired["subjects"], json!([subject("b"), subject("c"), subject("a")]));
    assert_eq!(roles::repair_binding(&repaired, &made), None);
    assert_eq!(roles::repair_binding(&binding("other", json!([])), &made), Some(made));
}

#[test]
fn every_object_is_of_a_kind_in_the_table() {
    let config = ApiServerConfig {
        client_ca_pem: Some("pem".to_owned()),
        advertised_address: "192.0.2.1:6443".to_owned(),
        ..ApiServerConfig::default()
    };
    for wanted in objects(&config) {
        let made = wanted.make(Timestamp::UNIX_EPOCH).unwrap();
        let errors = wanted.kind.validate_create(&made);
        assert!(errors.is_empty() || meta::name(&made).starts_with("system-"), "{made}: {errors:?}");
    }
    assert_eq!(address::objects("nowhere").len(), 0);
}
