use coracle_control_apiserver::UserInfo;
use serde_json::{Value, json};

use crate::support::Api;

async fn with(plugin: &str) -> Api {
    Api::with(|config| {
        config.enabled_admission_plugins = [plugin.to_owned()].into();
        config.disabled_admission_plugins = ["ServiceAccount".to_owned()].into();
    })
    .await
}

fn pod(namespace: &str, spec: &Value) -> (String, Value) {
    let mut body = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"},
        "spec": {"containers": [{"name": "c", "image": "i:1"}]},
    });
    for (key, value) in spec.as_object().unwrap() {
        body["spec"][key] = value.clone();
    }
    (format!("/api/v1/namespaces/{namespace}/pods"), body)
}

#[tokio::test]
async fn a_namespace_is_made_with_the_first_object_in_it() {
    let api = with("NamespaceAutoProvision").await;
    let body = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}});
    let answer = api.post("/api/v1/namespaces/new/configmaps", body).await;
    assert_eq!(answer.code, 201, "{}", answer.text);
    let namespace = api.get("/api/v1/namespaces/new").await.body;
    assert_eq!(
        (&namespace["status"]["phase"], &namespace["spec"]["finalizers"]),
        (&json!("Active"), &json!(["kubernetes"]))
    );
}

#[tokio::test]
async fn images_are_always_pulled() {
    let api = with("AlwaysPullImages").await;
    let (path, body) = pod("default", &json!({}));
    let answer = api.post(&path, body).await;
    assert_eq!(answer.body["spec"]["containers"][0]["imagePullPolicy"], "Always");
}

#[tokio::test]
async fn extended_resources_bring_their_toleration() {
    let api = with("ExtendedResourceToleration").await;
    let amounts = json!({"requests": {"example.com/gpu": "1"}, "limits": {"example.com/gpu": "1"}});
    let (path, body) = pod("default", &json!({"containers": [{"name": "c", "image": "i", "resources": amounts}]}));
    let answer = api.post(&path, body).await;
    let toleration = json!({"key": "example.com/gpu", "operator": "Exists", "effect": "NoSchedule"});
    assert!(answer.body["spec"]["tolerations"].as_array().unwrap().contains(&toleration), "{}", answer.text);
}

#[tokio::test]
async fn hard_anti_affinity_is_about_hosts_only() {
    let api = with("LimitPodHardAntiAffinityTopology").await;
    let term = json!({"labelSelector": {"matchLabels": {"a": "b"}}, "topologyKey": "zone"});
    let affinity = json!({"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}});
    let (path, body) = pod("default", &json!({"affinity": affinity}));
    let answer = api.post(&path, body).await;
    assert_eq!(
        answer.body["message"],
        "pods \"p\" is forbidden: affinity.PodAntiAffinity.RequiredDuringScheduling has TopologyKey zone but only key \
         kubernetes.io/hostname is allowed"
    );
}

#[tokio::test]
async fn a_namespace_chooses_the_nodes_and_tolerations_of_its_pods() {
    let api = with("PodNodeSelector").await;
    let annotations = json!({"metadata": {"annotations": {"scheduler.alpha.kubernetes.io/node-selector": "env=test"}}});
    assert_eq!(api.merge("/api/v1/namespaces/default", annotations).await.code, 200);
    let (path, body) = pod("default", &json!({"nodeSelector": {"env": "production"}}));
    let answer = api.post(&path, body).await;
    assert_eq!(
        answer.body["message"],
        "pods \"p\" is forbidden: pod node label selector conflicts with its namespace node label selector"
    );
    let (path, body) = pod("default", &json!({}));
    assert_eq!(api.post(&path, body).await.body["spec"]["nodeSelector"], json!({"env": "test"}));

    let api = with("PodTolerationRestriction").await;
    let annotations = json!({"metadata": {"annotations": {
        "scheduler.alpha.kubernetes.io/defaultTolerations": "[{\"key\": \"k\", \"operator\": \"Exists\"}]",
    }}});
    assert_eq!(api.merge("/api/v1/namespaces/default", annotations).await.code, 200);
    let (path, body) = pod("default", &json!({}));
    let answer = api.post(&path, body).await;
    let tolerations = answer.body["spec"]["tolerations"].as_array().unwrap();
    assert!(tolerations.contains(&json!({"key": "k", "operator": "Exists"})), "{tolerations:?}");
}

#[tokio::test]
async fn external_addresses_are_denied_but_may_stay() {
    let api = with("DenyServiceExternalIPs").await;
    let body = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "s"},
        "spec": {"ports": [{"port": 80}], "externalIPs": ["192.0.2.1"]},
    });
    let answer = api.post("/api/v1/namespaces/default/services", body).await;
    assert_eq!(
        answer.body["message"],
        "services \"s\" is forbidden: Use of external IPs is denied by admission control"
    );
}

#[tokio::test]
async fn who_cannot_delete_an_object_cannot_give_it_an_owner() {
    let api = with("OwnerReferencesPermissionEnforcement").await;
    let role = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "maker"},
        "rules": [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["create"]}],
    });
    assert_eq!(api.post("/apis/rbac.authorization.k8s.io/v1/clusterroles", role).await.code, 201);
    let binding = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": "maker"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "maker"},
        "subjects": [{"kind": "User", "name": "bob", "apiGroup": "rbac.authorization.k8s.io"}],
    });
    assert_eq!(api.post("/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", binding).await.code, 201);
    let bob = api.as_user(UserInfo { name: "bob".to_owned(), ..UserInfo::default() });
    let mut body = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}});
    let path = "/api/v1/namespaces/default/configmaps";
    assert_eq!(bob.json("POST", path, &[], &body).await.code, 201);
    body["metadata"]["name"] = json!("d");
    body["metadata"]["ownerReferences"] = json!([{"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": "u"}]);
    let answer = bob.json("POST", path, &[], &body).await;
    assert_eq!(answer.code, 403, "{}", answer.text);
    let text = answer.body["message"].as_str().unwrap();
    assert!(text.starts_with("configmaps \"d\" is forbidden: cannot set an ownerRef on a resource you can't delete:"));
}
