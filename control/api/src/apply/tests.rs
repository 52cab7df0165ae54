#![expect(clippy::needless_pass_by_value, reason = "objects are written down where they are passed")]

use super::*;
use crate::decode::decode;
use crate::schema::{Schema, default_by_schema};
use proptest::prelude::*;
use serde_json::json;

mod recorded;

fn target(kind: &'static str) -> Target<'static> {
    let schema = Schema::builtin().find(&format!("io.k8s.api.core.v1.{kind}")).unwrap();
    Target { group: "", version: "v1", kind, schema }
}

fn writer<'a>(kind: &'static str, manager: &'a str, seconds: i64) -> Writer<'a> {
    Writer {
        manager,
        target: target(kind),
        subresource: "",
        reset: &[&["status"]],
        now: Timestamp::from_second(seconds).unwrap(),
    }
}

fn config_map(data: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x"}, "data": data})
}

/// As the server does after an apply: fills in what is missing and gives the object a uid.
fn finish(object: Value, target: &Target<'_>) -> Value {
    let mut object = object;
    default_by_schema(target.schema, &mut object);
    fill_zeros(target.schema, &mut object);
    meta::set_uid(&mut object, "u");
    object
}

fn applied(live: Option<&Value>, config: &Value, writer: &Writer<'_>, force: bool) -> Value {
    finish(apply(live, config, writer, force).unwrap().object, &writer.target)
}

fn updated(live: &Value, mut new: Value, writer: &Writer<'_>) -> Value {
    fill_zeros(writer.target.schema, &mut new);
    meta::set_uid(&mut new, "u");
    track_update(Some(live), &mut new, writer);
    new
}

/// Manager, operation and fields of every entry.
fn owners(object: &Value) -> Vec<(String, String, Vec<String>)> {
    let text = |entry: &Value, name: &str| entry[name].as_str().unwrap_or("").to_owned();
    let entries = managed_fields(object).and_then(Value::as_array).cloned().unwrap_or_default();
    let entries = entries.iter().map(|entry| {
        (text(entry, "manager"), text(entry, "operation"), FieldSet::decode(&entry["fieldsV1"]).unwrap().paths())
    });
    entries.collect()
}

fn owner(manager: &str, operation: &str, paths: &[&str]) -> (String, String, Vec<String>) {
    (manager.to_owned(), operation.to_owned(), paths.iter().map(|path| (*path).to_owned()).collect())
}

#[test]
fn an_applier_owns_what_it_states_and_loses_what_it_no_longer_states() {
    let one = writer("ConfigMap", "one", 1);
    let object = applied(None, &config_map(json!({"a": "1", "b": "2"})), &one, false);
    assert_eq!(owners(&object), [owner("one", "Apply", &[".data.a", ".data.b"])]);
    let object = applied(Some(&object), &config_map(json!({"a": "3"})), &one, false);
    assert_eq!(object["data"], json!({"a": "3"}));
    assert_eq!(owners(&object), [owner("one", "Apply", &[".data.a"])]);
    let gone = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x"}});
    let object = applied(Some(&object), &gone, &one, false);
    assert_eq!((object.get("data"), owners(&object)), (None, vec![]));
}

#[test]
fn a_shared_field_stays_until_its_last_owner_drops_it() {
    let (one, two) = (writer("ConfigMap", "one", 1), writer("ConfigMap", "two", 2));
    let object = applied(None, &config_map(json!({"a": "1"})), &one, false);
    let shared = apply(Some(&object), &config_map(json!({"a": "1"})), &two, false).unwrap();
    assert!(!shared.changed);
    let object = finish(shared.object, &one.target);
    // An entry that never changed the object has no time and comes first.
    assert_eq!(owners(&object), [owner("two", "Apply", &[".data.a"]), owner("one", "Apply", &[".data.a"])]);
    assert_eq!(object["metadata"]["managedFields"][0].get("time"), None);
    let object = applied(Some(&object), &config_map(json!({})), &one, false);
    assert_eq!(object["data"], json!({"a": "1"}));
    let object = applied(Some(&object), &config_map(json!({})), &two, false);
    assert_eq!(object.get("data"), None);
}

#[test]
fn conflicts_name_every_field_and_manager() {
    let (one, two) = (writer("ConfigMap", "one", 1), writer("ConfigMap", "two", 2));
    let object = applied(None, &config_map(json!({"a": "1", "b": "1"})), &one, false);
    let mut changed = object.clone();
    changed["data"]["c"] = json!("1");
    let object = updated(&object, changed, &writer("ConfigMap", "hand", 3));
    let config = config_map(json!({"a": "2", "b": "2", "c": "2"}));
    let status = apply(Some(&object), &config, &two, false).unwrap_err();
    assert_eq!(status.code, 409);
    assert_eq!(
        status.message,
        "Apply failed with 3 conflicts: conflicts with \"hand\" using v1:\n- .data.c\nconflicts with \"one\":\n- .data.a\n- .data.b"
    );
    assert_eq!(status.details.unwrap().causes.len(), 3);
    let object = applied(Some(&object), &config, &two, true);
    assert_eq!(owners(&object), [owner("two", "Apply", &[".data.a", ".data.b", ".data.c"])]);
}

#[test]
fn an_update_takes_what_it_changes_and_no_more() {
    let object = applied(None, &config_map(json!({"a": "1", "b": "1"})), &writer("ConfigMap", "one", 1), false);
    let mut changed = object.clone();
    changed["data"] = json!({"a": "2", "b": "1", "c": "1"});
    let hand = writer("ConfigMap", "hand", 2);
    let object = updated(&object, changed, &hand);
    assert_eq!(
        owners(&object),
        [owner("one", "Apply", &[".data.b"]), owner("hand", "Update", &[".data.a", ".data.c"])]
    );
    // Nothing changed: nothing to record, and the time stays.
    let again = updated(&object, object.clone(), &writer("ConfigMap", "hand", 9));
    assert_eq!(again, object);
    let mut shrunk = object.clone();
    shrunk["data"] = json!({"b": "1"});
    assert_eq!(owners(&updated(&object, shrunk, &hand)), [owner("one", "Apply", &[".data.b"])]);
}

#[test]
fn a_record_is_taken_from_the_client_reset_by_it_or_kept() {
    let object = applied(None, &config_map(json!({"a": "1"})), &writer("ConfigMap", "one", 1), false);
    let hand = writer("ConfigMap", "hand", 2);
    for reset in [json!([]), json!([{}])] {
        let body = config_map(json!({"a": "1"}));
        let mut body = decode(body.to_string().as_bytes(), &hand.target, FieldValidation::Strict).unwrap().object;
        body["metadata"]["managedFields"] = reset;
        let body = decode(body.to_string().as_bytes(), &hand.target, FieldValidation::Strict).unwrap().object;
        let after = updated(&object, body, &hand);
        assert_eq!(managed_fields(&after), None);
        // From then on nobody is tracked, until somebody applies.
        let after = updated(&after, config_map(json!({"a": "5"})), &hand);
        assert_eq!(managed_fields(&after), None);
        let config = config_map(json!({"a": "5", "b": "6"}));
        let applied = applied(Some(&after), &config, &writer("ConfigMap", "one", 3), false);
        assert_eq!(
            owners(&applied),
            [
                owner("one", "Apply", &[".data.a", ".data.b"]),
                owner("before-first-apply", "Update", &[".data", ".data.a"])
            ]
        );
    }
    let kept = updated(&object, config_map(json!({"a": "1"})), &hand);
    assert_eq!(owners(&kept), owners(&object));
    let mut renamed = object.clone();
    renamed["metadata"]["managedFields"][0]["manager"] = json!("other");
    assert_eq!(owners(&updated(&object, renamed, &hand)), [owner("other", "Apply", &[".data.a"])]);
}

#[test]
fn list_items_are_owned_by_their_keys() {
    let one = writer("Pod", "one", 1);
    let config = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x", "finalizers": ["a/1"]}, "spec": {
        "nodeSelector": {"a": "b"},
        "containers": [{"name": "c", "image": "i:1", "args": ["x"], "ports": [{"containerPort": 80}, {"containerPort": 80, "protocol": "UDP"}]}]}});
    let object = applied(None, &config, &one, false);
    assert_eq!(
        owners(&object),
        [owner(
            "one",
            "Apply",
            &[
                ".metadata.finalizers[=\"a/1\"]",
                ".spec.nodeSelector",
                ".spec.containers[name=\"c\"]",
                ".spec.containers[name=\"c\"].args",
                ".spec.containers[name=\"c\"].image",
                ".spec.containers[name=\"c\"].name",
                ".spec.containers[name=\"c\"].ports[containerPort=80,protocol=\"TCP\"]",
                ".spec.containers[name=\"c\"].ports[containerPort=80,protocol=\"UDP\"]",
                ".spec.containers[name=\"c\"].ports[containerPort=80,protocol=\"TCP\"].containerPort",
                ".spec.containers[name=\"c\"].ports[containerPort=80,protocol=\"UDP\"].containerPort",
                ".spec.containers[name=\"c\"].ports[containerPort=80,protocol=\"UDP\"].protocol",
            ]
        )]
    );
    assert_eq!(object["spec"]["containers"][0]["ports"][0], json!({"containerPort": 80, "protocol": "TCP"}));
    // The same port with its default spelled out is the same item.
    let two = writer("Pod", "two", 2);
    let config = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x"}, "spec": {
        "containers": [{"name": "d", "image": "j"}, {"name": "c", "ports": [{"containerPort": 80, "protocol": "TCP", "name": "web"}]}]}});
    let object = applied(Some(&object), &config, &two, false);
    let containers = object["spec"]["containers"].as_array().unwrap();
    assert_eq!(containers.iter().map(|item| item["name"].as_str().unwrap()).collect::<Vec<_>>(), ["d", "c"]);
    assert_eq!(containers[1]["ports"].as_array().unwrap().len(), 2);
    assert_eq!(containers[1]["ports"][0]["name"], "web");
    // Dropped by its owner, but part of an item that the other still wants: the item stays without the owner's fields.
    let config =
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x"}, "spec": {"nodeSelector": {"a": "b"}}});
    let object = applied(Some(&object), &config, &one, false);
    assert_eq!(
        object["spec"]["containers"][1],
        json!({"name": "c", "resources": {}, "ports": [{"containerPort": 80, "protocol": "TCP", "name": "web"}]})
    );
    assert_eq!(object["metadata"].get("finalizers"), None);
}

