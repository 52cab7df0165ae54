//! What is refused, in whose words, beyond the recorded answers. Each expectation is what upstream's rules give.

#![expect(clippy::needless_pass_by_value, reason = "a test case reads best with its object in place")]

use serde_json::{Value, json};

use super::server::default;
use crate::kind::{Part, find};
use crate::status::FieldError;

fn texts(errors: &[FieldError]) -> Vec<String> {
    errors.iter().map(ToString::to_string).collect()
}

fn create(group: &str, plural: &str, mut object: Value) -> Vec<String> {
    let kind = find(group, "v1", plural).unwrap();
    default(kind, &mut object);
    kind.prepare_create(&mut object);
    if kind.namespaced && object["metadata"]["namespace"].is_null() {
        object["metadata"]["namespace"] = json!("n");
    }
    texts(&kind.validate_create(&object))
}

fn update(plural: &str, part: Part, old: Value, change: impl FnOnce(&mut Value)) -> Vec<String> {
    let kind = find("", "v1", plural).unwrap();
    let mut old = old;
    default(kind, &mut old);
    kind.prepare_create(&mut old);
    old["metadata"]["resourceVersion"] = json!("1");
    if kind.namespaced {
        old["metadata"]["namespace"] = json!("n");
    }
    let mut new = old.clone();
    change(&mut new);
    default(kind, &mut new);
    kind.prepare_update(part, &mut new, &old);
    texts(&kind.validate_update(part, &new, &old))
}

/// A pod with one good container, and `spec` laid over its spec.
fn pod(spec: Value) -> Vec<String> {
    let mut object = json!({
        "metadata": { "name": "x" },
        "spec": { "containers": [{ "name": "c", "image": "i" }] },
    });
    crate::patch::merge::merge(&mut object["spec"], &spec);
    create("", "pods", object)
}

/// A pod whose one container has these fields.
fn container(fields: Value) -> Vec<String> {
    let mut container = json!({ "name": "c", "image": "i" });
    crate::patch::merge::merge(&mut container, &fields);
    pod(json!({ "containers": [container], "volumes": [{ "name": "v", "emptyDir": {} }] }))
}

const NOTHING: [&str; 0] = [];
const LABEL: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";

#[test]
fn a_plain_pod_is_fine() {
    assert_eq!(pod(json!({})), NOTHING);
}

#[test]
fn containers_need_names_images_and_different_names() {
    assert_eq!(
        pod(
            json!({ "containers": [{ "name": "C_1" }, { "name": "a", "image": " i" }, { "name": "a", "image": "i" }] })
        ),
        [
            format!("spec.containers[0].name: Invalid value: \"C_1\": {LABEL}"),
            "spec.containers[0].image: Required value".to_owned(),
            "spec.containers[2].name: Duplicate value: \"a\"".to_owned(),
            "spec.containers[1].image: Invalid value: \" i\": must not have leading or trailing whitespace".to_owned(),
        ]
    );
    assert_eq!(
        pod(json!({ "initContainers": [{ "name": "c", "image": "i", "restartPolicy": "Never" }] })),
        [
            "spec.initContainers[0].restartPolicy: Unsupported value: \"Never\": supported values: \"Always\"",
            "spec.initContainers[0].name: Duplicate value: \"c\"",
        ]
    );
    assert_eq!(
        container(json!({ "restartPolicy": "Always", "imagePullPolicy": "Soon", "terminationMessagePolicy": "X" })),
        [
            "spec.containers[0].terminationMessagePolicy: Unsupported value: \"X\": supported values: \"File\", \"FallbackToLogsOnError\"",
            "spec.containers[0].imagePullPolicy: Unsupported value: \"Soon\": supported values: \"Always\", \"IfNotPresent\", \"Never\"",
            "spec.containers[0].restartPolicy: Forbidden: may not be set for non-init containers",
        ]
    );
}

#[test]
fn ephemeral_containers_come_later() {
    assert_eq!(
        pod(json!({ "ephemeralContainers": [{ "name": "d", "image": "i", "ports": [{ "containerPort": 1 }] }] })),
        [
            "spec.ephemeralContainers[0].ports: Forbidden: cannot be set for an Ephemeral Container",
            "spec.ephemeralContainers: Forbidden: cannot be set on create",
        ]
    );
}

#[test]
fn ports_are_numbers_with_names() {
    assert_eq!(
        container(json!({ "ports": [
            { "name": "web", "containerPort": 80, "hostPort": 8080 },
            { "name": "web", "containerPort": 70000, "hostPort": 8080, "protocol": "QUIC" },
            { "name": "1--", "hostPort": -1 },
        ] })),
        [
            "spec.containers[0].ports[1].name: Duplicate value: \"web\"",
            "spec.containers[0].ports[1].containerPort: Invalid value: 70000: must be between 1 and 65535, inclusive",
            "spec.containers[0].ports[1].protocol: Unsupported value: \"QUIC\": supported values: \"SCTP\", \"TCP\", \"UDP\"",
            "spec.containers[0].ports[2].name: Invalid value: \"1--\": must contain at least one letter (a-z)",
            "spec.containers[0].ports[2].name: Invalid value: \"1--\": must not contain consecutive hyphens",
            "spec.containers[0].ports[2].name: Invalid value: \"1--\": must not begin or end with a hyphen",
            "spec.containers[0].ports[2].containerPort: Required value",
            "spec.containers[0].ports[2].hostPort: Invalid value: -1: must be between 1 and 65535, inclusive",
        ]
    );
    assert_eq!(
        container(json!({ "ports": [
            { "containerPort": 80, "hostPort": 8080 }, { "containerPort": 81, "hostPort": 8080 },
        ] })),
        ["spec.containers[0].ports[1].hostPort: Duplicate value: \"TCP//8080\""]
    );
}

