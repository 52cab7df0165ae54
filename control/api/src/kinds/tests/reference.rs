//! The recorded answers of a real server, held against the kinds. The folder lies beside the project, not in it; where
//! it is not at hand the test says so and does nothing.

use std::path::PathBuf;

use serde_json::{Map, Value};

use super::server::{Request, Server};
use crate::kinds::fields::Fields;

/// Cases that need more of a server than this test has.
const BEYOND: &[&str] = &[
    // Admission plugins.
    "pod security: baseline",
    "pod security: restricted",
    "priority classes",
    "a namespace that is not there",
    // Upstream compares the bytes of a revision's data, which differ by a blank here; we compare what they say.
    "ControllerRevision labels by patch, delete",
    // Starts from a store that has been written to.
    "empty lists as json and table",
    // A warning about what becomes of a job's pods comes from the server.
    "Job labels by patch, delete",
    // Counts restarts of watches and the like.
    "field selectors",
];

fn folder() -> Option<PathBuf> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/reference");
    folder.join("cases").is_dir().then_some(folder)
}

fn read(path: &PathBuf) -> Value {
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

#[test]
fn the_kinds_answer_as_the_recorded_server_did() {
    let Some(folder) = folder() else {
        eprintln!("skipped: the recorded answers are not at hand");
        return;
    };
    let (mut agreed, mut skipped, mut failures) = (0, Vec::new(), Vec::new());
    for group in ["kinds", "cluster", "invalid", "update", "delete", "sub", "list", "admission", "patch"] {
        let cases = read(&folder.join("cases").join(format!("{group}.json")));
        let answers = read(&folder.join("answers").join(format!("{group}.json")));
        for case in cases.as_array().unwrap() {
            let name = case.text("name");
            match run(case, answers.list(name)) {
                None => skipped.push(format!("{group}/{name}")),
                Some(differences) if differences.is_empty() => agreed += 1,
                Some(differences) => failures.push(format!("{group}/{name}:\n  {}", differences.join("\n  "))),
            }
        }
    }
    eprintln!("{agreed} cases agree, {} are beyond this test: {}", skipped.len(), skipped.join(", "));
    assert!(failures.is_empty(), "{} cases differ\n{}", failures.len(), failures.join("\n"));
    assert!(agreed >= 30, "only {agreed} cases were run");
}

/// The differences of a case, or `None` if some step of it is beyond this test.
fn run(case: &Value, answers: &[Value]) -> Option<Vec<String>> {
    if BEYOND.contains(&case.text("name")) {
        return None;
    }
    let mut server = Server::default();
    let mut saved = Map::new();
    let mut differences = Vec::new();
    let mut answers = answers.iter();
    for (index, step) in case.list("steps").iter().enumerate() {
        if step.is_true("stream") {
            return None;
        }
        let fill = |text: &str| {
            let mut text = text.replace("{ns}", "case-ns");
            for (name, value) in &saved {
                text = text.replace(&format!("{{{name}}}"), value.as_str().unwrap());
            }
            text
        };
        let body = match step.get("body") {
            None => String::new(),
            Some(Value::String(text)) => fill(text),
            Some(body) => fill(&body.to_string()),
        };
        let header = |name: &str| step.child("headers").map(|headers| headers.text(name)).unwrap_or_default();
        let answer = server.answer(&Request {
            method: step.text("method"),
            path: &fill(step.text("path")),
            accept: header("Accept"),
            content_type: header("Content-Type"),
            body,
        })?;
        for (name, pointer) in step.map("save").into_iter().flatten() {
            let pointer = format!("/{}", pointer.as_str().unwrap().replace('.', "/"));
            saved.insert(name.clone(), answer.body.pointer(&pointer).cloned().unwrap_or_default());
        }
        if step.is_true("quiet") {
            continue;
        }
        let want = answers.next().unwrap();
        let mut got = normal(&answer.body, "");
        let mut expected = want.get("body").cloned().unwrap_or_default();
        if step.get("pick").is_some() {
            got = step.texts("pick").into_iter().map(|pointer| (pointer.to_owned(), pick(&got, pointer))).collect();
        }
        without_managed_fields(&mut got);
        without_managed_fields(&mut expected);
        let path = format!("step {index}");
        if want.get("status") != Some(&Value::from(answer.code)) {
            differences.push(format!("{path}: want code {:?}, got {}: {}", want.get("status"), answer.code, got));
        }
        let warnings: Vec<String> = answer.warnings.iter().map(|text| crate::go_text::quote(text)).collect();
        let warnings = warnings.join(", 299 - ").replace("case-ns", "NS");
        if want.text("warning") != warnings {
            differences.push(format!("{path}: want warning {:?}, got {warnings:?}", want.text("warning")));
        }
        compare(&mut differences, &path, &expected, &got);
    }
    Some(differences)
}

fn pick(body: &Value, pointer: &str) -> Value {
    body.pointer(&format!("/{}", pointer.replace('.', "/"))).cloned().unwrap_or_default()
}

fn without_managed_fields(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.remove("managedFields");
            map.values_mut().for_each(without_managed_fields);
        }
        Value::Array(items) => items.iter_mut().for_each(without_managed_fields),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// What the recording replaced by words.
fn normal(value: &Value, key: &str) -> Value {
    match value {
        Value::Object(map) => {
            let mut out: Map<String, Value> = map
                .iter()
                .map(|(key, value)| {
                    let value = match (key.as_str(), value) {
                        ("resourceVersion", Value::String(text)) if !matches!(text.as_str(), "" | "0") => "RV".into(),
                        ("uid", Value::String(_)) => "UID".into(),
                        ("clusterIP", Value::String(text)) if !matches!(text.as_str(), "" | "None") => "IP".into(),
                        ("clusterIPs", Value::Array(list)) if *list != ["None"] => {
                            list.iter().map(|_| Value::from("IP")).collect()
                        }
                        ("nodePort" | "healthCheckNodePort", Value::Number(_)) => "NODEPORT".into(),
                        _ => normal(value, key),
                    };
                    (key.clone(), value)
                })
                .collect();
            sort_causes(&mut out);
            let generated = out.get("generateName").and_then(Value::as_str).map(str::to_owned);
            if let (Some(prefix), Some(Value::String(name))) = (generated, out.get_mut("name"))
                && name.starts_with(&prefix)
                && *name != prefix
            {
                *name = format!("{prefix}XXXXX");
            }
            Value::Object(out)
        }
        Value::Array(items) => items.iter().map(|item| normal(item, key)).collect(),
        Value::String(text) => normal_text(text, key),
        other => other.clone(),
    }
}

fn normal_text(text: &str, key: &str) -> Value {
    let bytes = text.as_bytes();
    if text.len() >= 20 && bytes[4] == b'-' && bytes[10] == b'T' && text.ends_with('Z') {
        return "TIME".into();
    }
    let age = key == "cells"
        && text.ends_with(['s', 'm', 'h', 'd', 'y'])
        && text.starts_with(|first: char| first.is_ascii_digit())
        && text.chars().all(|character| character.is_ascii_digit() || "smhdy".contains(character));
    if age {
        return "AGE".into();
    }
    if key == "cells" && text.parse::<std::net::Ipv4Addr>().is_ok() {
        return "IP".into();
    }
    Value::from(text.replace("case-ns", "NS").replace("00000000-0000-0000-0000-000000000000", "UUID"))
}

/// Several causes come in no fixed order, in the list and in the message alike.
fn sort_causes(status: &mut Map<String, Value>) {
    if status.get("kind") != Some(&Value::from("Status")) {
        return;
    }
    let Some(causes) = status.get_mut("details").and_then(|details| details.get_mut("causes")) else { return };
    let Some(causes) = causes.as_array_mut().filter(|causes| causes.len() > 1) else { return };
    causes.sort_by_key(|cause| (cause.text("field").to_owned(), cause.text("message").to_owned()));
    if let Some(Value::String(message)) = status.get_mut("message") {
        let head = message.split(": [").next().unwrap_or_default();
        *message = format!("{head}: [causes]");
    }
}

fn compare(differences: &mut Vec<String>, path: &str, want: &Value, got: &Value) {
    match (want, got) {
        (Value::Object(left), Value::Object(right)) => {
            for (key, want) in left {
                match right.get(key) {
                    Some(got) => compare(differences, &format!("{path}.{key}"), want, got),
                    None => differences.push(format!("{path}.{key}: missing, want {want}")),
                }
            }
            for key in right.keys().filter(|key| !left.contains_key(*key)) {
                differences.push(format!("{path}.{key}: not in the reference, got {}", right[key]));
            }
        }
        (Value::Array(left), Value::Array(right)) if left.len() == right.len() => {
            for (index, (want, got)) in left.iter().zip(right).enumerate() {
                compare(differences, &format!("{path}[{index}]"), want, got);
            }
        }
        _ if want == got => {}
        _ => differences.push(format!("{path}: want {want}, got {got}")),
    }
}
