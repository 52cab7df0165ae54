//! What is refused in the kinds of storage, of devices and of flow control, in whose words, beyond the recorded answers.

use serde_json::{Value, json};

use super::server::default;
use crate::kind::{Part, find};

const STORAGE: &str = "storage.k8s.io";

fn complete(group: &str, plural: &str, mut object: Value) -> Value {
    let kind = find(group, "v1", plural).unwrap();
    let metadata = &mut object["metadata"];
    if metadata["name"].is_null() {
        metadata["name"] = json!("x");
    }
    if kind.namespaced {
        metadata["namespace"] = json!("n");
    }
    default(kind, &mut object);
    object
}

fn create(group: &str, plural: &str, object: Value) -> Vec<String> {
    let kind = find(group, "v1", plural).unwrap();
    let mut object = complete(group, plural, object);
    kind.prepare_create(&mut object);
    default(kind, &mut object);
    kind.validate_create(&object).iter().map(ToString::to_string).collect()
}

fn update(group: &str, plural: &str, old: Value, new: Value) -> Vec<String> {
    let kind = find(group, "v1", plural).unwrap();
    let (mut old, mut new) = (complete(group, plural, old), complete(group, plural, new));
    for object in [&mut old, &mut new] {
        object["metadata"]["resourceVersion"] = json!("1");
    }
    kind.prepare_update(Part::Object, &mut new, &old);
    kind.validate_update(Part::Object, &new, &old).iter().map(ToString::to_string).collect()
}

#[test]
fn a_class_names_its_provisioner_and_keeps_what_it_says() {
    let class = |fields: Value| {
        let mut class = json!({ "provisioner": "a.b/c" });
        crate::patch::merge::merge(&mut class, &fields);
        class
    };
    let cases = [
        (class(json!({})), vec![]),
        (class(json!({ "provisioner": "" })), vec!["provisioner: Required value"]),
        (
            class(json!({ "volumeBindingMode": "", "reclaimPolicy": "Recycle" })),
            vec![
                "reclaimPolicy: Unsupported value: \"Recycle\": supported values: \"Delete\", \"Retain\"",
                "volumeBindingMode: Unsupported value: \"\": supported values: \"Immediate\", \"WaitForFirstConsumer\"",
            ],
        ),
        (
            class(
                json!({ "allowedTopologies": [{ "matchLabelExpressions": [{ "key": "k", "values": ["a", "a"] }] }] }),
            ),
            vec!["allowedTopologies[0].matchLabelExpressions[0].values[1]: Duplicate value: \"a\""],
        ),
    ];
    for (object, expected) in cases {
        assert_eq!(create(STORAGE, "storageclasses", object.clone()), expected, "{object}");
    }
    assert_eq!(
        update(STORAGE, "storageclasses", class(json!({})), class(json!({ "parameters": { "a": "b" } }))),
        ["parameters: Forbidden: updates to parameters are forbidden."]
    );
}

#[test]
fn drivers_nodes_and_attachments_are_refused_in_upstreams_words() {
    let domain = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
    assert_eq!(
        create(STORAGE, "csidrivers", json!({ "spec": { "volumeLifecycleModes": ["Never"] } })),
        ["spec.volumeLifecycleModes: Unsupported value: \"Never\": supported values: \"Persistent\", \"Ephemeral\""]
    );
    assert_eq!(
        create(STORAGE, "volumeattachments", json!({ "spec": { "attacher": "", "source": {}, "nodeName": "n" } })),
        [
            "spec.attacher: Required value".to_owned(),
            "spec.source: Required value: must specify exactly one of inlineVolumeSpec and persistentVolumeName"
                .to_owned(),
            "spec.attacher: Required value".to_owned(),
            format!("spec.attacher: Invalid value: \"\": {domain}"),
        ]
    );
    let node = |id: &str| json!({ "spec": { "drivers": [{ "name": "d", "nodeID": id, "topologyKeys": null }] } });
    let shown = "{\"Allocatable\":null,\"Name\":\"d\",\"NodeID\":\"b\",\"TopologyKeys\":null}";
    assert_eq!(
        update(STORAGE, "csinodes", node("a"), node("b")),
        [format!("spec.drivers: Invalid value: {shown}: field is immutable")]
    );
}