#[test]
fn variables_have_one_source() {
    assert_eq!(
        container(json!({
            "env": [
                { "name": "A=B" },
                { "name": "B", "valueFrom": {} },
                { "name": "C", "valueFrom": { "fieldRef": { "fieldPath": "status.phase" } } },
                { "name": "D", "valueFrom": { "fieldRef": { "fieldPath": "spec.nosuch" } } },
                { "name": "E", "valueFrom": { "configMapKeyRef": { "name": "m", "key": "" }, "secretKeyRef": { "name": "s", "key": "k" } } },
                { "name": "F", "valueFrom": { "resourceFieldRef": { "resource": "limits.cpu", "divisor": "1Ki" } } },
            ],
            "envFrom": [{ "prefix": "P" }, { "configMapRef": { "name": "" } }],
        })),
        [
            "spec.containers[0].env[0].name: Invalid value: \"A=B\": a valid environment variable name must consist only of printable ASCII characters other than '='",
            "spec.containers[0].env[1].valueFrom: Invalid value: \"\": must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef` or `secretKeyRef`",
            "spec.containers[0].env[2].valueFrom.fieldRef.fieldPath: Unsupported value: \"status.phase\": supported values: \"metadata.name\", \"metadata.namespace\", \"metadata.uid\", \"spec.nodeName\", \"spec.serviceAccountName\", \"status.hostIP\", \"status.hostIPs\", \"status.podIP\", \"status.podIPs\"",
            "spec.containers[0].env[3].valueFrom.fieldRef.fieldPath: Invalid value: \"spec.nosuch\": error converting fieldPath: field label not supported: spec.nosuch",
            "spec.containers[0].env[4].valueFrom.configMapKeyRef.key: Required value",
            "spec.containers[0].env[4].valueFrom: Invalid value: \"\": may not have more than one field specified at a time",
            "spec.containers[0].env[5].valueFrom.resourceFieldRef.divisor: Invalid value: \"limits.cpu\": only divisor's values 1m and 1 are supported with the cpu resource",
            "spec.containers[0].envFrom: Invalid value: \"\": must specify one of: `configMapRef` or `secretRef`",
            "spec.containers[0].envFrom[1].configMapRef.name: Required value",
        ]
    );
}

#[test]
fn probes_and_hooks_do_one_thing() {
    assert_eq!(
        container(json!({
            "livenessProbe": { "exec": { "command": [] }, "successThreshold": 2 },
            "readinessProbe": { "tcpSocket": { "port": "a-name-that-is-too-long" }, "terminationGracePeriodSeconds": 0 },
            "startupProbe": { "httpGet": { "port": 80, "scheme": "FTP", "httpHeaders": [{ "name": "a b", "value": "" }] }, "grpc": { "port": 1 } },
            "lifecycle": { "preStop": { "sleep": { "seconds": 31 } }, "postStart": {} },
        })),
        [
            "spec.containers[0].lifecycle.postStart: Required value: must specify a handler type",
            "spec.containers[0].lifecycle.preStop.sleep: Invalid value: 31: must be non-negative and less than terminationGracePeriodSeconds (30)",
            "spec.containers[0].livenessProbe.exec.command: Required value",
            "spec.containers[0].livenessProbe.successThreshold: Invalid value: 2: must be 1",
            "spec.containers[0].readinessProbe.tcpSocket.port: Invalid value: \"a-name-that-is-too-long\": must be no more than 15 characters",
            "spec.containers[0].readinessProbe.terminationGracePeriodSeconds: Invalid value: 0: must be greater than 0",
            "spec.containers[0].readinessProbe.terminationGracePeriodSeconds: Invalid value: 0: must not be set for readinessProbes",
            "spec.containers[0].startupProbe.httpGet.scheme: Unsupported value: \"FTP\": supported values: \"HTTP\", \"HTTPS\"",
            "spec.containers[0].startupProbe.httpGet.httpHeaders: Invalid value: \"a b\": a valid HTTP header must consist of alphanumeric characters or '-' (e.g. 'X-Header-Name', regex used for validation is '[-A-Za-z0-9]+')",
            "spec.containers[0].startupProbe.grpc: Forbidden: may not specify more than 1 handler type",
        ]
    );
    assert_eq!(
        pod(json!({ "initContainers": [{ "name": "i", "image": "i", "lifecycle": {}, "livenessProbe": {} }] })),
        [
            "spec.initContainers[0].lifecycle: Forbidden: may not be set for init containers without restartPolicy=Always",
            "spec.initContainers[0].livenessProbe: Forbidden: may not be set for init containers without restartPolicy=Always",
        ]
    );
}