#[test]
fn configurations_that_do_not_follow_the_schema() {
    let pod = |spec: Value| json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x", "namespace": "n"}, "spec": spec});
    let one = writer("Pod", "one", 1);
    let prefix = "failed to create typed patch object (n/x; /v1, Kind=Pod): ";
    for (config, message) in [
        (pod(json!({"nosuch": 1})), ".spec.nosuch: field not declared in schema"),
        (
            pod(json!({"containers": [{"name": "c", "image": 5}]})),
            ".spec.containers[name=\"c\"].image: expected string, got &value.valueUnstructured{Value:5}",
        ),
        (pod(json!({"containers": {}})), ".spec.containers: expected list, got &{map[]}"),
        (
            pod(json!({"containers": [{"name": "c"}, {"name": "c"}]})),
            ".spec.containers: duplicate entries for key [name=\"c\"]",
        ),
        (
            pod(json!({"priority": "x", "hostNetwork": 1})),
            "errors:\n  .spec.hostNetwork: expected boolean, got &{1}\n  .spec.priority: expected numeric (int or float), got string",
        ),
        (
            pod(json!({"containers": [null]})),
            ".spec.containers: element 0: associative list with keys may not have a null element",
        ),
    ] {
        let status = apply(None, &config, &one, false).unwrap_err();
        assert_eq!((status.code, status.message), (500, format!("{prefix}{message}")));
    }
    let status = apply(None, &pod(json!({"priority": 1.5})), &one, false).unwrap_err();
    assert_eq!(
        status.message,
        "failed to convert new typed object (n/x; /v1, Kind=Pod) to object: cannot convert float64 to int32"
    );
    let status = apply(None, &json!({"apiVersion": "apps/v1", "kind": "Pod"}), &one, false).unwrap_err();
    assert_eq!((status.code, status.message.as_str()), (400, "invalid object type: apps/v1, Kind=Pod"));
}

