use super::*;
use serde_json::json;
use std::path::{Path, PathBuf};

fn pod() -> TypeRef<'static> {
    Schema::builtin().find("io.k8s.api.core.v1.Pod").unwrap()
}

#[test]
fn a_pod_is_found_with_what_apply_and_patches_need() {
    assert_eq!(Schema::builtin().version(), "1.34");
    let spec = pod().of(pod().field("spec").unwrap());
    let containers = spec.field("containers").unwrap();
    assert_eq!(containers.merge_key.as_deref(), Some("name"));
    assert!(containers.required && containers.strategy.merge);
    let list = spec.of(containers);
    assert_eq!(list.list_type(), Some(&ListType::Map(Box::new([Text::from("name")]))));
    assert_eq!(list.go_name(), "[]v1.Container");
    let container = list.item().unwrap();
    assert_eq!(container.field("imagePullPolicy").unwrap().go_name(), Some("v1.PullPolicy"));
    let ports = container.of(container.field("ports").unwrap()).item().unwrap();
    assert_eq!(ports.field("protocol").unwrap().default.as_deref(), Some(&json!("TCP")));
    assert!(ports.field("nosuch").is_none());
}

#[test]
fn a_field_may_be_granular_where_its_type_is_atomic() {
    let spec = Schema::builtin().find("io.k8s.api.core.v1.PersistentVolumeSpec").unwrap();
    let claim = spec.of(spec.field("claimRef").unwrap());
    assert!(!claim.is_leaf() && !claim.fields().is_empty());
    assert!(Schema::builtin().find("io.k8s.api.core.v1.ObjectReference").unwrap().is_leaf());
}

#[test]
fn defaults_of_the_schema_fill_what_is_there() {
    let mut object =
        json!({"spec": {"containers": [{"name": "c", "ports": [{"containerPort": 80}, {"protocol": "UDP"}]}]}});
    default_by_schema(pod(), &mut object);
    assert_eq!(
        object["spec"]["containers"][0]["ports"],
        json!([{"containerPort": 80, "protocol": "TCP"}, {"protocol": "UDP"}])
    );
    assert!(object.get("status").is_none());
}

#[test]
fn empty_values_that_go_always_writes_are_filled_in() {
    let mut object =
        json!({"spec": {"containers": [{"name": "c", "image": "i"}]}, "status": {"conditions": [{"type": "Ready"}]}});
    fill_zeros(pod(), &mut object);
    assert_eq!(
        object,
        json!({"metadata": {}, "spec": {"containers": [{"name": "c", "image": "i", "resources": {}}]},
            "status": {"conditions": [{"type": "Ready", "status": "", "lastProbeTime": null, "lastTransitionTime": null}]}})
    );
    let mut event = json!({});
    fill_zeros(Schema::builtin().find("io.k8s.api.core.v1.Event").unwrap(), &mut event);
    assert_eq!(
        event,
        json!({"eventTime": null, "firstTimestamp": null, "lastTimestamp": null, "involvedObject": {}, "metadata": {},
            "reportingComponent": "", "reportingInstance": "", "source": {}})
    );
}

/// The recorded reference beside the repository, when it is at hand.
pub(crate) fn reference() -> Option<PathBuf> {
    let folder = std::env::var_os("CORACLE_REFERENCE")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/reference"), PathBuf::from);
    if folder.join("openapi").is_dir() {
        return Some(folder);
    }
    println!("skipped: {} is not at hand", folder.display());
    None
}

/// Takes out what the table does not keep, and writes references in one way.
fn normal(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.retain(|key, value| key != "description" || !value.is_string());
            if let Some(reference) = map.get("$ref").filter(|target| target.is_string()).cloned() {
                map.remove("$ref");
                map.insert("allOf".to_owned(), json!([{ "$ref": reference }]));
                return;
            }
            if let Some(Value::Array(names)) = map.get_mut("required") {
                names.sort_by_key(Value::to_string);
            }
            map.iter_mut().filter(|(key, _)| *key != "allOf").for_each(|(_, value)| normal(value));
        }
        Value::Array(items) => items.iter_mut().for_each(normal),
        _ => {}
    }
}

#[test]
fn the_table_gives_back_the_published_documents() {
    let Some(folder) = reference() else { return };
    let mut compared = 0;
    for entry in std::fs::read_dir(folder.join("openapi")).unwrap() {
        let file = std::fs::File::open(entry.unwrap().path()).unwrap();
        let document: Value = serde_json::from_reader(flate2::read::GzDecoder::new(file)).unwrap();
        let Some(schemas) = document.pointer("/components/schemas").and_then(Value::as_object) else { continue };
        for (name, schema) in schemas {
            let mut want = schema.clone();
            // "description" is also the name of fields: only texts are taken out.
            normal(&mut want);
            let mut got = openapi_definition(name).unwrap_or_else(|| panic!("{name} is not in the table"));
            normal(&mut got);
            assert_eq!(got, want, "{name}");
            compared += 1;
        }
    }
    assert!(compared > 568, "{compared}");
}