#[test]
fn resources_have_known_names_and_sensible_amounts() {
    let resources = |resources: Value| container(json!({ "resources": resources }));
    assert_eq!(
        resources(json!({ "limits": { "coracle.dev/fuel": "5G", "cpu": "500m" }, "requests": { "cpu": "100m" } })),
        NOTHING
    );
    assert_eq!(
        resources(json!({ "limits": { "gpu": "1", "pods": "1", "cpu": "-1", "example.com/x": "1500m" } })),
        [
            "spec.containers[0].resources.limits[cpu]: Invalid value: \"-1\": must be greater than or equal to 0",
            "spec.containers[0].resources.limits[example.com/x]: Invalid value: \"1500m\": must be an integer",
            "spec.containers[0].resources.limits[gpu]: Invalid value: \"gpu\": must be a standard resource type or fully qualified",
            "spec.containers[0].resources.limits[gpu]: Invalid value: \"gpu\": must be a standard resource for containers",
            "spec.containers[0].resources.limits[pods]: Invalid value: \"pods\": must be a standard resource for containers",
            "spec.containers[0].resources.requests[cpu]: Invalid value: \"-1\": must be greater than or equal to 0",
            "spec.containers[0].resources.requests[example.com/x]: Invalid value: \"1500m\": must be an integer",
            "spec.containers[0].resources.requests[gpu]: Invalid value: \"gpu\": must be a standard resource type or fully qualified",
            "spec.containers[0].resources.requests[gpu]: Invalid value: \"gpu\": must be a standard resource for containers",
            "spec.containers[0].resources.requests[pods]: Invalid value: \"pods\": must be a standard resource for containers",
        ]
    );
    assert_eq!(
        resources(json!({ "requests": { "coracle.dev/fuel": "1" } })),
        ["spec.containers[0].resources.limits: Required value: Limit must be set for non overcommitable resources"]
    );
    assert_eq!(
        resources(json!({ "requests": { "coracle.dev/fuel": "1" }, "limits": { "coracle.dev/fuel": "2" } })),
        ["spec.containers[0].resources.requests: Invalid value: \"1\": must be equal to coracle.dev/fuel limit of 2"]
    );
    assert_eq!(
        resources(json!({ "limits": { "hugepages-2Mi": "3Mi" } })),
        [
            "spec.containers[0].resources.limits[hugepages-2Mi]: Invalid value: \"3Mi\": 3Mi is not positive integer multiple of hugepages-2Mi",
            "spec.containers[0].resources.requests[hugepages-2Mi]: Invalid value: \"3Mi\": 3Mi is not positive integer multiple of hugepages-2Mi",
            "spec.containers[0].resources: Forbidden: HugePages require cpu or memory",
        ]
    );
}

#[test]
fn volumes_have_one_source_and_mounts_have_a_volume() {
    assert_eq!(
        pod(json!({ "volumes": [
            { "name": "a", "configMap": {} },
            { "name": "b", "emptyDir": {}, "secret": { "secretName": "s" } },
            { "name": "c", "hostPath": { "path": "/a/../b", "type": "Door" } },
            { "name": "d", "secret": { "secretName": "s", "defaultMode": 1024, "items": [{ "key": "", "path": "/abs" }] } },
            { "name": "e", "projected": { "sources": [{ "serviceAccountToken": { "path": "..t", "expirationSeconds": 1 } }] } },
            { "name": "f" }, { "name": "f" },
            { "name": "g", "persistentVolumeClaim": { "claimName": "" } },
        ], "serviceAccountName": "default" })),
        [
            "spec.volumes[0].configMap.name: Required value",
            "spec.volumes[1].secret: Forbidden: may not specify more than 1 volume type",
            "spec.volumes[2].hostPath.path: Invalid value: \"/a/../b\": must not contain '..'",
            "spec.volumes[2].hostPath.type: Unsupported value: \"Door\": supported values: \"\", \"BlockDevice\", \"CharDevice\", \"Directory\", \"DirectoryOrCreate\", \"File\", \"FileOrCreate\", \"Socket\"",
            "spec.volumes[3].secret.defaultMode: Invalid value: 1024: must be a number between 0 and 0777 (octal), both inclusive",
            "spec.volumes[3].secret.items[0].key: Required value",
            "spec.volumes[3].secret.items[0].path: Invalid value: \"/abs\": must be a relative path",
            "spec.volumes[4].projected.sources[0].serviceAccountToken.expirationSeconds: Invalid value: 1: may not specify a duration less than 10 minutes",
            "spec.volumes[4].projected.path: Invalid value: \"..t\": must not start with '..'",
            "spec.volumes[6].name: Duplicate value: \"f\"",
            "spec.volumes[7].persistentVolumeClaim.claimName: Required value",
        ]
    );
    assert_eq!(
        container(json!({ "volumeMounts": [
            { "name": "v", "mountPath": "/d", "subPath": "../x" },
            { "name": "v", "mountPath": "/d", "mountPropagation": "Bidirectional" },
            { "name": "", "mountPath": "" },
        ] })),
        [
            "spec.containers[0].volumeMounts.subPath: Invalid value: \"../x\": must not contain '..'",
            "spec.containers[0].volumeMounts[1].mountPath: Invalid value: \"/d\": must be unique",
            "spec.containers[0].volumeMounts.mountPropagation: Forbidden: Bidirectional mount propagation is available only to privileged containers",
            "spec.containers[0].volumeMounts[2].name: Required value",
            "spec.containers[0].volumeMounts[2].name: Not found: \"\"",
            "spec.containers[0].volumeMounts[2].mountPath: Required value",
        ]
    );
}