#[test]
fn status_is_nobodys_through_the_object_itself() {
    let config = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x"}, "spec": {"nodeName": "n"}, "status": {"phase": "Running"}});
    let object = applied(None, &config, &writer("Pod", "one", 1), false);
    assert_eq!(owners(&object), [owner("one", "Apply", &[".spec.nodeName"])]);
    let kubelet = Writer { subresource: "status", reset: &[&["spec"]], ..writer("Pod", "kubelet", 2) };
    let mut changed = object.clone();
    changed["status"] = json!({"phase": "Failed", "conditions": [{"type": "Ready", "status": "False"}]});
    changed["spec"]["nodeName"] = json!("other");
    let object = updated(&object, changed, &kubelet);
    let (manager, operation, paths) = owners(&object).remove(1);
    assert_eq!((manager.as_str(), operation.as_str()), ("kubelet", "Update"));
    assert_eq!(paths.len(), 7, "{paths:?}");
    assert_eq!(object["metadata"]["managedFields"][1]["subresource"], "status");
    let status = apply(
        Some(&object),
        &json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x"}, "status": {"phase": "Running"}}),
        &Writer { manager: "two", ..kubelet },
        false,
    );
    assert_eq!(
        status.unwrap_err().message,
        "Apply failed with 1 conflict: conflict with \"kubelet\" with subresource \"status\" using v1: .status.phase"
    );
}

