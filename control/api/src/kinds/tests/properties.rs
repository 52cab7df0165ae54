//! Nothing panics, whatever the object looks like.

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::server::{default, now};
use crate::kind::{Kind, Part, Pool, kinds, request_kinds};

const PARTS: [Part; 6] =
    [Part::Object, Part::Status, Part::Finalize, Part::EphemeralContainers, Part::Resize, Part::Approval];

/// Field names that mean something somewhere, so that the rules behind them are reached.
const WORDS: &[&str] = &[
    "metadata",
    "name",
    "namespace",
    "labels",
    "annotations",
    "ownerReferences",
    "finalizers",
    "managedFields",
    "generateName",
    "deletionTimestamp",
    "creationTimestamp",
    "spec",
    "status",
    "containers",
    "initContainers",
    "ephemeralContainers",
    "volumes",
    "volumeMounts",
    "volumeDevices",
    "ports",
    "containerPort",
    "hostPort",
    "env",
    "envFrom",
    "valueFrom",
    "fieldRef",
    "fieldPath",
    "resourceFieldRef",
    "resources",
    "limits",
    "requests",
    "cpu",
    "memory",
    "hugepages-2Mi",
    "coracle.dev/fuel",
    "claims",
    "livenessProbe",
    "httpGet",
    "port",
    "lifecycle",
    "sleep",
    "affinity",
    "nodeAffinity",
    "podAffinity",
    "requiredDuringSchedulingIgnoredDuringExecution",
    "preferredDuringSchedulingIgnoredDuringExecution",
    "nodeSelectorTerms",
    "matchExpressions",
    "matchLabelKeys",
    "labelSelector",
    "tolerations",
    "topologySpreadConstraints",
    "securityContext",
    "seccompProfile",
    "projected",
    "sources",
    "secret",
    "configMap",
    "items",
    "path",
    "key",
    "operator",
    "values",
    "dnsConfig",
    "nameservers",
    "conditions",
    "type",
    "containerStatuses",
    "initContainerStatuses",
    "state",
    "lastState",
    "terminated",
    "waiting",
    "reason",
    "restartCount",
    "finishedAt",
    "restartPolicy",
    "podIPs",
    "ip",
    "data",
    "binaryData",
    "stringData",
    "immutable",
    "involvedObject",
    "regarding",
    "series",
    "count",
    "eventTime",
    "taints",
    "podCIDRs",
    "capacity",
    "schedulingGates",
    "activeDeadlineSeconds",
    "target",
    "os",
    "hostAliases",
    "resizePolicy",
    "ephemeral",
    "template",
    "jobTemplate",
    "selector",
    "matchLabels",
    "replicas",
    "strategy",
    "updateStrategy",
    "rollingUpdate",
    "maxSurge",
    "maxUnavailable",
    "schedule",
    "timeZone",
    "completions",
    "parallelism",
    "completionMode",
    "podFailurePolicy",
    "rules",
    "onExitCodes",
    "successPolicy",
    "volumeClaimTemplates",
    "clusterIP",
    "clusterIPs",
    "ipFamilies",
    "nodePort",
    "targetPort",
    "sessionAffinity",
    "sessionAffinityConfig",
    "subsets",
    "addresses",
    "hard",
    "scopes",
    "scopeSelector",
    "min",
    "max",
    "default",
    "defaultRequest",
    "maxLimitRequestRatio",
    "accessModes",
    "storageClassName",
    "hostPath",
    "local",
    "verbs",
    "apiGroups",
    "resourceNames",
    "nonResourceURLs",
    "aggregationRule",
    "clusterRoleSelectors",
    "roleRef",
    "subjects",
    "http",
    "paths",
    "pathType",
    "backend",
    "service",
    "number",
    "defaultBackend",
    "tls",
    "hosts",
    "parameters",
    "scope",
    "ingress",
    "egress",
    "from",
    "to",
    "ipBlock",
    "cidr",
    "except",
    "podSelector",
    "namespaceSelector",
    "endPort",
    "policyTypes",
    "minAvailable",
    "metrics",
    "resource",
    "pods",
    "external",
    "object",
    "containerResource",
    "describedObject",
    "metric",
    "current",
    "averageUtilization",
    "averageValue",
    "behavior",
    "scaleUp",
    "scaleDown",
    "policies",
    "periodSeconds",
    "stabilizationWindowSeconds",
    "currentMetrics",
    "minReplicas",
    "maxReplicas",
    "scaleTargetRef",
    "targetCPUUtilizationPercentage",
    "endpoints",
    "addressType",
    "overhead",
    "podFixed",
    "scheduling",
    "loadBalancer",
    "webhooks",
    "clientConfig",
    "url",
    "admissionReviewVersions",
    "sideEffects",
    "validations",
    "paramRef",
    "matchConstraints",
    "resourceRules",
    "priorityLevelConfiguration",
    "limited",
    "exempt",
    "limitResponse",
    "queuing",
    "queues",
    "usages",
    "request",
    "signerName",
    "drivers",
    "topologyKeys",
    "tokenRequests",
    "cidrs",
    "parentRef",
    "nodeTopology",
    "source",
];

