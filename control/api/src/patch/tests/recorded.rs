//! The recorded cases of patches, without a server. Upstream's answers have defaults of kinds that are not built yet, so
//! what must agree is everything that our object has, and the order of items.

use super::*;
use crate::meta;
use crate::schema::tests::reference;

fn resource(path: &str) -> Option<Target<'static>> {
    let path = path.split('?').next()?;
    Some(match path {
        path if path.contains("/deployments") => target("apps", "Deployment"),
        path if path.contains("/services") => target("", "Service"),
        path if path.contains("/configmaps") => target("", "ConfigMap"),
        path if path.contains("/pods") => target("", "Pod"),
        _ => return None,
    })
}

/// Every value of `part` is in `whole`, and lists have the same items in the same order.
fn check_part(case: &str, part: &Value, whole: &Value) {
    match (part, whole) {
        (Value::Object(part), Value::Object(whole)) => {
            for (key, value) in part.iter().filter(|(key, _)| !matches!(key.as_str(), "protocol" | "targetPort")) {
                check_part(case, value, whole.get(key).unwrap_or(&Value::Null));
            }
        }
        (Value::Array(part), Value::Array(whole)) => {
            assert_eq!(part.len(), whole.len(), "{case}: {part:?} {whole:?}");
            part.iter().zip(whole).for_each(|(part, whole)| check_part(case, part, whole));
        }
        _ => assert_eq!(part, whole, "{case}"),
    }
}

/// What a step picks from the answer, both of it and of ours.
fn check_picked(case: &str, step: &Value, want: &Value, got: &Value) {
    let Some(picks) = step["pick"].as_array() else { return };
    for pick in picks.iter().filter_map(Value::as_str) {
        let path: Vec<&str> = pick.split('.').collect();
        let got = path.iter().try_fold(got, |value, name| match name.parse::<usize>() {
            Ok(index) => value.get(index),
            Err(_) => value.get(name),
        });
        if let Some(got) = got {
            check_part(case, got, &want[pick]);
        } else {
            // Only what upstream fills in may be there without us.
            assert!(want[pick].is_null() || pick == "spec.strategy", "{case}: {pick} {}", want[pick]);
        }
    }
}

#[test]
fn recorded_patches_come_out_as_they_were_recorded() {
    let Some(folder) = reference() else { return };
    let (mut compared, mut refused) = (0, 0);
    for group in ["patch", "update"] {
        let read = |part: &str| -> Value {
            serde_json::from_slice(&std::fs::read(folder.join(part).join(format!("{group}.json"))).unwrap()).unwrap()
        };
        let (cases, answers) = (read("cases"), read("answers"));
        for case in cases.as_array().unwrap() {
            let name = case["name"].as_str().unwrap();
            let mut recorded = answers[name].as_array().unwrap().iter();
            let mut live = Value::Null;
            for step in case["steps"].as_array().unwrap() {
                let want = if step["quiet"] == true { None } else { recorded.next() };
                let Some(target) = resource(step["path"].as_str().unwrap()) else { continue };
                let body = step["body"].as_str().map_or_else(|| step["body"].to_string(), str::to_owned);
                let kind = match step["headers"]["Content-Type"].as_str() {
                    None => {
                        if step["method"] == "POST" {
                            let decoded = decode(body.as_bytes(), &target, FieldValidation::Warn).unwrap();
                            live = decoded.object;
                            crate::schema::default_by_schema(target.schema, &mut live);
                        }
                        continue;
                    }
                    Some("application/json-patch+json") => PatchKind::Json,
                    Some("application/merge-patch+json") => PatchKind::Merge,
                    Some("application/strategic-merge-patch+json") => PatchKind::Strategic,
                    Some(_) => continue,
                };
                if !step["path"].as_str().unwrap().ends_with(meta::name(&live)) {
                    continue;
                }
                match (patch(kind, &live, body.as_bytes(), &target, FieldValidation::Warn), want) {
                    (Ok(decoded), Some(want)) if want["body"]["kind"] == "Status" => {
                        // Refused by what comes after the patch.
                        assert_eq!(want["body"]["reason"], "Invalid", "{name}: {}", decoded.object);
                        assert!(want["body"]["details"]["name"].is_string(), "{name}: {}", want["body"]);
                    }
                    (Ok(decoded), want) => {
                        if let Some(want) = want {
                            check_picked(name, step, &want["body"], &decoded.object);
                            compared += 1;
                        }
                        live = decoded.object;
                    }
                    (Err(status), want) => {
                        let mut got = status.to_value();
                        let mut want = want.unwrap_or_else(|| panic!("{name}: {status}"))["body"].clone();
                        // The recording cuts the value off.
                        for value in [&mut got, &mut want] {
                            let cut = |text: &mut Value| {
                                let front =
                                    text.as_str().unwrap().split("Invalid value: \"{").next().unwrap().to_owned();
                                *text = Value::from(front);
                            };
                            cut(&mut value["message"]);
                            if let Some(message) = value.pointer_mut("/details/causes/0/message") {
                                cut(message);
                            }
                        }
                        assert_eq!(got, want, "{name}");
                        refused += 1;
                    }
                }
            }
        }
    }
    assert!(compared >= 15 && refused >= 5, "{compared} objects, {refused} refusals");
}