#[test]
fn kubectl_moves_from_its_client_side_to_server_side() {
    let last = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x", "annotations": {}}, "data": {"a": "1", "b": "1"}});
    let mut object = config_map(json!({"a": "1", "b": "1"}));
    meta::set_annotation(&mut object, LAST_APPLIED, &last.to_string());
    track_update(None, &mut object, &writer("ConfigMap", "kubectl-client-side-apply", 1));
    meta::set_uid(&mut object, "u");
    // What client-side apply set may be changed; what somebody else changed since may not.
    let config = config_map(json!({"a": "2", "b": "1"}));
    let after = applied(Some(&object), &config, &writer("ConfigMap", "kubectl", 2), false);
    assert_eq!(after["data"], json!({"a": "2", "b": "1"}));
    let annotation: Value = serde_json::from_str(meta::annotation(&after, LAST_APPLIED).unwrap()).unwrap();
    assert_eq!(annotation, config);
    let mut changed = object.clone();
    changed["data"]["a"] = json!("by hand");
    let object = updated(&object, changed, &writer("ConfigMap", "hand", 3));
    let status = apply(Some(&object), &config, &writer("ConfigMap", "kubectl", 4), false).unwrap_err();
    assert_eq!(status.message, "Apply failed with 1 conflict: conflict with \"hand\" using v1: .data.a");
    assert!(apply(Some(&object), &config, &writer("ConfigMap", "other", 4), false).is_err());
}

