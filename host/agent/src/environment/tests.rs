use std::net::Ipv4Addr;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn facts() -> Facts {
    Facts {
        pod_ip: Ipv4Addr::new(100, 64, 0, 2).into(),
        host_ip: Ipv4Addr::LOCALHOST.into(),
        cpu_millis: 2000,
        memory_bytes: 1 << 30,
        storage_bytes: 1 << 40,
    }
}

fn pod(container: &Value) -> Pod {
    serde_json::from_value(json!({
        "metadata": {
            "name": "web", "namespace": "shop", "uid": "u", "labels": { "app": "x" }, "annotations": { "a/b": "y" },
        },
        "spec": { "nodeName": "n1", "serviceAccountName": "sa", "containers": [container] },
    }))
    .unwrap()
}

fn sources() -> Sources {
    let data = |pairs: &[(&str, &str)]| {
        Arc::new(pairs.iter().map(|(key, value)| ((*key).to_owned(), value.as_bytes().to_vec())).collect())
    };
    HashMap::from([
        ((SourceKind::ConfigMap, "settings".to_owned()), data(&[("COLOR", "blue"), ("SIZE", "9"), ("bad=key", "z")])),
        ((SourceKind::Secret, "keys".to_owned()), data(&[("TOKEN", "t0p")])),
    ])
}

fn environment(container: &Value) -> Result<Vec<(String, String)>, EnvironmentError> {
    let pod = pod(container);
    build(&pod, &pod.spec.as_ref().unwrap().containers[0], &facts(), &sources())
}

fn text(container: &Value) -> String {
    let list = environment(container).unwrap();
    list.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(" ")
}

#[test]
fn variables_come_from_everywhere_and_the_last_one_counts() {
    let container = json!({
        "name": "c",
        "envFrom": [
            { "prefix": "P_", "configMapRef": { "name": "settings" } },
            { "secretRef": { "name": "keys" } },
            { "configMapRef": { "name": "gone", "optional": true } },
        ],
        "env": [
            { "name": "P_SIZE", "value": "10" },
            { "name": "URL", "value": "http://$(HOST):$(P_SIZE)/$$(P_SIZE)/$(LATER)" },
            { "name": "HOST", "value": "h" },
            { "name": "ONE", "valueFrom": { "configMapKeyRef": { "name": "settings", "key": "COLOR" } } },
            { "name": "TWO", "valueFrom": { "secretKeyRef": { "name": "keys", "key": "TOKEN" } } },
            { "name": "NONE", "valueFrom": { "secretKeyRef": { "name": "keys", "key": "NO", "optional": true } } },
        ],
    });
    assert_eq!(
        text(&container),
        "P_COLOR=blue P_SIZE=10 TOKEN=t0p URL=http://$(HOST):10/$(P_SIZE)/$(LATER) HOST=h ONE=blue TWO=t0p"
    );
    let pod = pod(&container);
    assert_eq!(
        needs(&pod.spec.unwrap().containers[0]),
        [
            (SourceKind::ConfigMap, "gone".to_owned()),
            (SourceKind::ConfigMap, "settings".to_owned()),
            (SourceKind::Secret, "keys".to_owned()),
        ]
    );
}

#[test]
fn fields_and_resources_are_told() {
    let field = |name: &str, path: &str| json!({ "name": name, "valueFrom": { "fieldRef": { "fieldPath": path } } });
    let amount = |name: &str, resource: &str, divisor: &str| json!({ "name": name, "valueFrom": { "resourceFieldRef": { "resource": resource, "divisor": divisor } } });
    let container = json!({
        "name": "c",
        "resources": { "limits": { "cpu": "1500m", "memory": "64Mi" }, "requests": { "cpu": "250m" } },
        "env": [
            field("A", "metadata.name"), field("B", "metadata.namespace"), field("C", "metadata.uid"),
            field("D", "metadata.labels['app']"), field("E", "metadata.annotations['a/b']"),
            field("F", "spec.nodeName"), field("G", "spec.serviceAccountName"), field("H", "status.hostIP"),
            field("I", "status.podIP"), field("J", "metadata.labels['none']"),
            amount("K", "limits.cpu", "1"), amount("L", "limits.cpu", "1m"), amount("M", "limits.memory", "1Mi"),
            amount("N", "requests.cpu", "0"), amount("O", "requests.memory", "1"),
            amount("P", "limits.ephemeral-storage", "1Gi"),
        ],
    });
    assert_eq!(
        text(&container),
        "A=web B=shop C=u D=x E=y F=n1 G=sa H=127.0.0.1 I=100.64.0.2 J= K=2 L=1500 M=64 N=1 O=0 P=1024"
    );
}

#[test]
fn what_is_missing_is_named() {
    let from = |source: &Value| json!({ "name": "c", "env": [{ "name": "X", "valueFrom": source }] });
    for (container, expected) in [
        (from(&json!({ "configMapKeyRef": { "name": "gone", "key": "k" } })), "configmap \"gone\" not found"),
        (
            from(&json!({ "configMapKeyRef": { "name": "settings", "key": "k" } })),
            "couldn't find key k in ConfigMap shop/settings",
        ),
        (from(&json!({ "secretKeyRef": { "name": "keys", "key": "k" } })), "couldn't find key k in Secret shop/keys"),
        (json!({ "name": "c", "envFrom": [{ "secretRef": { "name": "gone" } }] }), "secret \"gone\" not found"),
        (from(&json!({ "fieldRef": { "fieldPath": "spec.x" } })), "unsupported fieldPath: spec.x"),
        (from(&json!({ "resourceFieldRef": { "resource": "limits.x" } })), "unsupported resource: limits.x"),
    ] {
        assert_eq!(environment(&container).unwrap_err().to_string(), expected);
    }
}

#[test]
fn dollars_are_handled_as_upstream_documents_them() {
    let lookup = |name: &str| (name == "A").then_some("1");
    for (text, expected) in [
        ("$(A)", "1"),
        ("$$(A)", "$(A)"),
        ("$$$(A)", "$1"),
        ("$(B)", "$(B)"),
        ("$A $", "$A $"),
        ("$(A", "$(A"),
        ("a$(A)b$(A)c", "a1b1c"),
        ("$()", "$()"),
    ] {
        assert_eq!(expand(text, lookup), expected);
    }
}

proptest! {
    #[test]
    fn text_without_dollars_is_left_alone(text in "[^$]*") {
        prop_assert_eq!(expand(&text, |_| None), text);
    }

    #[test]
    fn any_text_expands(text in "[$()A-C]*") {
        expand(&text, |name| (name == "A").then_some("$(B)"));
    }
}
