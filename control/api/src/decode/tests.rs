use super::*;
use proptest::prelude::*;
use serde_json::json;

fn target(kind: &'static str) -> Target<'static> {
    let schema = Schema::builtin().find(&format!("io.k8s.api.core.v1.{kind}")).unwrap();
    Target { group: "", version: "v1", kind, schema }
}

fn refusal(kind: &'static str, body: &str) -> String {
    decode(body.as_bytes(), &target(kind), FieldValidation::Strict).unwrap_err().message
}

fn accepted(kind: &'static str, body: &str) -> Value {
    decode(body.as_bytes(), &target(kind), FieldValidation::Strict).unwrap().object
}

#[test]
fn what_is_no_object_is_told_in_upstreams_words() {
    for (body, message) in [
        (
            "{not json",
            "the object provided is unrecognized (must be of type ConfigMap): couldn't get version/kind; json parse error: invalid character 'n' looking for beginning of object key string ({not json)",
        ),
        (
            "[]",
            "the object provided is unrecognized (must be of type ConfigMap): couldn't get version/kind; json parse error: json: cannot unmarshal array into Go value of type struct { APIVersion string \"json:\\\"apiVersion,omitempty\\\"\"; Kind string \"json:\\\"kind,omitempty\\\"\" } (5b5d)",
        ),
        (
            "",
            "the object provided is unrecognized (must be of type ConfigMap): couldn't get version/kind; json parse error: unexpected end of JSON input (<empty>)",
        ),
        (
            r#"{"apiVersion":"a/b/c"}"#,
            "the object provided is unrecognized (must be of type ConfigMap): unexpected GroupVersion string: a/b/c ({\"apiVersion\":\"a/b/c\"})",
        ),
        (
            r#"{"kind":"Gadget"}"#,
            "Gadget in version \"v1\" cannot be handled as a ConfigMap: no kind \"Gadget\" is registered for version \"v1\" in scheme \"k8s.io/kubernetes/pkg/api/legacyscheme/scheme.go:30\"",
        ),
        (
            r#"{"kind":"Secret"}"#,
            "Secret in version \"v1\" cannot be handled as a ConfigMap: converting (v1.Secret) to (core.ConfigMap): unknown conversion",
        ),
    ] {
        assert_eq!(refusal("ConfigMap", body), message);
    }
}

#[test]
fn a_wrong_type_is_told_with_its_go_field() {
    let pod = |spec: &str| refusal("Pod", &format!(r#"{{"metadata":{{"name":"x"}},"spec":{spec}}}"#));
    let prefix = "Pod in version \"v1\" cannot be handled as a Pod: json: cannot unmarshal ";
    for (spec, message) in [
        (r#"{"containers":"no"}"#, "string into Go struct field PodSpec.spec.containers of type []v1.Container"),
        (
            r#"{"containers":[{"image":1}]}"#,
            "number into Go struct field Container.spec.containers.image of type string",
        ),
        (
            r#"{"containers":[{"imagePullPolicy":{}}]}"#,
            "object into Go struct field Container.spec.containers.imagePullPolicy of type v1.PullPolicy",
        ),
        (
            r#"{"containers":[{"env":[{"name":"a","value":true}]}]}"#,
            "bool into Go struct field EnvVar.spec.containers.env.value of type string",
        ),
        (
            r#"{"terminationGracePeriodSeconds":1.50}"#,
            "number 1.50 into Go struct field PodSpec.spec.terminationGracePeriodSeconds of type int64",
        ),
        (
            r#"{"containers":[{"ports":[{"containerPort":99999999999}]}]}"#,
            "number 99999999999 into Go struct field ContainerPort.spec.containers.ports.containerPort of type int32",
        ),
        (
            r#"{"containers":[{"livenessProbe":{"httpGet":{"port":true}}}]}"#,
            "bool into Go struct field HTTPGetAction.spec.containers.livenessProbe.httpGet.port of type int32",
        ),
        (r#"{"nodeSelector":{"a":1}}"#, "number into Go struct field PodSpec.spec.nodeSelector of type string"),
        ("[]", "array into Go struct field Pod.spec of type v1.PodSpec"),
    ] {
        assert_eq!(pod(spec), format!("{prefix}{message}"));
    }
    let amounts = r#"{"containers":[{"resources":{"limits":{"cpu":"x"}}}]}"#;
    assert_eq!(
        pod(amounts),
        "Pod in version \"v1\" cannot be handled as a Pod: quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
    );
    assert_eq!(
        refusal("Secret", r#"{"data":{"k":"!!!"}}"#),
        "Secret in version \"v1\" cannot be handled as a Secret: illegal base64 data at input byte 0"
    );
    assert_eq!(
        refusal("ConfigMap", r#"{"metadata":{"creationTimestamp":"now"}}"#),
        "ConfigMap in version \"v1\" cannot be handled as a ConfigMap: parsing time \"now\" as \"2006-01-02T15:04:05Z07:00\": cannot parse \"now\" as \"2006\""
    );
}

#[test]
fn unknown_and_duplicate_fields_are_collected_in_order() {
    let body = r#"{"metadata":{"name":"x"},"zz":1,"spec":{"containers":[{"name":"c","nosuch":{},"name":"d"}]},"aa":2}"#;
    assert_eq!(
        refusal("Pod", body),
        "Pod in version \"v1\" cannot be handled as a Pod: strict decoding error: unknown field \"zz\", unknown field \"spec.containers[0].nosuch\", duplicate field \"spec.containers[0].name\", unknown field \"aa\""
    );
    let decoded = decode(body.as_bytes(), &target("Pod"), FieldValidation::Warn).unwrap();
    assert_eq!(decoded.warnings.len(), 4);
    assert_eq!(
        decoded.object,
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x"}, "spec": {"containers": [{"name": "d"}]}})
    );
    let ignored = decode(body.as_bytes(), &target("Pod"), FieldValidation::Ignore).unwrap();
    assert!(ignored.warnings.is_empty());
    assert_eq!(
        refusal("ConfigMap", r#"{"data":{"a":"1","a":"2"}}"#),
        "ConfigMap in version \"v1\" cannot be handled as a ConfigMap: strict decoding error: duplicate field \"data.a\""
    );
}

#[test]
fn empty_values_go_where_go_leaves_them_out() {
    let body = r#"{"metadata":{"name":"x","labels":{},"finalizers":[],"creationTimestamp":null},
        "spec":{"hostNetwork":false,"automountServiceAccountToken":false,"restartPolicy":"","terminationGracePeriodSeconds":0,
            "containers":[{"name":"","image":"i","args":[],"env":[{"name":"A","value":""}],"securityContext":{},"resources":{"limits":{"cpu":0.5,"memory":"1024Mi"}}}],
            "volumes":[{"name":"v","emptyDir":{}}],"tolerations":null}}"#;
    assert_eq!(
        accepted("Pod", body),
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x"},
            "spec": {"automountServiceAccountToken": false, "terminationGracePeriodSeconds": 0,
                "containers": [{"name": "", "image": "i", "env": [{"name": "A"}], "securityContext": {}, "resources": {"limits": {"cpu": "500m", "memory": "1Gi"}}}],
                "volumes": [{"name": "v", "emptyDir": {}}]}})
    );
}

#[test]
fn times_and_bytes_take_their_canonical_form() {
    let object = accepted(
        "ConfigMap",
        r#"{"metadata":{"creationTimestamp":"2026-01-02T03:04:05.678+01:30"},"binaryData":{"a":"AAE\n="}}"#,
    );
    assert_eq!(object["metadata"]["creationTimestamp"], "2026-01-02T01:34:05Z");
    assert_eq!(object["binaryData"]["a"], "AAE=");
    for (text, message) in [
        ("2026-13-01T00:00:00Z", "parsing time \"2026-13-01T00:00:00Z\": month out of range"),
        ("2026-02-30T00:00:00Z", "parsing time \"2026-02-30T00:00:00Z\": day out of range"),
        ("2026-01-01T00:00:00Zx", "parsing time \"2026-01-01T00:00:00Zx\": extra text: \"x\""),
        (
            "2026-01-01 00:00:00Z",
            "parsing time \"2026-01-01 00:00:00Z\" as \"2006-01-02T15:04:05Z07:00\": cannot parse \" 00:00:00Z\" as \"T\"",
        ),
    ] {
        assert_eq!(scalar::time(text, false), Err(message.to_owned()));
    }
    for (text, at) in
        [("!!!", 0), ("AA", 0), ("AAA", 0), ("AA=", 3), ("AA=A", 3), ("AAAA=", 4), ("AA==A", 4), ("A\nA-", 3)]
    {
        assert_eq!(scalar::base64(text), Err(format!("illegal base64 data at input byte {at}")), "{text}");
    }
}

#[test]
fn a_patched_object_is_refused_as_a_patch() {
    let patched = json!({"apiVersion": "v1", "kind": "Pod", "spec": {"priority": "many"}});
    let shown = || "shown".to_owned();
    let refuse = |source| {
        let status = decode_patched(&patched, &target("Pod"), FieldValidation::Warn, source, Vec::new(), shown);
        status.unwrap_err().message
    };
    assert_eq!(
        refuse(Source::Json),
        " \"\" is invalid: patch: Invalid value: \"shown\": json: cannot unmarshal string into Go struct field PodSpec.spec.priority of type int32"
    );
    assert_eq!(
        refuse(Source::Unstructured),
        " \"\" is invalid: patch: Invalid value: \"shown\": unrecognized type: int32"
    );
    let unknown = json!({"spec": {"b": 1, "a": 1}});
    let status = decode_patched(
        &unknown,
        &target("Pod"),
        FieldValidation::Strict,
        Source::Unstructured,
        vec!["earlier".to_owned()],
        shown,
    );
    assert_eq!(
        status.unwrap_err().message,
        " \"\" is invalid: patch: Invalid value: \"shown\": strict decoding error: earlier, unknown field \"spec.a\", unknown field \"spec.b\""
    );
}

#[test]
fn syntax_errors_are_go_s() {
    for (text, message) in [
        ("{\"a\" 1}", "invalid character '1' after object key"),
        ("{\"a\":1 \"b\"}", "invalid character '\"' after object key:value pair"),
        ("[1 2]", "invalid character '2' after array element"),
        ("[1,]", "invalid character ']' looking for beginning of value"),
        ("{} x", "invalid character 'x' after top-level value"),
        ("01", "invalid character '1' after top-level value"),
        ("-x", "invalid character 'x' in numeric literal"),
        ("1.x", "invalid character 'x' after decimal point in numeric literal"),
        ("1e+", "unexpected end of JSON input"),
        ("\"\\x\"", "invalid character 'x' in string escape code"),
        ("\"\\u12g\"", "invalid character 'g' in \\u hexadecimal character escape"),
        ("\"a\nb\"", "invalid character '\\n' in string literal"),
        ("nul!", "invalid character '!' in literal null (expecting 'l')"),
        ("'", "invalid character '\\'' looking for beginning of value"),
    ] {
        assert_eq!(Node::parse(text.as_bytes()).unwrap_err().to_string(), message, "{text}");
    }
    let deep = "[".repeat(DEPTH_MAX + 1);
    assert_eq!(Node::parse(deep.as_bytes()).unwrap_err().to_string(), "invalid character '[' exceeded max depth");
    assert_eq!(Node::parse(b"\"\\ud83d\\ude00 \\ud83d\"").unwrap(), Node::String("\u{1f600} \u{fffd}".into()));
}

/// Puts real values where the recording has words, and the words back.
fn swap(value: &mut Value, record: bool) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| swap(item, record)),
        Value::Object(map) => map.values_mut().for_each(|item| swap(item, record)),
        Value::String(text) if !record && text == "TIME" => *value = json!("2026-01-01T00:00:00.000001Z"),
        Value::String(text) if !record && text == "NODEPORT" => *value = json!(30000),
        Value::String(text) if record && text.starts_with("2026-01-01T00:00:00") => *value = json!("TIME"),
        Value::Number(number) if record && number.as_i64() == Some(30000) => *value = json!("NODEPORT"),
        _ => {}
    }
}

/// Every object in a recording, at any depth.
fn objects<'a>(value: &'a Value, out: &mut Vec<&'a Value>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| objects(item, out)),
        Value::Object(map) => {
            if map.contains_key("kind") && map.contains_key("apiVersion") && value["metadata"].get("uid").is_some() {
                return out.push(value);
            }
            map.values().for_each(|item| objects(item, out));
        }
        _ => {}
    }
}

