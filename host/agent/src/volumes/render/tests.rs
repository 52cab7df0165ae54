use std::net::Ipv4Addr;

use serde_json::{Value, json};

use super::*;

fn facts() -> Facts {
    Facts {
        pod_ip: Ipv4Addr::LOCALHOST.into(),
        host_ip: Ipv4Addr::LOCALHOST.into(),
        cpu_millis: 2000,
        memory_bytes: 1 << 30,
        storage_bytes: 1 << 40,
    }
}

fn pod() -> Pod {
    serde_json::from_value(json!({
        "metadata": {
            "name": "web", "namespace": "shop", "uid": "u1",
            "labels": { "app": "web", "tier": "a \"b\"" }, "annotations": { "note": "x\ny" },
        },
        "spec": { "containers": [{ "name": "c", "resources": { "limits": { "cpu": "500m" } } }] },
    }))
    .unwrap()
}

/// The files of a volume as `path(mode)=contents`, or the error.
fn check(volume: &Value, wanted: &[&str]) {
    let volume: Volume = serde_json::from_value(volume.clone()).unwrap();
    let data = |pairs: &[(&str, &str)]| {
        let pairs = pairs.iter().map(|(key, value)| ((*key).to_owned(), value.as_bytes().to_vec()));
        Some(Arc::new(pairs.collect::<Data>()))
    };
    let objects = HashMap::from([
        ((SourceKind::ConfigMap, "cfg".to_owned()), data(&[("a", "1"), ("b", "2")])),
        ((SourceKind::Secret, "key".to_owned()), data(&[("pw", "s")])),
        ((SourceKind::ConfigMap, "gone".to_owned()), None),
    ]);
    let tokens = HashMap::from([(TokenSpec { audience: None, seconds: 3607 }, "ey.t".to_owned())]);
    let (pod, facts) = (pod(), facts());
    let material = Material { pod: &pod, facts: &facts, objects: &objects, tokens: &tokens };
    let show =
        |(path, file): (String, File)| format!("{path}({:o})={}", file.mode, String::from_utf8_lossy(&file.contents));
    let found = match files(&volume, &material) {
        Ok(files) => files.into_iter().map(show).collect(),
        Err(error) => vec![format!("error: {error}")],
    };
    assert_eq!(found, wanted);
}

#[test]
fn all_keys_or_the_named_ones_with_their_modes() {
    check(&json!({ "name": "v", "configMap": { "name": "cfg" } }), &["a(644)=1", "b(644)=2"]);
    check(
        &json!({ "name": "v", "configMap": { "name": "cfg", "defaultMode": 0o400, "items": [
            { "key": "a", "path": "x/y" }, { "key": "b", "path": "z", "mode": 0o600 }] } }),
        &["x/y(400)=1", "z(600)=2"],
    );
    check(&json!({ "name": "v", "secret": { "secretName": "key", "defaultMode": 0o440 } }), &["pw(440)=s"]);
}

#[test]
fn what_is_missing_is_told_in_kubelets_words() {
    check(&json!({ "name": "v", "configMap": { "name": "gone" } }), &["error: configmap \"gone\" not found"]);
    check(&json!({ "name": "v", "secret": { "secretName": "gone" } }), &["error: secret \"gone\" not found"]);
    check(&json!({ "name": "v", "configMap": { "name": "gone", "optional": true } }), &[]);
    let item = json!([{ "key": "no", "path": "p" }, { "key": "a", "path": "q" }]);
    check(
        &json!({ "name": "v", "configMap": { "name": "cfg", "items": item } }),
        &["error: configmap references non-existent config key: no"],
    );
    check(&json!({ "name": "v", "configMap": { "name": "cfg", "items": item, "optional": true } }), &["q(644)=1"]);
    check(
        &json!({ "name": "v", "projected": { "sources": [
            { "configMap": { "name": "gone" } }, { "secret": { "name": "gone" } }] } }),
        &["error: [configmap \"gone\" not found, secret \"gone\" not found]"],
    );
}

#[test]
fn the_volume_that_every_pod_gets_has_its_three_files() {
    check(
        &json!({ "name": "kube-api-access-x", "projected": { "defaultMode": 0o644, "sources": [
            { "serviceAccountToken": { "expirationSeconds": 3607, "path": "token" } },
            { "configMap": { "name": "cfg", "items": [{ "key": "a", "path": "ca.crt" }] } },
            { "downwardAPI": { "items": [
                { "path": "namespace", "fieldRef": { "apiVersion": "v1", "fieldPath": "metadata.namespace" } }] } },
        ] } }),
        &["ca.crt(644)=1", "namespace(644)=shop", "token(644)=ey.t"],
    );
}

#[test]
fn fields_and_resources_of_the_pod_become_files() {
    check(
        &json!({ "name": "v", "downwardAPI": { "items": [
            { "path": "labels", "fieldRef": { "fieldPath": "metadata.labels" } },
            { "path": "notes", "fieldRef": { "fieldPath": "metadata.annotations" } },
            { "path": "app", "fieldRef": { "fieldPath": "metadata.labels['app']" } },
            { "path": "cpu", "mode": 0o600, "resourceFieldRef":
                { "containerName": "c", "resource": "limits.cpu", "divisor": "1m" } },
        ] } }),
        &["app(644)=web", "cpu(600)=500", "labels(644)=app=\"web\"\ntier=\"a \\\"b\\\"\"", "notes(644)=note=\"x\\ny\""],
    );
}