#[test]
fn policies_and_names_of_a_pod_are_checked() {
    assert_eq!(
        pod(json!({
            "restartPolicy": "Sometimes", "dnsPolicy": "None", "activeDeadlineSeconds": 0, "hostname": "A",
            "nodeName": "n_1", "schedulingGates": [{ "name": "g" }, { "name": "g" }],
            "preemptionPolicy": "Push", "os": { "name": "plan9" },
            "hostAliases": [{ "ip": "300.1.1.1", "hostnames": ["a_b"] }],
        })),
        [
            "spec.restartPolicy: Unsupported value: \"Sometimes\": supported values: \"Always\", \"OnFailure\", \"Never\"",
            "spec.dnsConfig: Required value: must provide `dnsConfig` when `dnsPolicy` is None",
            "spec.schedulingGates[1]: Duplicate value: \"g\"",
            "spec.nodeName: Invalid value: \"n_1\": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')",
            "spec.activeDeadlineSeconds: Invalid value: 0: must be between 1 and 2147483647, inclusive",
            &format!("spec.hostname: Invalid value: \"A\": {LABEL}"),
            "spec.hostAliases[0].ip: Invalid value: \"300.1.1.1\": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)",
            "spec.hostAliases[0].hostnames[0]: Invalid value: \"a_b\": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')",
            "spec.preemptionPolicy: Unsupported value: \"Push\": supported values: \"PreemptLowerPriority\", \"Never\"",
            "spec.os: Unsupported value: \"plan9\": supported values: \"linux\", \"windows\"",
            "spec.nodeName: Forbidden: cannot be set until all schedulingGates have been cleared",
        ]
    );
}

#[test]
fn affinity_says_what_it_means() {
    assert_eq!(
        pod(json!({ "affinity": {
            "nodeAffinity": {
                "requiredDuringSchedulingIgnoredDuringExecution": { "nodeSelectorTerms": [
                    { "matchExpressions": [{ "key": "k", "operator": "In" }, { "key": "k", "operator": "Near" }] },
                    { "matchFields": [{ "key": "metadata.uid", "operator": "In", "values": ["a"] }] },
                ] },
                "preferredDuringSchedulingIgnoredDuringExecution": [{ "weight": 0, "preference": {} }],
            },
            "podAntiAffinity": { "requiredDuringSchedulingIgnoredDuringExecution": [
                { "topologyKey": "", "labelSelector": { "matchExpressions": [{ "key": "k", "operator": "Exists", "values": ["v"] }] } },
            ] },
        } })),
        [
            "spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[0].matchExpressions[0].values: Required value: must be specified when `operator` is 'In' or 'NotIn'",
            "spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[0].matchExpressions[1].operator: Invalid value: \"Near\": not a valid selector operator",
            "spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[1].matchFields[0].key: Invalid value: \"metadata.uid\": not a valid field selector key",
            "spec.affinity.nodeAffinity.preferredDuringSchedulingIgnoredDuringExecution[0].weight: Invalid value: 0: must be in the range 1-100",
            "spec.affinity.podAntiAffinity.requiredDuringSchedulingIgnoredDuringExecution[0].labelSelector.matchExpressions[0].values: Forbidden: may not be specified when `operator` is 'Exists' or 'DoesNotExist'",
            "spec.affinity.podAntiAffinity.requiredDuringSchedulingIgnoredDuringExecution[0].topologyKey: Required value: can not be empty",
            "spec.affinity.podAntiAffinity.requiredDuringSchedulingIgnoredDuringExecution[0].topologyKey: Invalid value: \"\": name part must be non-empty",
            "spec.affinity.podAntiAffinity.requiredDuringSchedulingIgnoredDuringExecution[0].topologyKey: Invalid value: \"\": name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')",
        ]
    );
}

#[test]
fn security_contexts_are_checked() {
    assert_eq!(
        pod(json!({
            "securityContext": { "runAsUser": -1, "seccompProfile": { "type": "Localhost" }, "fsGroupChangePolicy": "Maybe",
                "sysctls": [{ "name": "A b", "value": "1" }] },
            "containers": [{ "name": "c", "image": "i", "securityContext": { "privileged": true, "procMount": "Unmasked",
                "appArmorProfile": { "type": "X" } } }],
        })),
        [
            "spec.containers[0].securityContext.privileged: Forbidden: disallowed by cluster policy",
            "spec.containers[0].securityContext.procMount: Invalid value: \"Unmasked\": `hostUsers` must be false to use `Unmasked`",
            "spec.containers[0].securityContext.appArmorProfile.type: Unsupported value: \"X\": supported values: \"Localhost\", \"RuntimeDefault\", \"Unconfined\"",
            "spec.securityContext.runAsUser: Invalid value: -1: must be between 0 and 2147483647, inclusive",
            "spec.securityContext.sysctls[0].name: Invalid value: \"A b\": must have at most 253 characters and match regex ^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?$",
            "spec.securityContext.fsGroupChangePolicy: Unsupported value: \"Maybe\": supported values: \"Always\", \"OnRootMismatch\"",
            "spec.securityContext.seccompProfile.localhostProfile: Required value: must be set when seccomp type is Localhost",
        ]
    );
}