#[test]
fn a_volume_is_of_one_kind_and_stays_it() {
    let volume = |fields: Value| {
        let mut spec = json!({
            "capacity": { "storage": "1Gi" }, "accessModes": ["ReadWriteOnce"], "hostPath": { "path": "/a" },
        });
        crate::patch::merge::merge(&mut spec, &fields);
        json!({ "spec": spec })
    };
    let cases = [
        (volume(json!({})), vec![]),
        (
            volume(json!({ "nfs": { "server": "s", "path": "/" } })),
            vec!["spec.nfs: Forbidden: may not specify more than 1 volume type"],
        ),
        (volume(json!({ "hostPath": null })), vec!["spec: Required value: must specify a volume type"]),
        (
            volume(json!({ "capacity": null })),
            vec![
                "spec.capacity: Required value",
                "spec.capacity: Unsupported value: null: supported values: \"storage\"",
            ],
        ),
        (
            volume(json!({ "hostPath": { "path": "/" }, "persistentVolumeReclaimPolicy": "Recycle" })),
            vec!["spec.persistentVolumeReclaimPolicy: Forbidden: may not be 'recycle' for a hostPath mount of '/'"],
        ),
        (
            volume(json!({ "hostPath": null, "local": { "path": "/a/../b" } })),
            vec![
                "spec.local.path: Invalid value: \"/a/../b\": must not contain '..'",
                "spec.nodeAffinity: Required value: Local volume requires node affinity",
            ],
        ),
    ];
    for (object, expected) in cases {
        assert_eq!(create("", "persistentvolumes", object.clone()), expected, "{object}");
    }
    let errors = update("", "persistentvolumes", volume(json!({})), volume(json!({ "hostPath": { "path": "/b" } })));
    let expected =
        "spec.persistentvolumesource: Forbidden: spec.persistentvolumesource is immutable after creation\n@@";
    assert!(errors.len() == 1 && errors[0].starts_with(expected), "{errors:?}");
    assert!(errors[0].contains("-  \"Path\": \"/a\",\n+  \"Path\": \"/b\","), "{errors:?}");
}

#[test]
fn a_claim_stays_what_it_asked_for() {
    let claim = |size: &str, fields: Value| {
        let mut spec = json!({ "accessModes": ["ReadWriteOnce"], "resources": { "requests": { "storage": size } } });
        crate::patch::merge::merge(&mut spec, &fields);
        json!({ "spec": spec })
    };
    let source = json!({ "dataSource": { "kind": "Robot", "name": "r" } });
    assert_eq!(
        create("", "persistentvolumeclaims", claim("0", source)),
        [
            "spec.resources[storage]: Invalid value: \"0\": must be greater than zero",
            "spec.dataSource: Invalid value: \"Robot\": must be 'PersistentVolumeClaim' when referencing the default apiGroup",
        ]
    );
    let errors = update("", "persistentvolumeclaims", claim("1Gi", json!({})), claim("2Gi", json!({})));
    let frozen = "spec: Forbidden: spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims\n@@";
    assert!(errors.len() == 1 && errors[0].starts_with(frozen), "{errors:?}");
    assert!(errors[0].contains("-   \"storage\": \"1Gi\"\n+   \"storage\": \"2Gi\""), "{errors:?}");
}

