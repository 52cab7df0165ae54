use serde_json::json;

use super::*;

const PODS: Counted<'_> = Counted { group: "", plural: "pods" };
const CLAIMS: Counted<'_> = Counted { group: "", plural: "persistentvolumeclaims" };
const NOW: Timestamp = Timestamp::UNIX_EPOCH;

fn quota(spec: &Value, used: &Value) -> Value {
    json!({"metadata": {"name": "q"}, "spec": spec, "status": {"hard": spec["hard"], "used": used}})
}

fn pod(requests: &Value, limits: &Value) -> Value {
    json!({"spec": {"containers": [{"name": "c", "resources": {"requests": requests, "limits": limits}}]}})
}

fn charge(counted: Counted<'_>, new: &Value, old: Option<&Value>, quota: &Value) -> Result<Value, String> {
    let planned = Charge { counted, new, old, now: NOW }.plan(quota)?;
    Ok(planned.map_or(Value::Null, Value::Object))
}

#[test]
fn a_pod_is_charged_and_one_too_many_is_refused_in_upstreams_words() {
    let quota_of = |used| quota(&json!({"hard": {"pods": "2", "requests.cpu": "1", "limits.memory": "1Gi"}}), &used);
    let pod = pod(&json!({"cpu": "600m"}), &json!({"memory": "100Mi"}));
    let used = charge(PODS, &pod, None, &quota_of(json!({"pods": "0", "requests.cpu": "0", "limits.memory": "0"})));
    assert_eq!(used.unwrap(), json!({"pods": "1", "requests.cpu": "600m", "limits.memory": "100Mi"}));
    let full = quota_of(json!({"pods": "2", "requests.cpu": "600m", "limits.memory": "100Mi"}));
    assert_eq!(
        charge(PODS, &pod, None, &full).unwrap_err(),
        "exceeded quota: q, requested: pods=1,requests.cpu=600m, used: pods=2,requests.cpu=600m, limited: \
         pods=2,requests.cpu=1"
    );
}

#[test]
fn what_a_quota_bounds_must_be_named_by_every_container() {
    let quota = quota(&json!({"hard": {"limits.cpu": "2", "cpu": "2", "pods": "1"}}), &json!({}));
    let mut pod = pod(&json!({"cpu": "1"}), &json!({}));
    pod["spec"]["initContainers"] = json!([{"name": "a"}, {"name": "b"}]);
    assert_eq!(
        charge(PODS, &pod, None, &quota).unwrap_err(),
        "failed quota: q: must specify cpu for: a,b; limits.cpu for: a,b,c"
    );
    pod["spec"]["resources"] = json!({"limits": {"cpu": "1"}});
    assert_eq!(
        charge(PODS, &pod, None, &quota).unwrap_err(),
        "status unknown for quota: q, resources: cpu,limits.cpu,pods"
    );
}

#[test]
fn a_quota_that_is_not_counted_yet_or_about_others_is_left_alone() {
    let empty = json!({"metadata": {"name": "q"}, "spec": {"hard": {"pods": "0"}}, "status": {}});
    assert_eq!(charge(PODS, &pod(&json!({}), &json!({})), None, &empty), Ok(Value::Null));
    let other = quota(&json!({"hard": {"services": "0"}}), &json!({"services": "0"}));
    assert_eq!(charge(PODS, &pod(&json!({}), &json!({})), None, &other), Ok(Value::Null));
}

#[test]
fn scopes_say_which_pods_count() {
    let in_scope = |spec: Value, pod: &Value| {
        let mut spec = spec;
        spec["hard"] = json!({"pods": "9"});
        charge(PODS, pod, None, &quota(&spec, &json!({"pods": "0"}))).unwrap() != Value::Null
    };
    let plain = pod(&json!({}), &json!({}));
    let mut other = pod(&json!({"cpu": "1"}), &json!({}));
    other["spec"]["activeDeadlineSeconds"] = json!(5);
    other["spec"]["priorityClassName"] = json!("high");
    other["spec"]["affinity"] = json!({"podAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [
        {"podAffinityTerm": {"namespaces": ["x"]}},
    ]}});
    for scope in ["Terminating", "NotBestEffort", "PriorityClass", "CrossNamespacePodAffinity"] {
        let quota = json!({"scopes": [scope]});
        assert!(in_scope(quota.clone(), &other) && !in_scope(quota, &plain), "{scope}");
    }
    for scope in ["NotTerminating", "BestEffort"] {
        let quota = json!({"scopes": [scope]});
        assert!(!in_scope(quota.clone(), &other) && in_scope(quota, &plain), "{scope}");
    }
    let class = |operator: &str, values: Value| {
        json!({"scopeSelector": {"matchExpressions": [
            {"scopeName": "PriorityClass", "operator": operator, "values": values},
        ]}})
    };
    assert!(in_scope(class("In", json!(["high"])), &other) && !in_scope(class("In", json!(["low"])), &other));
    assert!(in_scope(class("NotIn", json!(["low"])), &plain) && in_scope(class("DoesNotExist", json!([])), &plain));
}