#[test]
fn metadata_is_checked_for_every_kind() {
    assert_eq!(
        create(
            "",
            "configmaps",
            json!({ "metadata": {
            "name": "x", "labels": { "ok": "bad value!" }, "annotations": { "a b": "" }, "finalizers": ["mine"],
            "ownerReferences": [{ "kind": "Pod", "name": "p", "uid": "" }],
        } })
        ),
        [
            "metadata.labels: Invalid value: \"bad value!\": a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')",
            "metadata.annotations: Invalid value: \"a b\": name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')",
            "metadata.ownerReferences.apiVersion: Invalid value: \"\": version must not be empty",
            "metadata.ownerReferences.uid: Invalid value: \"\": must not be empty",
            "metadata.finalizers[0]: Invalid value: \"mine\": name is neither a standard finalizer name nor is it fully qualified",
        ]
    );
    assert_eq!(
        create("", "namespaces", json!({ "metadata": { "name": "a.b", "namespace": "n" } })),
        [
            "metadata.name: Invalid value: \"a.b\": must not contain dots".to_owned(),
            "metadata.namespace: Forbidden: not allowed on this type".to_owned(),
        ]
    );
    let long = "x".repeat(262_144);
    assert_eq!(
        create("", "configmaps", json!({ "metadata": { "name": "x", "annotations": { "a": long } } })),
        ["metadata.annotations: Too long: may not be more than 262144 bytes"]
    );
}

#[test]
fn identity_does_not_change() {
    let object = json!({ "metadata": { "name": "x", "uid": "1", "creationTimestamp": "2026-01-01T00:00:00Z" } });
    let errors = update("configmaps", Part::Object, object, |new| {
        new["metadata"]["uid"] = json!("2");
        new["metadata"]["creationTimestamp"] = json!("2027-01-01T00:00:00Z");
        new["metadata"]["generation"] = json!(7);
    });
    let once = [
        "metadata.uid: Invalid value: \"2\": field is immutable",
        "metadata.creationTimestamp: Invalid value: \"2027-01-01T00:00:00Z\": field is immutable",
    ];
    assert_eq!(errors, [once, once].concat());
}

#[test]
fn secrets_have_what_their_type_demands() {
    let secret = |kind: &str, data: Value| {
        create("", "secrets", json!({ "metadata": { "name": "x" }, "type": kind, "data": data }))
    };
    assert_eq!(secret("", json!({ "k": "dg==" })), NOTHING);
    assert_eq!(
        secret("kubernetes.io/tls", json!({})),
        ["data[tls.crt]: Required value", "data[tls.key]: Required value"]
    );
    assert_eq!(
        secret("kubernetes.io/basic-auth", json!({})),
        ["data[username]: Required value", "data[password]: Required value"]
    );
    assert_eq!(secret("kubernetes.io/ssh-auth", json!({})), ["data[ssh-privatekey]: Required value"]);
    assert_eq!(secret("kubernetes.io/dockerconfigjson", json!({})), ["data[.dockerconfigjson]: Required value"]);
    assert_eq!(secret("kubernetes.io/dockerconfigjson", json!({ ".dockerconfigjson": "e30=" })), NOTHING);
    assert_eq!(
        secret("kubernetes.io/service-account-token", json!({})),
        ["metadata.annotations[kubernetes.io/service-account.name]: Required value"]
    );
    let errors = update("secrets", Part::Object, json!({ "metadata": { "name": "x" } }), |new| {
        new["type"] = json!("other");
    });
    assert_eq!(errors, ["type: Invalid value: \"other\": field is immutable"]);
}

#[test]
fn config_maps_keep_keys_apart_and_frozen_ones_frozen() {
    assert_eq!(
        create(
            "",
            "configmaps",
            json!({ "metadata": { "name": "x" }, "data": { "k": "v" }, "binaryData": { "k": "dg==" } })
        ),
        ["data[k]: Invalid value: \"k\": duplicate of key present in binaryData"]
    );
    let big = "x".repeat(1024 * 1024 + 1);
    assert_eq!(
        create("", "configmaps", json!({ "metadata": { "name": "x" }, "data": { "k": big } })),
        ["[]: Too long: may not be more than 1048576 bytes"]
    );
}

