use super::*;
use crate::kind::Part;
use jiff::Timestamp;

fn definition() -> Value {
    json!({
        "metadata": {"name": "gears.example.com"},
        "spec": {
            "group": "example.com", "scope": "Namespaced",
            "names": {"plural": "gears", "kind": "Gear", "shortNames": ["gr"]},
            "versions": [{
                "name": "v1", "served": true, "storage": true,
                "schema": {"openAPIV3Schema": {"type": "object", "properties": {
                    "spec": {
                        "type": "object",
                        "properties": {
                            "teeth": {"type": "integer"},
                            "name": {"type": "string"},
                            "any": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
                        },
                        "x-kubernetes-validations": [
                            {"rule": "!has(self.name) || self.name != 'nope'", "message": "nope is no name"},
                            {"rule": "self.teeth >= oldSelf.teeth", "message": "teeth do not shrink"},
                        ],
                    },
                    "status": {"type": "object", "properties": {"replicas": {"type": "integer"}}},
                }}},
                "subresources": {
                    "status": {},
                    "scale": {"specReplicasPath": ".spec.teeth", "statusReplicasPath": ".status.replicas"},
                },
                "additionalPrinterColumns": [{"name": "Teeth", "type": "integer", "jsonPath": ".spec.teeth"}],
                "selectableFields": [{"jsonPath": ".spec.name"}],
            }],
        },
    })
}

fn texts(errors: &[crate::status::FieldError]) -> Vec<String> {
    errors.iter().map(ToString::to_string).collect()
}

#[test]
fn a_definition_becomes_a_kind_with_its_subresources() {
    let kinds = kinds(&definition());
    let [kind] = kinds.as_slice() else { panic!("one version") };
    assert_eq!((&*kind.kind, &*kind.list_kind, &*kind.schema), ("Gear", "GearList", "com.example.v1.Gear"));
    let names: Vec<&str> = kind.subresources.iter().map(|subresource| &*subresource.name).collect();
    assert_eq!(names, ["status", "scale"]);
    let paths = kind.scale.as_ref().unwrap();
    assert_eq!((&*paths.spec_replicas, &*paths.status_replicas), ("/spec/teeth", "/status/replicas"));
    let gear = json!({"metadata": {"name": "g"}, "spec": {"teeth": 8, "name": "x"}});
    assert_eq!(kind.behaviour.cells(&gear, Timestamp::UNIX_EPOCH), [json!("g"), json!(8)]);
    assert_eq!(kind.field_value(&gear, "spec.name"), Some("x".to_owned()));
    assert_eq!(kind.field_value(&gear, "spec.teeth"), None);
}

#[test]
fn rules_are_asked_on_create_and_on_update() {
    let kinds = kinds(&definition());
    let gear = |teeth: i64, name: &str| json!({"metadata": {"name": "g"}, "spec": {"teeth": teeth, "name": name}});
    let behaviour = &kinds[0].behaviour;
    assert_eq!(texts(&behaviour.validate_create(&gear(8, "x"))), Vec::<String>::new());
    let refused = texts(&behaviour.validate_create(&gear(8, "nope")));
    assert_eq!(refused, ["spec: Invalid value: \"object\": nope is no name"]);
    let refused = texts(&behaviour.validate_update(Part::Object, &gear(7, "x"), &gear(8, "x")));
    assert_eq!(refused, ["spec: Invalid value: \"object\": teeth do not shrink"]);
}

#[test]
fn a_write_to_the_status_changes_nothing_else() {
    let kinds = kinds(&definition());
    let old = json!({"metadata": {"name": "g", "generation": 1}, "spec": {"teeth": 8}});
    let mut new = json!({"metadata": {"name": "g", "generation": 1, "labels": {"a": "b"}}, "spec": {"teeth": 9}, "status": {"replicas": 3}});
    let mut other = new.clone();
    kinds[0].behaviour.prepare_update(Part::Status, &mut new, &old);
    let expected = json!({"metadata": {"name": "g", "generation": 1}, "spec": {"teeth": 8}, "status": {"replicas": 3}});
    assert_eq!(new, expected);
    kinds[0].behaviour.prepare_update(Part::Object, &mut other, &old);
    assert_eq!(other["metadata"]["generation"], 2);
    assert_eq!(other.get("status"), None);
}

