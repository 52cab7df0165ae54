use super::*;
use serde_json::json;

#[test]
fn every_line_of_the_table_is_read_and_names_types_that_are_there() {
    for (name, fields) in TYPES {
        let parsed = &PARSED[name];
        assert_eq!(parsed.len(), fields.split_whitespace().count(), "{name}");
        for field in parsed {
            if let Form::Struct(kind) | Form::Pointer(kind) | Form::List(kind) = field.form {
                assert!(PARSED.contains_key(kind), "{name}.{} is of type {kind}", field.go);
            }
        }
    }
}

fn spec() -> Value {
    json!({
        "containers": [{
            "name": "c", "image": "i", "resources": {}, "terminationMessagePath": "/dev/termination-log",
            "terminationMessagePolicy": "File", "imagePullPolicy": "Always",
        }],
        "restartPolicy": "Always", "terminationGracePeriodSeconds": 30, "dnsPolicy": "ClusterFirst",
        "serviceAccountName": "default", "automountServiceAccountToken": false, "securityContext": {},
    })
}

#[test]
fn a_changed_flag_is_shown_where_go_keeps_it() {
    let mut new = spec();
    new["hostNetwork"] = json!(true);
    assert_eq!(
        difference("PodSpec", &spec(), &new),
        "@@ -44,7 +44,7 @@\n  \"AutomountServiceAccountToken\": false,\n  \"NodeName\": \"\",\n  \"SecurityContext\": {\n-  \"HostNetwork\": false,\n+  \"HostNetwork\": true,\n   \"HostPID\": false,\n   \"HostIPC\": false,\n   \"ShareProcessNamespace\": null,\n"
    );
}

#[test]
fn a_new_map_is_shown_in_place_of_null() {
    let mut new = spec();
    new["nodeSelector"] = json!({ "a": "b" });
    assert_eq!(
        difference("PodSpec", &spec(), &new),
        "@@ -39,7 +39,9 @@\n  \"TerminationGracePeriodSeconds\": 30,\n  \"ActiveDeadlineSeconds\": null,\n  \"DNSPolicy\": \"ClusterFirst\",\n- \"NodeSelector\": null,\n+ \"NodeSelector\": {\n+  \"a\": \"b\"\n+ },\n  \"ServiceAccountName\": \"default\",\n  \"AutomountServiceAccountToken\": false,\n  \"NodeName\": \"\",\n"
    );
}

#[test]
fn two_far_changes_make_two_hunks() {
    let mut new = spec();
    new["containers"][0]["workingDir"] = json!("/w");
    new["hostname"] = json!("h");
    let difference = difference("PodSpec", &spec(), &new);
    assert_eq!(difference.matches("@@ -").count(), 2, "{difference}");
}

#[test]
fn equal_objects_have_no_difference() {
    assert_eq!(difference("PodSpec", &spec(), &spec()), "");
}

#[test]
fn an_endless_list_is_not_compared() {
    let old = json!({ "containers": (0..500).map(|index| json!({ "name": index.to_string() })).collect::<Vec<_>>() });
    assert_eq!(difference("PodSpec", &old, &json!({})), "");
}
