//! The recorded cases of apply, without a server: every step that this crate alone can answer.

use super::*;
use crate::schema::tests::reference;

/// Replaces what the clock, the server and the namespace decide.
fn normal(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(normal),
        Value::Object(map) => {
            for key in ["uid", "resourceVersion", "creationTimestamp", "namespace", "generation"] {
                map.remove(key);
            }
            map.iter_mut().for_each(|(key, value)| {
                if key == "time" {
                    *value = json!("TIME");
                } else {
                    normal(value);
                }
            });
        }
        _ => {}
    }
}

/// Kind and subresource of a path, when this test knows the kind.
fn resource(path: &str) -> Option<(Target<'static>, &'static str)> {
    let path = path.split('?').next().unwrap_or("");
    let (group, kind, package) = match path {
        path if path.contains("/configmaps") => ("", "ConfigMap", "core"),
        path if path.contains("/deployments") => ("apps", "Deployment", "apps"),
        path if path.contains("/pods") => ("", "Pod", "core"),
        _ => return None,
    };
    let schema = Schema::builtin().find(&format!("io.k8s.api.{package}.v1.{kind}"))?;
    let subresource = if path.ends_with("/status") { "status" } else { "" };
    Some((Target { group, version: "v1", kind, schema }, subresource))
}

fn query<'a>(path: &'a str, name: &str) -> Option<&'a str> {
    let query = path.split_once('?')?.1;
    query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
}

/// What the server does with a step, as far as it is this crate's business.
fn answer(live: Option<&Value>, step: &Value) -> Option<Result<Value, Status>> {
    let path = step["path"].as_str()?;
    let (target, subresource) = resource(path)?;
    let reset: &[&[&str]] = if subresource == "status" { &[&["spec"]] } else { &[&["status"]] };
    let manager = query(path, "fieldManager").unwrap_or("");
    // The recording took no second.
    let now = Timestamp::from_second(1_000_000).unwrap();
    let writer = Writer { manager, target, subresource, reset, now };
    let body = match &step["body"] {
        Value::String(text) => text.clone(),
        body => body.to_string(),
    };
    let kind = crate::kinds::find_kind(target.group, target.version, target.kind);
    let complete = |mut object: Value| {
        if let Some(kind) = &kind {
            kind.default(&mut object);
        }
        fill_zeros(target.schema, &mut object);
        object
    };
    let content = step["headers"]["Content-Type"].as_str().unwrap_or("application/json");
    let patched = |kind| crate::patch::patch(kind, live?, body.as_bytes(), &target, FieldValidation::Warn).into();
    let decoded: Option<Result<_, Status>> = match content {
        "application/apply-patch+yaml" => {
            let config = serde_json::from_str(&body).unwrap();
            let applied = apply(live, &config, &writer, query(path, "force") == Some("true"));
            return Some(applied.map(|applied| complete(applied.object)));
        }
        "application/merge-patch+json" => patched(crate::patch::PatchKind::Merge),
        "application/strategic-merge-patch+json" => patched(crate::patch::PatchKind::Strategic),
        _ => Some(decode(body.as_bytes(), &target, FieldValidation::Warn)),
    };
    Some(decoded?.map(|decoded| {
        let mut object = complete(decoded.object);
        track_update(live, &mut object, &writer);
        object
    }))
}

/// Takes out of both what upstream's defaulting of kinds that are not built yet adds.
fn compare(case: &str, want: &Value, got: &Value) {
    let (mut want, mut got) = (want.clone(), got.clone());
    normal(&mut want);
    normal(&mut got);
    assert_eq!(got["metadata"]["managedFields"], want["metadata"]["managedFields"], "{case}");
    if want["kind"] == "ConfigMap" {
        assert_eq!(got, want, "{case}");
    }
}

#[test]
fn recorded_applies_come_out_as_they_were_recorded() {
    let Some(folder) = reference() else { return };
    let read = |part: &str| -> Value {
        serde_json::from_slice(&std::fs::read(folder.join(part).join("apply.json")).unwrap()).unwrap()
    };
    let (cases, answers) = (read("cases"), read("answers"));
    let (mut compared, mut refused) = (0, 0);
    for case in cases.as_array().unwrap() {
        let name = case["name"].as_str().unwrap();
        let mut recorded = answers[name].as_array().unwrap().iter();
        let mut live: Option<Value> = None;
        for step in case["steps"].as_array().unwrap() {
            let want = if step["quiet"] == true { None } else { recorded.next() };
            let Some(answer) = answer(live.as_ref(), step) else { continue };
            match answer {
                Ok(mut object) => {
                    let want = want.map(|want| &want["body"]);
                    if want.is_some_and(|want| want["kind"] == "Status") {
                        // Names and query parameters are checked by the server.
                        let message = want.unwrap()["message"].as_str().unwrap();
                        assert!(
                            message.contains("on the URL") || message.contains("fieldManager"),
                            "{name}: {message}"
                        );
                        continue;
                    }
                    meta::set_uid(&mut object, "u");
                    if let Some(want) = want {
                        compare(name, want, &object);
                        compared += 1;
                    }
                    live = Some(object);
                }
                Err(status) => {
                    let want = want.unwrap_or_else(|| panic!("{name}: {status}"));
                    assert_eq!(status.to_value(), want["body"], "{name}");
                    refused += 1;
                }
            }
        }
    }
    assert!(compared >= 15 && refused >= 6, "{compared} objects, {refused} refusals");
}