#[test]
fn the_oldest_updaters_are_lumped_together() {
    let mut object = config_map(json!({"k": "0"}));
    track_update(None, &mut object, &writer("ConfigMap", "m0", 1));
    meta::set_uid(&mut object, "u");
    for index in 1..13 {
        let mut changed = object.clone();
        changed["data"][format!("k{index}")] = json!("1");
        object = updated(&object, changed, &writer("ConfigMap", &format!("m{index}"), 1 + index));
    }
    let owners = owners(&object);
    assert_eq!(owners.len(), 10);
    assert_eq!(
        owners[0],
        owner("ancient-changes", "Update", &[".data", ".data.k", ".data.k1", ".data.k2", ".data.k3"])
    );
}

#[test]
fn times_alone_are_no_change() {
    let old = applied(None, &config_map(json!({"a": "1"})), &writer("ConfigMap", "one", 1), false);
    let mut new = old.clone();
    new["metadata"]["managedFields"][0]["time"] = json!("2030-01-01T00:00:00Z");
    let mut other = new.clone();
    keep_times_if_unchanged(&mut new, &old);
    assert_eq!(new, old);
    other["data"]["a"] = json!("2");
    let kept = other.clone();
    keep_times_if_unchanged(&mut other, &old);
    assert_eq!(other, kept);
}

#[test]
fn paths_into_what_became_atomic_are_lifted() {
    let fields = json!({"f:spec": {"f:nodeSelector": {"f:a": {}}, "f:containers": {"k:{\"name\":\"c\"}": {"f:args": {"v:\"x\"": {}}}}}});
    let set = FieldSet::decode(&fields).unwrap().reconciled(target("Pod").schema).unwrap();
    assert_eq!(set.paths(), [".spec.nodeSelector", ".spec.containers[name=\"c\"].args"]);
    assert_eq!(set.reconciled(target("Pod").schema), None);
}

fn any_element() -> impl Strategy<Value = PathElement> {
    let scalar = prop_oneof![
        "[ -~é\"<]{0,4}".prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        any::<bool>().prop_map(Value::from)
    ];
    prop_oneof![
        "[a-z.é/ <]{1,6}".prop_map(|name| PathElement::field(&name)),
        scalar.clone().prop_map(PathElement::Value),
        proptest::collection::btree_map("[a-c\"<]", scalar, 1..3)
            .prop_map(|map| PathElement::Key(map.into_iter().map(|(k, v)| (k.into_boxed_str(), v)).collect())),
        any::<i16>().prop_map(|index| PathElement::Index(index.into())),
    ]
}

fn any_set() -> impl Strategy<Value = FieldSet> {
    let leaf = Just(FieldSet::default());
    leaf.prop_recursive(3, 24, 4, |inner| {
        proptest::collection::vec((any_element(), any::<bool>(), inner), 0..4).prop_map(|entries| {
            let mut set = FieldSet::default();
            entries.into_iter().for_each(|(element, member, below)| set.add(element, member, below));
            set
        })
    })
}

/// Small pods of several managers, of which each states some fields.
fn any_config() -> impl Strategy<Value = Value> {
    let port = (prop_oneof![Just(80), Just(81)], proptest::option::of("(TCP|UDP)"), proptest::option::of("[ab]"))
        .prop_map(|(number, protocol, name)| {
            let mut port = json!({"containerPort": number});
            if let Some(protocol) = protocol {
                port["protocol"] = json!(protocol);
            }
            if let Some(name) = name {
                port["name"] = json!(name);
            }
            port
        });
    let ports = proptest::collection::vec(port, 0..3);
    let container =
        (proptest::option::of("[xy]"), ports, proptest::option::of(proptest::collection::vec("[pq]", 0..2)));
    let containers = proptest::collection::btree_map("[cde]", container, 0..3);
    let labels = proptest::collection::btree_map("[lmn]", "[12]", 0..3);
    let finalizers = proptest::collection::btree_set("(f/1|f/2|f/3)", 0..3);
    (containers, labels, finalizers, proptest::option::of("[uv]")).prop_map(|(containers, labels, finalizers, node)| {
        let containers = containers.into_iter().map(|(name, (image, ports, args))| {
            let mut container = json!({"name": name});
            if let Some(image) = image {
                container["image"] = json!(image);
            }
            if let Some(args) = args {
                container["args"] = json!(args);
            }
            let mut seen = std::collections::BTreeSet::new();
            let ports: Vec<Value> = ports
                .into_iter()
                .filter(|port| {
                    seen.insert((
                        port["containerPort"].to_string(),
                        port.get("protocol").map_or("\"TCP\"".to_owned(), Value::to_string),
                    ))
                })
                .collect();
            if !ports.is_empty() {
                container["ports"] = json!(ports);
            }
            container
        });
        let mut config = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x"}, "spec": {}});
        let containers: Vec<Value> = containers.collect();
        if !containers.is_empty() {
            config["spec"]["containers"] = json!(containers);
        }
        if !labels.is_empty() {
            config["metadata"]["labels"] = json!(labels);
        }
        if !finalizers.is_empty() {
            config["metadata"]["finalizers"] = json!(finalizers);
        }
        if let Some(node) = node {
            config["spec"]["nodeName"] = json!(node);
        }
        config
    })
}