#[test]
fn names_of_every_sort_are_counted() {
    let pod = pod(&json!({"hugepages-2Mi": "4Mi", "example.com/gpu": "2", "ephemeral-storage": "1Gi"}), &json!({}));
    let used = PODS.usage(&pod, NOW);
    for (name, amount) in [
        ("requests.example.com/gpu", "2"),
        ("hugepages-2Mi", "4Mi"),
        ("requests.hugepages-2Mi", "4Mi"),
        ("requests.ephemeral-storage", "1Gi"),
        ("count/pods", "1"),
    ] {
        assert!(PODS.matches(name), "{name}");
        assert_eq!(used.get(name).map(ToString::to_string).as_deref(), Some(amount), "{name}");
    }
    let claim = json!({"spec": {"storageClassName": "gold", "resources": {"requests": {"storage": "5Gi"}}}});
    let used = CLAIMS.usage(&claim, NOW);
    assert_eq!(used["gold.storageclass.storage.k8s.io/requests.storage"].to_string(), "5Gi");
    assert_eq!(used["gold.storageclass.storage.k8s.io/persistentvolumeclaims"].to_string(), "1");
    assert!(CLAIMS.matches("gold.storageclass.storage.k8s.io/requests.storage") && !CLAIMS.matches("requests.cpu"));
    let deployments = Counted { group: "apps", plural: "deployments" };
    assert!(deployments.matches("count/deployments.apps") && !deployments.matches("deployments"));
    assert!(Counted { group: "", plural: "secrets" }.matches("secrets"));
    assert!(!Counted { group: "events.k8s.io", plural: "events" }.is_counted());
}

#[test]
fn a_service_that_changes_its_type_is_charged_the_difference() {
    let services = Counted { group: "", plural: "services" };
    let of_type = |kind: &str| json!({"spec": {"type": kind, "ports": [{"port": 1}, {"port": 2}]}});
    let hard = json!({"hard": {"services": "1", "services.nodeports": "2", "services.loadbalancers": "0"}});
    let quota_of = |ports: &str| {
        quota(&hard, &json!({"services": "1", "services.nodeports": ports, "services.loadbalancers": "0"}))
    };
    let used = charge(services, &of_type("NodePort"), Some(&of_type("ClusterIP")), &quota_of("0")).unwrap();
    assert_eq!(used["services.nodeports"], "2");
    let refusal = charge(services, &of_type("LoadBalancer"), Some(&of_type("NodePort")), &quota_of("2")).unwrap_err();
    assert_eq!(
        refusal,
        "exceeded quota: q, requested: services.loadbalancers=1, used: services.loadbalancers=0, limited: \
         services.loadbalancers=0"
    );
    let back = charge(services, &of_type("ClusterIP"), Some(&of_type("NodePort")), &quota_of("2")).unwrap();
    assert_eq!(back["services.nodeports"], "0");
    assert_eq!(charge(services, &of_type("NodePort"), Some(&of_type("NodePort")), &quota_of("2")), Ok(Value::Null));
}

#[test]
fn a_tally_counts_what_is_alive_and_knows_when_nothing_changed() {
    let mut quota = json!({"spec": {"hard": {"pods": "5", "count/pods": "9", "requests.cpu": "1", "secrets": "1"}}});
    let pods = [
        pod(&json!({"cpu": "250m"}), &json!({})),
        json!({"status": {"phase": "Failed"}, "spec": {"containers": []}}),
        json!({"metadata": {"deletionTimestamp": "1969-12-31T23:00:00Z", "deletionGracePeriodSeconds": 30}}),
    ];
    let status = {
        let mut tally = Tally::new(&quota);
        assert!(tally.counts(&PODS) && !tally.counts(&CLAIMS) && !tally.is_settled());
        for pod in &pods {
            tally.add(&PODS, pod, NOW);
        }
        tally.status()
    };
    assert_eq!(status["used"], json!({"pods": "1", "count/pods": "3", "requests.cpu": "250m", "secrets": "0"}));
    assert_eq!(status["hard"], quota["spec"]["hard"]);
    quota["status"] = status;
    quota["status"]["used"]["requests.cpu"] = json!("0.25");
    let mut tally = Tally::new(&quota);
    for pod in &pods {
        tally.add(&PODS, pod, NOW);
    }
    assert!(tally.is_settled());
}