#[test]
fn recorded_objects_come_out_as_they_were_recorded() {
    let Some(folder) = crate::schema::tests::reference() else { return };
    let (mut compared, mut wrong) = (0, Vec::new());
    for file in std::fs::read_dir(folder.join("answers")).unwrap() {
        let answers: Value = serde_json::from_slice(&std::fs::read(file.unwrap().path()).unwrap()).unwrap();
        let mut found = Vec::new();
        objects(&answers, &mut found);
        for recorded in found {
            let (group, version) = recorded["apiVersion"]
                .as_str()
                .unwrap()
                .rsplit_once('/')
                .unwrap_or(("", recorded["apiVersion"].as_str().unwrap()));
            let kind = recorded["kind"].as_str().unwrap();
            let schema =
                Schema::builtin().named().find(|(_, ty)| ty.kinds().any(|known| known == (group, version, kind)));
            let Some((_, schema)) = schema else { continue };
            let mut object = recorded.clone();
            swap(&mut object, false);
            let target = Target { group, version, kind, schema };
            let decoded = decode(object.to_string().as_bytes(), &target, FieldValidation::Strict);
            let mut object = decoded.unwrap_or_else(|status| panic!("{kind}: {status}")).object;
            crate::schema::fill_zeros(schema, &mut object);
            swap(&mut object, true);
            if object != *recorded {
                wrong.push(format!("{kind}:\n  got  {object}\n  want {recorded}"));
            }
            compared += 1;
        }
    }
    assert!(wrong.is_empty(), "{} of {compared} differ:\n{}", wrong.len(), wrong.join("\n"));
    assert!(compared > 90, "{compared}");
}