#[test]
fn nodes_keep_their_addresses_and_have_sound_taints() {
    assert_eq!(
        create(
            "",
            "nodes",
            json!({ "metadata": { "name": "n" }, "spec": { "taints": [
            { "key": "k", "effect": "NoSchedule" }, { "key": "k", "effect": "NoSchedule" }, { "key": "k" },
        ], "podCIDR": "10.0.0.0/99" } })
        ),
        [
            "metadata.taints[1]: Duplicate value: {\"effect\":\"NoSchedule\",\"key\":\"k\"}: taints must be unique by key and effect pair",
            "metadata.taints[2].effect: Required value",
            "spec.podCIDRs[0]: Invalid value: \"10.0.0.0/99\": must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)",
        ]
    );
    let node = json!({ "metadata": { "name": "n" }, "spec": { "podCIDR": "10.0.0.0/24", "providerID": "a" } });
    let errors = update("nodes", Part::Object, node, |new| {
        new["spec"]["podCIDR"] = json!("10.0.1.0/24");
        new["spec"]["providerID"] = json!("b");
    });
    assert_eq!(
        errors,
        [
            "spec.podCIDRs: Forbidden: node updates may not change podCIDR except from \"\" to valid",
            "spec.providerID: Forbidden: node updates may not change providerID except from \"\" to valid",
        ]
    );
}

#[test]
fn events_are_about_their_own_namespace() {
    assert_eq!(
        create("", "events", json!({ "metadata": { "name": "e" }, "involvedObject": { "namespace": "other" } })),
        ["involvedObject.namespace: Invalid value: \"other\": does not match event.namespace"]
    );
    assert_eq!(
        create(
            "events.k8s.io",
            "events",
            json!({ "metadata": { "name": "e" }, "regarding": { "namespace": "n" }, "type": "Odd" })
        ),
        ["eventTime: Required value", "type: Invalid value: \"\": has invalid value: Odd",]
    );
    assert_eq!(
        create(
            "events.k8s.io",
            "events",
            json!({
                "metadata": { "name": "e" }, "regarding": { "namespace": "n" }, "type": "Normal",
                "eventTime": "2026-01-01T00:00:00.000000Z", "reportingController": "c", "deprecatedCount": 3,
            })
        ),
        [
            "reportingInstance: Required value",
            "action: Required value",
            "reason: Required value",
            "count: Invalid value: \"\": needs to be unset",
        ]
    );
}

#[test]
fn leases_last_some_time() {
    assert_eq!(
        create(
            "coordination.k8s.io",
            "leases",
            json!({ "metadata": { "name": "l" }, "spec": { "leaseDurationSeconds": 0, "leaseTransitions": -1 } })
        ),
        [
            "spec.leaseDurationSeconds: Invalid value: 0: must be greater than 0",
            "spec.leaseTransitions: Invalid value: -1: must be greater than or equal to 0",
        ]
    );
}

#[test]
fn a_namespace_keeps_its_finalizers_and_its_phase() {
    let errors = update("namespaces", Part::Status, json!({ "metadata": { "name": "n" } }), |new| {
        new["status"]["phase"] = json!("Terminating");
    });
    assert_eq!(
        errors,
        ["status.Phase: Invalid value: \"Terminating\": may only be 'Active' if `deletionTimestamp` is empty"]
    );
    let kind = find("", "v1", "namespaces").unwrap();
    let mut namespace = json!({ "metadata": { "name": "n" } });
    default(kind, &mut namespace);
    kind.prepare_create(&mut namespace);
    assert_eq!(namespace["spec"]["finalizers"], json!(["kubernetes"]));
    assert_eq!(namespace["metadata"]["labels"]["kubernetes.io/metadata.name"], "n");
    assert!(kind.behaviour.holds_deletion(&namespace));
}

#[test]
fn a_host_may_not_bring_an_ended_container_back() {
    let status = |state: Value| {
        move |pod: &mut Value| pod["status"]["containerStatuses"] = json!([{ "name": "c", "state": state }])
    };
    let kind = find("", "v1", "pods").unwrap();
    let mut old = json!({ "metadata": { "name": "x", "namespace": "n", "resourceVersion": "1" }, "spec": {
        "restartPolicy": "Never", "containers": [{ "name": "c", "image": "i" }] } });
    default(kind, &mut old);
    status(json!({ "terminated": { "exitCode": 1 } }))(&mut old);
    let mut new = old.clone();
    status(json!({ "running": {} }))(&mut new);
    new["status"]["podIPs"] = json!([{ "ip": "100.64.0.1" }, { "ip": "100.64.0.2" }]);
    default(kind, &mut new);
    kind.prepare_update(Part::Status, &mut new, &old);
    assert_eq!(
        texts(&kind.validate_update(Part::Status, &new, &old)),
        [
            "status.containerStatuses[0].state: Forbidden: may not be transitioned to non-terminated state",
            "status.podIPs: Invalid value: [{\"ip\":\"100.64.0.1\"},{\"ip\":\"100.64.0.2\"}]: may specify no more than one IP for each IP family",
        ]
    );
}