/// Brings lists whose order depends on who came first into one order.
fn sort_lists(object: &mut Value) {
    if let Some(Value::Array(items)) = object.pointer_mut("/spec/containers") {
        items.sort_by_key(|item| item["name"].to_string());
        for item in items {
            if let Some(Value::Array(ports)) = item.get_mut("ports") {
                ports.sort_by_key(Value::to_string);
            }
        }
    }
    if let Some(Value::Array(items)) = object.pointer_mut("/metadata/finalizers") {
        items.sort_by_key(Value::to_string);
    }
}

/// The same about other containers, labels and finalizers, and without what there is only one of.
fn disjoint(mut config: Value) -> Value {
    config["spec"].as_object_mut().unwrap().remove("nodeName");
    for container in config["spec"].get_mut("containers").and_then(Value::as_array_mut).into_iter().flatten() {
        container["name"] = json!(format!("other-{}", container["name"].as_str().unwrap()));
    }
    for finalizer in config["metadata"].get_mut("finalizers").and_then(Value::as_array_mut).into_iter().flatten() {
        *finalizer = json!(format!("other.{}", finalizer.as_str().unwrap()));
    }
    if let Some(Value::Object(labels)) = config["metadata"].get_mut("labels") {
        *labels = std::mem::take(labels).into_iter().map(|(key, value)| (format!("other-{key}"), value)).collect();
    }
    config
}