fn any_json() -> impl Strategy<Value = Value> {
    let names = "(spec|metadata|containers|name|labels|ports|env|status|data|resources|limits|conditions|[a-c])";
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::from),
        // serde_json reads other floats with an error in the last digit.
        any::<i32>().prop_map(|number| Value::from(f64::from(number) / 8.0)),
        "[ -~]{0,6}".prop_map(Value::from),
        "(1Gi|2026-01-01T00:00:00Z|AAA=)".prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 48, 6, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::Array),
            proptest::collection::btree_map(names, inner, 0..5).prop_map(|map| map.into_iter().collect()),
        ]
    })
}

proptest! {
    #[test]
    fn our_reader_and_serde_json_agree(value in any_json()) {
        let text = value.to_string();
        let read = Node::parse(text.as_bytes()).unwrap().into_value();
        let again: Value = serde_json::from_str(&read.to_string()).unwrap();
        prop_assert_eq!(&again, &read);
        prop_assert_eq!(Node::from_value(&read).into_value(), read);
    }

    #[test]
    fn no_bytes_make_decoding_panic(text in proptest::collection::vec(any::<u8>(), 0..64), json in "[\\[\\]{}\",:0-9a-e.\\\\utrfn -]{0,40}") {
        for kind in ["Pod", "ConfigMap"] {
            let _ = decode(&text, &target(kind), FieldValidation::Strict);
            let _ = decode(json.as_bytes(), &target(kind), FieldValidation::Warn);
        }
        let ours = Node::parse(json.as_bytes()).is_ok();
        let theirs = serde_json::from_str::<Value>(&json);
        // serde_json refuses lone surrogates and numbers beyond a float's range; nothing else may differ.
        let differs = theirs.as_ref().is_err_and(|error| error.to_string().contains("surrogate") || error.to_string().contains("out of range") || error.to_string().contains("hex escape"));
        prop_assert!(differs || ours == theirs.is_ok(), "{json}: {theirs:?}");
    }

    #[test]
    fn decoding_any_json_is_idempotent(value in any_json()) {
        for kind in ["Pod", "Node", "Service"] {
            let target = target(kind);
            if let Ok(decoded) = decode(value.to_string().as_bytes(), &target, FieldValidation::Ignore) {
                let mut object = decoded.object;
                let again = decode(object.to_string().as_bytes(), &target, FieldValidation::Strict).unwrap();
                prop_assert_eq!(&again.object, &object);
                crate::schema::default_by_schema(target.schema, &mut object);
                crate::schema::fill_zeros(target.schema, &mut object);
                let mut filled = object.clone();
                crate::schema::default_by_schema(target.schema, &mut filled);
                crate::schema::fill_zeros(target.schema, &mut filled);
                prop_assert_eq!(filled, object);
            }
        }
    }
}