#[test]
fn definitions_are_refused_in_the_words_of_upstream() {
    let kind = crate::kinds::find(GROUP, "v1", PLURAL).unwrap();
    let refused = |pointer: &str, value: Value| {
        let mut definition = definition();
        kind.default(&mut definition);
        *definition.pointer_mut(pointer).unwrap() = value;
        texts(&kind.behaviour.validate_create(&definition))
    };
    assert_eq!(refused("/spec/scope", json!("Cluster")), Vec::<String>::new());
    let spec = "/spec/versions/0/schema/openAPIV3Schema/properties/spec";
    let at = "spec.validation.openAPIV3Schema.properties[spec]";
    assert_eq!(refused(spec, json!({"$ref": "#/x"})), [format!("{at}.$ref: Forbidden: $ref is not supported")]);
    assert_eq!(
        refused(spec, json!({"type": "array", "x-kubernetes-list-type": "map", "items": {"type": "object"}})),
        [format!(
            "{at}.x-kubernetes-list-map-keys: Required value: must not be empty if x-kubernetes-list-type is map"
        )]
    );
    assert_eq!(
        refused(spec, json!({})),
        [format!("{at}.type: Required value: must not be empty for specified object fields")]
    );
    let rule = refused(spec, json!({"type": "object", "x-kubernetes-validations": [{"rule": "self.nosuch > 1"}]}));
    assert_eq!(rule.len(), 1);
    assert!(rule[0].ends_with("undefined field 'nosuch'\n | self.nosuch > 1\n | ....^"), "{rule:?}");
    assert_eq!(refused("/spec/group", json!("example")).len(), 2);
}

#[test]
fn names_are_accepted_once() {
    use crate::kinds::custom_resource_definition::status::establish;
    let now = json!("2026-01-02T03:04:05Z");
    let first = establish(&definition(), &[], &now).unwrap();
    assert!(is_condition_true(&first, "Established") && is_condition_true(&first, "NamesAccepted"));
    assert_eq!(establish(&first, &[], &now), None);
    let mut second = definition();
    second["metadata"]["name"] = json!("cogs.example.com");
    second["spec"]["names"] = json!({"plural": "cogs", "kind": "Gear"});
    let second = establish(&second, &[&first], &now).unwrap();
    assert!(!is_condition_true(&second, "Established"));
    assert_eq!(second["status"]["conditions"][0]["message"], "\"Gear\" is already in use");
}

#[test]
fn paths_find_what_they_name() {
    let object = json!({
        "a": {"b.c": 1, "list": [{"type": "Ready", "status": "True"}, {"type": "Other"}]},
    });
    for (path, found) in [
        (".a['b.c']", Some(json!(1))),
        (r".a.b\.c", Some(json!(1))),
        (".a.list[1].type", Some(json!("Other"))),
        (".a.list[-1].type", Some(json!("Other"))),
        (".a.list[*].status", Some(json!("True"))),
        (".a.list[?(@.type==\"Ready\")].status", Some(json!("True"))),
        (".a.nosuch", None),
        ("a[", None),
    ] {
        assert_eq!(JsonPath::parse(path).first(&object).cloned(), found, "{path}");
    }
}

#[test]
fn rules_that_could_be_too_expensive_are_refused() {
    let kind = crate::kinds::find(GROUP, "v1", PLURAL).unwrap();
    let refused = |spec: Value| {
        let mut definition = definition();
        kind.default(&mut definition);
        definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"] = spec;
        texts(&kind.behaviour.validate_create(&definition))
    };
    let items = |bound: Option<u64>, rule: &str| {
        let mut names = json!({"type": "array", "items": {"type": "string", "maxLength": 100}});
        if let Some(bound) = bound {
            names["maxItems"] = json!(bound);
        }
        json!({
            "type": "object", "x-kubernetes-validations": [{"rule": rule}],
            "properties": {"teeth": {"type": "integer"}, "name": {"type": "string"}, "names": names},
        })
    };
    let square = "self.names.all(a, self.names.all(b, a == b || a != b))";
    assert_eq!(refused(items(Some(100), square)), Vec::<String>::new());
    assert_eq!(refused(items(Some(100), "self.names.all(a, a.matches('^[a-z]+$'))")), Vec::<String>::new());
    let errors = refused(items(None, square));
    let at = "spec.validation.openAPIV3Schema.properties[spec].x-kubernetes-validations[0].rule";
    let text = "Forbidden: estimated rule cost exceeds budget by factor of more than 100x (try simplifying the rule, or adding maxItems, maxProperties, and maxLength where arrays, maps, and strings are declared)";
    assert_eq!(errors[0], format!("{at}: {text}"));
    assert!(errors[1].contains("estimated rule cost total for entire OpenAPIv3 schema exceeds budget"), "{errors:?}");
}