#[test]
fn flows_go_to_levels_that_hold_them() {
    let group = "flowcontrol.apiserver.k8s.io";
    let rule = json!({
        "subjects": [{ "kind": "User", "user": { "name": "" }, "group": { "name": "g" } }],
        "resourceRules": [{ "verbs": ["get", "fly"], "apiGroups": ["*", ""], "resources": [], "namespaces": [] }],
    });
    assert_eq!(
        create(group, "flowschemas", json!({ "spec": { "matchingPrecedence": 1, "rules": [rule] } })),
        [
            "spec.matchingPrecedence: Invalid value: 1: only the schema named 'exempt' may have matchingPrecedence 1",
            "spec.priorityLevelConfiguration.name: Required value: must reference a priority level",
            "spec.rules[0].subjects[0].user.name: Required value",
            "spec.rules[0].subjects[0].group: Forbidden: group is forbidden when subject kind is not 'Group'",
            "spec.rules[0].resourceRules[0].verbs: Unsupported value: [\"get\",\"fly\"]: supported values: \"create\", \"delete\", \"deletecollection\", \"get\", \"list\", \"patch\", \"proxy\", \"update\", \"watch\"",
            "spec.rules[0].resourceRules[0].apiGroups: Invalid value: [\"*\",\"\"]: if '*' is present, must not specify other api groups",
            "spec.rules[0].resourceRules[0].resources: Required value: resource rules must supply at least one resource",
            "spec.rules[0].resourceRules[0].namespaces: Required value: resource rules that are not cluster scoped must supply at least one namespace",
        ]
    );
    let level = |queues: i64, hand: i64| {
        let queuing = json!({ "queues": queues, "handSize": hand });
        let limited = json!({ "limitResponse": { "type": "Queue", "queuing": queuing } });
        create(group, "prioritylevelconfigurations", json!({ "spec": { "type": "Limited", "limited": limited } }))
    };
    assert!(level(64, 8).is_empty());
    assert_eq!(
        level(4, 6),
        ["spec.limited.limitResponse.queuing.handSize: Invalid value: 6: should not be greater than queues (4)"]
    );
    assert_eq!(level(512, 8).len(), 1, "a hand of eight out of 512 queues takes more than 60 bits");
    for object in crate::kinds::flow_control::bootstrap::schemas() {
        assert_eq!(create(group, "flowschemas", object.clone()), Vec::<String>::new(), "{object}");
    }
    for object in crate::kinds::flow_control::bootstrap::levels() {
        assert_eq!(create(group, "prioritylevelconfigurations", object.clone()), Vec::<String>::new(), "{object}");
    }
    let exempt = json!({ "metadata": { "name": "catch-all" }, "spec": { "type": "Limited", "limited": {} } });
    let errors = create(group, "prioritylevelconfigurations", exempt);
    assert!(errors.iter().any(|error| error.ends_with("spec of 'catch-all' must equal the fixed value")), "{errors:?}");
}

#[test]
fn devices_are_claimed_by_requests_that_say_one_thing() {
    let group = "resource.k8s.io";
    let claim =
        |requests: Value| create(group, "resourceclaims", json!({ "spec": { "devices": { "requests": requests } } }));
    assert!(claim(json!([{ "name": "r", "exactly": { "deviceClassName": "c" } }])).is_empty());
    let alternative = json!({ "name": "a", "deviceClassName": "c" });
    assert_eq!(
        claim(json!([
            { "name": "r" },
            { "name": "r", "exactly": { "deviceClassName": "", "allocationMode": "Some" } },
            { "name": "s", "exactly": { "deviceClassName": "c" }, "firstAvailable": [alternative] },
        ])),
        [
            "spec.devices.requests[0]: Required value: exactly one of `exactly` or `firstAvailable` is required",
            "spec.devices.requests[1].exactly.deviceClassName: Required value",
            "spec.devices.requests[1].exactly.allocationMode: Unsupported value: \"Some\": supported values: \"All\", \"ExactCount\"",
            "spec.devices.requests[2]: Invalid value: null: exactly one of `exactly` or `firstAvailable` is required, but multiple fields are set",
            "spec.devices.requests[1].name: Duplicate value: \"r\"",
        ]
    );
    let slice = |fields: Value| {
        let mut spec =
            json!({ "driver": "d.example", "pool": { "name": "p", "resourceSliceCount": 1 }, "nodeName": "n" });
        crate::patch::merge::merge(&mut spec, &fields);
        create(group, "resourceslices", json!({ "spec": spec }))
    };
    assert!(slice(json!({})).is_empty());
    assert_eq!(
        slice(json!({
            "allNodes": true, "devices": [{ "name": "d", "attributes": { "v": { "version": "1.02.3" }, "": { "int": 1 } } }],
        })),
        [
            "spec: Invalid value: \"{`nodeName`, `allNodes`}\": exactly one of `nodeName`, `nodeSelector`, `allNodes`, `perDeviceNodeSelection` is required, but multiple fields are set",
            "spec.devices[0].attributes[]: Required value: the name must not be empty",
            "spec.devices[0].attributes[v].version: Invalid value: \"1.02.3\": must be a string compatible with semver.org spec 2.0.0",
        ]
    );
}