#[test]
fn a_pod_gets_time_to_end_only_where_it_runs() {
    let kind = find("", "v1", "pods").unwrap();
    let grace = |pod: Value, requested| kind.behaviour.graceful_deletion(&pod, requested);
    let bound =
        json!({ "spec": { "nodeName": "n", "terminationGracePeriodSeconds": 30 }, "status": { "phase": "Running" } });
    assert_eq!(grace(bound.clone(), None), Some(30));
    assert_eq!(grace(bound.clone(), Some(0)), Some(0));
    assert_eq!(grace(bound, Some(-5)), Some(1));
    assert_eq!(grace(json!({ "spec": { "terminationGracePeriodSeconds": 30 } }), None), Some(0));
    let ended =
        json!({ "spec": { "nodeName": "n", "terminationGracePeriodSeconds": 30 }, "status": { "phase": "Failed" } });
    assert_eq!(grace(ended, None), Some(0));
    let maps = find("", "v1", "configmaps").unwrap();
    assert_eq!(maps.behaviour.graceful_deletion(&json!({}), Some(30)), None);
}

#[test]
fn doubtful_pods_are_warned_about() {
    let kind = find("", "v1", "pods").unwrap();
    let mut pod = json!({ "metadata": { "name": "a.b" }, "spec": {
        "terminationGracePeriodSeconds": -1,
        "nodeSelector": { "beta.kubernetes.io/os": "linux" },
        "containers": [{ "name": "c", "image": "i",
            "env": [{ "name": "A", "value": "1" }, { "name": "A", "value": "2" }, { "name": "A", "value": "$(A)3" }],
            "ports": [{ "containerPort": 80 }, { "containerPort": 80 }],
            "resources": { "limits": { "memory": "1500m" } },
        }],
        "imagePullSecrets": [{ "name": "s" }, { "name": "s" }],
    } });
    default(kind, &mut pod);
    assert_eq!(
        kind.warnings(&pod, None),
        [
            "metadata.name: this is used in the Pod's hostname, which can result in surprising behavior; a DNS label is recommended: [must not contain dots]",
            "spec.nodeSelector[beta.kubernetes.io/os]: deprecated since v1.14; use \"kubernetes.io/os\" instead",
            "spec.imagePullSecrets[1].name: duplicate name \"s\"",
            "spec.containers[0].resources.limits[memory]: fractional byte value \"1500m\" is invalid, must be an integer",
            "spec.containers[0].resources.requests[memory]: fractional byte value \"1500m\" is invalid, must be an integer",
            "spec.containers[0].env[1]: hides previous definition of \"A\", which may be dropped when using apply",
            "spec.containers[0].ports[1]: duplicate port definition with spec.containers[0].ports[0]",
            "spec.terminationGracePeriodSeconds: must be >= 0; negative values are invalid and will be treated as 1",
        ]
    );
    assert_eq!(kind.warnings(&pod, Some(&pod)), NOTHING);
}

#[test]
fn a_pod_is_filled_in_as_upstream_does() {
    let kind = find("", "v1", "pods").unwrap();
    let mut pod = json!({ "metadata": { "name": "x" }, "spec": {
        "hostNetwork": true,
        "containers": [{ "name": "c", "image": "i:1", "ports": [{ "containerPort": 80 }],
            "resources": { "limits": { "cpu": "1", "memory": "1Gi" } },
            "livenessProbe": { "httpGet": { "port": 80 } },
            "env": [{ "name": "N", "valueFrom": { "fieldRef": { "fieldPath": "metadata.name" } } }] }],
        "volumes": [{ "name": "v" }, { "name": "m", "configMap": { "name": "m" } },
            { "name": "p", "projected": { "sources": [{ "serviceAccountToken": { "path": "t" } }] } }],
        "serviceAccount": "old",
    } });
    default(kind, &mut pod);
    kind.prepare_create(&mut pod);
    let container = &pod["spec"]["containers"][0];
    assert_eq!(container["ports"], json!([{ "containerPort": 80, "hostPort": 80, "protocol": "TCP" }]));
    assert_eq!(container["resources"]["requests"], json!({ "cpu": "1", "memory": "1Gi" }));
    assert_eq!(
        container["livenessProbe"],
        json!({ "httpGet": { "path": "/", "port": 80, "scheme": "HTTP" }, "timeoutSeconds": 1, "periodSeconds": 10,
            "successThreshold": 1, "failureThreshold": 3 })
    );
    assert_eq!(container["env"][0]["valueFrom"]["fieldRef"]["apiVersion"], "v1");
    assert_eq!(container["imagePullPolicy"], "IfNotPresent");
    assert_eq!(pod["spec"]["volumes"][0]["emptyDir"], json!({}));
    assert_eq!(pod["spec"]["volumes"][1]["configMap"]["defaultMode"], 420);
    let projected = &pod["spec"]["volumes"][2]["projected"];
    assert_eq!(projected["sources"][0]["serviceAccountToken"]["expirationSeconds"], 3600);
    assert_eq!(pod["spec"]["serviceAccountName"], "old");
    assert_eq!(pod["status"]["qosClass"], "Guaranteed");
    assert_eq!(pod["metadata"]["generation"], 1);
}

#[test]
fn the_pull_policy_follows_the_tag() {
    let kind = find("", "v1", "pods").unwrap();
    for (image, want) in [
        ("app", "Always"),
        ("app:latest", "Always"),
        ("app:1", "IfNotPresent"),
        ("registry.example:5000/app", "Always"),
        ("registry.example:5000/app:1", "IfNotPresent"),
        ("app@sha256:0123456789012345678901234567890123456789012345678901234567890123", "IfNotPresent"),
        ("file:///srv/app.wasm", "IfNotPresent"),
    ] {
        let mut pod = json!({ "spec": { "containers": [{ "image": image }] } });
        default(kind, &mut pod);
        assert_eq!(pod["spec"]["containers"][0]["imagePullPolicy"], want, "{image}");
    }
}