fn scalar() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        prop_oneof![Just(0), Just(-1), Just(1), Just(65536)].prop_map(Value::from),
        "[ -~]{0,12}".prop_map(Value::from),
        "\\PC{0,6}".prop_map(Value::from),
        prop::sample::select(vec![
            "",
            "Always",
            "Never",
            "Exists",
            "In",
            "10",
            "-1",
            "1Gi",
            "999E",
            "1e99",
            "..",
            "/a/../b",
            "a.b-c",
            "v1",
            "2026-01-01T00:00:00Z",
            "0001-01-01T00:00:00Z",
            "metadata.labels['x']",
            "limits.cpu",
            "localhost/",
            "LoadBalancer",
            "NodePort",
            "ExternalName",
            "RollingUpdate",
            "Indexed",
            "25%",
            "*/5 * * * *",
            "10.0.0.9",
        ])
        .prop_map(Value::from),
    ]
}

fn object() -> impl Strategy<Value = Value> {
    scalar().prop_recursive(7, 160, 6, |inner| {
        let entry = (
            prop_oneof![4 => prop::sample::select(WORDS).prop_map(str::to_owned), 1 => "[a-z./_-]{0,9}"],
            inner.clone(),
        );
        prop_oneof![
            3 => prop::collection::vec(entry, 0..6)
                .prop_map(|entries| Value::Object(entries.into_iter().collect::<Map<_, _>>())),
            1 => prop::collection::vec(inner, 0..3).prop_map(Value::Array),
        ]
    })
}

/// A pool in which every other value is taken.
struct Nothing(u64);

impl Pool for Nothing {
    fn is_taken(&self, _claim: &str) -> bool {
        self.0 % 2 == 1
    }

    fn random(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0
    }
}

fn exercise(kind: &Kind, new: &Value, old: &Value) {
    let mut created = new.clone();
    default(kind, &mut created);
    let again = created.clone();
    default(kind, &mut created);
    assert_eq!(created, again, "defaulting a {} twice changes nothing", kind.kind);
    kind.prepare_create(&mut created);
    let mut pool = Nothing(0);
    let _ = kind.behaviour.allocate(&mut created, None, &mut pool);
    if let Some(paths) = &kind.scale {
        let scale = crate::kinds::scale::of_object(paths, new);
        crate::kinds::scale::into_object(paths, &mut new.clone(), &scale);
    }
    for object in [new, &created] {
        let _ = kind.validate_create(object);
        let _ = kind.warnings(object, None);
        let cells = kind.behaviour.cells(object, now());
        // Upstream gives an address the cell of a column that it does not have.
        let more = usize::from(kind.kind == "IPAddress");
        assert_eq!(cells.len(), kind.behaviour.columns().len() + more, "cells of a {}", kind.kind);
        let _ = kind.behaviour.row_conditions(object);
        for label in kind.behaviour.field_labels() {
            assert!(kind.field_value(object, label).is_some());
        }
        let _ = kind.behaviour.graceful_deletion(object, None);
        let _ = kind.behaviour.holds_deletion(object);
    }
    for part in PARTS {
        let mut updated = new.clone();
        kind.prepare_update(part, &mut updated, old);
        let _ = kind.behaviour.allocate(&mut updated, Some(old), &mut pool);
        let _ = kind.behaviour.claims(&updated);
        let _ = kind.validate_update(part, &updated, old);
        let _ = kind.validate_update(part, new, &created);
    }
    let mut stored = new.clone();
    kind.behaviour.to_stored(&mut stored);
    kind.behaviour.from_stored(&mut stored);
    kind.behaviour.mark_deleted(&mut stored);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn no_object_makes_a_kind_panic(new in object(), old in object()) {
        for kind in kinds().iter().chain(request_kinds()) {
            exercise(kind, &new, &old);
        }
    }

    #[test]
    fn no_pod_makes_the_pod_rules_panic(spec in object(), status in object(), old_spec in object()) {
        let kind = crate::kind::find("", "v1", "pods").unwrap();
        let container = json!({ "name": "c", "image": "i", "env": spec, "resources": status, "livenessProbe": spec });
        let new = json!({ "metadata": { "name": "x" }, "spec": spec, "status": status });
        exercise(kind, &new, &json!({ "metadata": { "name": "x" }, "spec": old_spec, "status": spec }));
        let new = json!({ "metadata": { "name": "x" }, "spec": { "containers": [container], "volumes": [spec] } });
        let old = json!({ "metadata": { "name": "x" }, "spec": { "containers": [container], "affinity": status } });
        exercise(kind, &new, &old);
        let binding = json!({ "target": spec });
        let _ = crate::kinds::pod::binding::bind(&mut new.clone(), &binding, now());
    }
}