#[test]
fn addresses_and_their_ranges_are_written_in_one_way() {
    const GROUP: &str = "networking.k8s.io";
    let owner = json!({ "resource": "services", "namespace": "n", "name": "s" });
    for (name, want) in [
        ("10.0.0.1", None),
        ("fe80::abc", None),
        ("x", Some("\"x\": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)")),
        ("10.0.0.01", Some("\"10.0.0.01\": must not have leading 0s")),
        ("::ffff:1.2.3.4", Some("\"::ffff:1.2.3.4\": must not be an IPv4-mapped IPv6 address")),
        ("FE80::abc", Some("\"FE80::abc\": must be in canonical form (\"fe80::abc\")")),
    ] {
        let kind = find(GROUP, "v1", "ipaddresses").unwrap();
        let complaints = kind.name_rule.complaints(name, false);
        let told: Vec<String> = complaints.iter().map(|detail| format!("{name:?}: {detail}")).collect();
        assert_eq!(told, want.into_iter().collect::<Vec<_>>(), "{name}");
    }
    assert_eq!(
        create(GROUP, "ipaddresses", json!({ "metadata": { "name": "10.0.0.1" }, "spec": {} })),
        ["spec.parentRef: Required value"]
    );
    let mut nameless = owner.clone();
    nameless["name"] = json!("");
    assert_eq!(
        create(GROUP, "ipaddresses", json!({ "metadata": { "name": "10.0.0.1" }, "spec": { "parentRef": nameless } })),
        ["spec.parentRef.name: Required value"]
    );
    for (blocks, want) in [
        (json!(["10.0.0.0/24"]), vec![]),
        (json!(["10.0.0.0/24", "fd00::/64"]), vec![]),
        (json!([]), vec!["spec.cidrs: Required value: at least one CIDR required"]),
        (
            json!(["10.0.0.0/24", "10.0.1.0/24"]),
            vec![
                "spec.cidrs: Invalid value: {\"CIDRs\":[\"10.0.0.0/24\",\"10.0.1.0/24\"]}: may specify no more than one IP for each IP family, i.e 192.168.0.0/24 and 2001:db8::/64",
            ],
        ),
        (
            json!(["10.0.0.1/24"]),
            vec!["spec.cidrs[0]: Invalid value: \"10.0.0.1/24\": must not have bits set beyond the prefix length"],
        ),
        (
            json!(["10.0.0.0/08"]),
            vec!["spec.cidrs[0]: Invalid value: \"10.0.0.0/08\": must not have leading 0s in IP or prefix length"],
        ),
        (
            json!(["FD00::/64"]),
            vec!["spec.cidrs[0]: Invalid value: \"FD00::/64\": must be in canonical form (\"fd00::/64\")"],
        ),
    ] {
        let range = json!({ "metadata": { "name": "r" }, "spec": { "cidrs": blocks } });
        assert_eq!(create(GROUP, "servicecidrs", range), want, "{blocks}");
    }
}

#[test]
fn the_status_path_of_some_kinds_leaves_the_metadata_alone() {
    for (group, plural) in [
        ("flowcontrol.apiserver.k8s.io", "flowschemas"),
        ("flowcontrol.apiserver.k8s.io", "prioritylevelconfigurations"),
        ("networking.k8s.io", "servicecidrs"),
        ("storage.k8s.io", "volumeattachments"),
    ] {
        let kind = find(group, "v1", plural).unwrap();
        let old = json!({ "metadata": { "name": "x", "labels": { "a": "b" } }, "spec": {} });
        let mut new = json!({ "metadata": { "name": "x", "labels": { "a": "c" } }, "spec": {}, "status": {} });
        kind.prepare_update(Part::Status, &mut new, &old);
        assert_eq!(new["metadata"]["labels"], json!({ "a": "b" }), "{plural}");
        assert!(new.get("status").is_some(), "{plural}");
    }
}