#[test]
fn volumes_of_old_are_refused_in_upstreams_words() {
    let volume = |source: Value| {
        let mut volume = json!({ "name": "v" });
        crate::patch::merge::merge(&mut volume, &source);
        pod(json!({ "volumes": [volume] }))
    };
    const PLACE: &str = "spec.volumes[0]";
    for (source, want) in [
        (json!({ "rbd": {} }), vec![".rbd.monitors: Required value", ".rbd.image: Required value"]),
        (
            json!({ "quobyte": { "registry": "host", "volume": "v" } }),
            vec![
                ".quobyte.registry: Invalid value: \"host\": must be a host:port pair or multiple pairs separated by commas",
            ],
        ),
        (json!({ "quobyte": { "registry": "host:1,[::1]:2", "volume": "v" } }), vec![]),
        (
            json!({ "iscsi": { "targetPortal": "p", "iqn": "iqn.x", "initiatorName": "x" } }),
            vec![
                ".iscsi.iqn: Invalid value: \"iqn.x\": must be valid format",
                ".iscsi.initiatorname: Invalid value: \"x\": must be valid format starting with iqn, eui, or naa",
            ],
        ),
        (
            json!({ "csi": { "driver": "d", "nodePublishSecretRef": { "name": "" } } }),
            vec![".csi.nodePublishSecretRef.name: Required value"],
        ),
        (
            json!({ "flexVolume": { "driver": "d", "options": { "kubernetes.io/x": "y" } } }),
            vec![
                ".flexVolume.options[kubernetes.io/x]: Invalid value: \"kubernetes.io/x\": kubernetes.io and k8s.io namespaces are reserved",
            ],
        ),
        (
            json!({ "ephemeral": { "volumeClaimTemplate": { "metadata": { "name": "x" }, "spec": {} } } }),
            vec![
                ".ephemeral.volumeClaimTemplate.metadata.Name: Forbidden: cannot be set for an ephemeral volume",
                ".ephemeral.volumeClaimTemplate.spec.accessModes: Required value: at least 1 access mode is required",
                ".ephemeral.volumeClaimTemplate.spec.resources[storage]: Required value",
            ],
        ),
    ] {
        let want: Vec<String> = want.iter().map(|text| format!("{PLACE}{text}")).collect();
        assert_eq!(volume(source.clone()), want, "{source}");
    }
}

#[test]
fn what_gets_into_each_others_way_in_a_pod_is_warned_of() {
    let kind = find("", "v1", "pods").unwrap();
    let warnings = |metadata: Value, spec: Value| {
        let mut object = json!({
            "metadata": { "name": "x" },
            "spec": { "containers": [{ "name": "c", "image": "i" }] },
        });
        crate::patch::merge::merge(&mut object, &json!({ "metadata": metadata, "spec": spec }));
        default(kind, &mut object);
        kind.prepare_create(&mut object);
        (kind.warnings(&object, None), object)
    };
    let items =
        |paths: &[&str]| json!(paths.iter().map(|path| json!({ "key": "k", "path": path })).collect::<Vec<_>>());
    let volumes = json!([
        { "name": "a", "configMap": { "name": "m", "items": items(&["path", "path/two"]) } },
        { "name": "b", "projected": { "sources": [
            { "secret": { "name": "s", "items": items(&["token"]) } },
            { "serviceAccountToken": { "path": "token" } },
        ] } },
    ]);
    let (told, _) = warnings(
        json!({}),
        json!({
            "volumes": volumes,
            "hostAliases": [{ "ip": "010.0.0.1", "hostnames": ["h"] }],
            "containers": [{ "name": "c", "image": "i", "ports": [
                { "containerPort": 80, "protocol": "UDP", "hostIP": "10.0.0.1" },
            ] }],
        }),
    );
    assert_eq!(
        told,
        [
            "volume \"a\" (ConfigMap \"m\"): overlapping paths: \"path/two\" with \"path\"",
            "volume \"b\" (Projected ServiceAccountToken): overlapping paths: \"token\" with \"token\"",
            "spec.containers[0].ports[0]: hostIP set without hostPort: {Name: HostPort:0 ContainerPort:80 Protocol:UDP HostIP:10.0.0.1}",
            "spec.hostAliases[0].ip: non-standard IP address \"010.0.0.1\" will be considered invalid in a future Kubernetes release: use \"10.0.0.1\"",
        ]
    );
    let key = "container.apparmor.security.beta.kubernetes.io/c";
    let (told, object) = warnings(json!({ "annotations": { key: "localhost/p" } }), json!({}));
    assert_eq!(
        told,
        [format!("metadata.annotations[{key}]: deprecated since v1.30; use the \"appArmorProfile\" field instead")]
    );
    assert_eq!(
        object["spec"]["containers"][0]["securityContext"]["appArmorProfile"],
        json!({ "type": "Localhost", "localhostProfile": "p" })
    );
}