proptest! {
    #[test]
    fn sets_survive_their_encoding(set in any_set()) {
        let encoded = set.encode();
        prop_assert_eq!(FieldSet::decode(&encoded).unwrap(), set, "{}", encoded);
    }

    #[test]
    fn sets_obey_the_laws(a in any_set(), b in any_set()) {
        prop_assert_eq!(a.union(&b), b.union(&a));
        prop_assert_eq!(a.intersection(&b), b.intersection(&a));
        prop_assert_eq!(a.difference(&b).union(&a.intersection(&b)), a.clone());
        prop_assert!(a.difference(&b).intersection(&b).is_empty());
        prop_assert!(a.difference(&a).is_empty() && a.recursive_difference(&a).is_empty());
        prop_assert_eq!(a.union(&a), a);
    }

    #[test]
    fn applying_twice_changes_nothing(first in any_config(), second in any_config(), by_other in any::<bool>()) {
        let object = applied(None, &first, &writer("Pod", "one", 1), false);
        let manager = if by_other { "two" } else { "one" };
        let object = applied(Some(&object), &second, &writer("Pod", manager, 2), true);
        let again = apply(Some(&object), &second, &writer("Pod", manager, 3), false).unwrap();
        let mut again = finish(again.object, &target("Pod"));
        // An empty list that is stated is not stored, so that only the time tells the second apply.
        keep_times_if_unchanged(&mut again, &object);
        prop_assert_eq!(again, object);
    }

    #[test]
    fn an_apply_gives_what_it_states_and_takes_what_it_drops(first in any_config(), second in any_config()) {
        let one = writer("Pod", "one", 1);
        let object = applied(None, &first, &one, false);
        let object = applied(Some(&object), &second, &one, false);
        // One manager alone: the object is as if the second configuration had come first.
        let mut want = applied(None, &second, &one, false);
        let mut got = object;
        for object in [&mut want, &mut got] {
            // Items that both configurations have keep their place; only the order may differ.
            sort_lists(object);
            object["metadata"].as_object_mut().unwrap().remove("managedFields");
        }
        prop_assert_eq!(got, want);
    }

    #[test]
    fn applies_of_disjoint_fields_commute(first in any_config(), second in any_config()) {
        let second = disjoint(second);
        let (one, two) = (writer("Pod", "one", 1), writer("Pod", "two", 2));
        let mut got = applied(Some(&applied(None, &first, &one, false)), &second, &two, false);
        let mut want = applied(Some(&applied(None, &second, &two, false)), &first, &one, false);
        for object in [&mut got, &mut want] {
            sort_lists(object);
            if let Some(Value::Array(entries)) = object.pointer_mut("/metadata/managedFields") {
                entries.sort_by_key(|entry| entry["manager"].to_string());
                // As upstream, an apply that changes nothing but owners leaves no time.
                entries.iter_mut().for_each(|entry| drop(entry.as_object_mut().unwrap().remove("time")));
            }
        }
        prop_assert_eq!(got, want);
    }

    #[test]
    fn appliers_and_updaters_never_own_what_is_not_there(configs in proptest::collection::vec((any_config(), "(one|two)", any::<bool>()), 1..5)) {
        let mut live: Option<Value> = None;
        for (config, manager, update) in configs {
            let writer = writer("Pod", &manager, 1);
            let object = if update {
                let mut new = decode(config.to_string().as_bytes(), &writer.target, FieldValidation::Strict).unwrap().object;
                default_by_schema(writer.target.schema, &mut new);
                fill_zeros(writer.target.schema, &mut new);
                track_update(live.as_ref(), &mut new, &writer);
                finish(new, &writer.target)
            } else {
                applied(live.as_ref(), &config, &writer, true)
            };
            let there = typed::field_set_of(writer.target.schema, &object).unwrap().with_named_fields(writer.target.schema);
            for entry in managed_fields(&object).and_then(Value::as_array).into_iter().flatten() {
                let set = FieldSet::decode(&entry["fieldsV1"]).unwrap().with_named_fields(writer.target.schema);
                // A list or map as such is stated by an update that made it, an empty list by an apply.
                let dangling = set.difference(&there).paths();
                let dangling: Vec<&String> = dangling.iter().filter(|path| !matches!(path.as_str(), ".spec.containers" | ".metadata.labels" | ".metadata.finalizers") && !path.ends_with(".ports") && !path.ends_with(".args")).collect();
                prop_assert!(dangling.is_empty(), "{:?} in {}", dangling, object);
            }
            live = Some(object);
        }
    }
}

#[test]
fn a_huge_record_is_read_in_reasonable_time() {
    let fields: Map<String, Value> = (0..40_000).map(|index| (format!("v:{index}"), json!({}))).collect();
    let many: Vec<Value> = (0..4_000)
        .map(|index| json!({"manager": format!("m{index}"), "operation": "Update", "apiVersion": "v1", "fieldsType": "FieldsV1", "fieldsV1": {"f:data": {format!("f:{index}"): {}}}}))
        .collect();
    let mut sent = config_map(json!({"a": "1"}));
    sent["metadata"]["managedFields"] = json!(many);
    sent["metadata"]["managedFields"][0]["fieldsV1"] = json!({"f:metadata": {"f:finalizers": fields}});
    let live = config_map(json!({}));
    let after = updated(&live, sent, &writer("ConfigMap", "hand", 1));
    assert_eq!(owners(&after).len(), 10);
}
