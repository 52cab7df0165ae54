use super::*;

#[test]
fn a_token_is_mounted_where_nothing_else_is() {
    let mut spec = json!({
        "initContainers": [{"name": "i"}],
        "containers": [{"name": "a"}, {"name": "b", "volumeMounts": [{"name": "own", "mountPath": MOUNT_PATH}]}],
    });
    mount_token(&mut spec);
    let name = spec["volumes"][0]["name"].as_str().unwrap().to_owned();
    assert!(name.starts_with(VOLUME_PREFIX) && name.len() == VOLUME_PREFIX.len() + 5, "{name}");
    for pointer in ["/initContainers/0", "/containers/0"] {
        let mount = spec.pointer(pointer).unwrap()["volumeMounts"][0].clone();
        assert_eq!(mount, json!({"name": name, "readOnly": true, "mountPath": MOUNT_PATH}));
    }
    assert_eq!(spec["containers"][1]["volumeMounts"][0]["name"], "own");
    let once = spec.clone();
    mount_token(&mut spec);
    assert_eq!(spec, once);
}

#[test]
fn the_pods_word_counts_before_that_of_the_account() {
    let no = json!({"automountServiceAccountToken": false});
    let yes = json!({"automountServiceAccountToken": true});
    let nothing = json!({});
    assert!(wants_token(&nothing, &nothing));
    assert!(!wants_token(&nothing, &no));
    assert!(wants_token(&yes, &no));
    assert!(!wants_token(&no, &yes));
}

#[test]
fn every_place_where_a_pod_names_a_secret_is_seen() {
    let spec = json!({
        "imagePullSecrets": [{"name": "a"}],
        "volumes": [
            {"secret": {"secretName": "b"}}, {"projected": {"sources": [{"secret": {"name": "c"}}]}},
            {"csi": {"nodePublishSecretRef": {"name": "d"}}}, {"rbd": {"secretRef": {"name": "e"}}},
        ],
        "containers": [{"env": [{"valueFrom": {"secretKeyRef": {"name": "f"}}}], "envFrom": [{"secretRef": {"name": "g"}}]}],
        "initContainers": [{"envFrom": [{"secretRef": {"name": "h"}}, {"configMapRef": {"name": "no"}}]}],
    });
    let names: Vec<&str> = secret_names(&spec).into_iter().collect();
    assert_eq!(names, ["a", "b", "c", "d", "e", "f", "g", "h"]);
}
