use serde_json::{Value, json};

use crate::support::Api;

const CLAIMS: &str = "/api/v1/namespaces/default/persistentvolumeclaims";

async fn storage_class(api: &Api, name: &str, default: bool, expands: bool) {
    let mut body = json!({
        "apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": name}, "provisioner": "p",
        "allowVolumeExpansion": expands,
    });
    if default {
        body["metadata"]["annotations"] = json!({"storageclass.kubernetes.io/is-default-class": "true"});
    }
    let answer = api.post("/apis/storage.k8s.io/v1/storageclasses", body).await;
    assert_eq!(answer.code, 201, "{}", answer.text);
}

async fn claim(api: &Api, name: &str, class: Option<&str>) -> Value {
    let mut body = json!({
        "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    });
    if let Some(class) = class {
        body["spec"]["storageClassName"] = json!(class);
    }
    let answer = api.post(CLAIMS, body).await;
    assert_eq!(answer.code, 201, "{}", answer.text);
    answer.body
}

#[tokio::test]
async fn a_claim_without_a_class_gets_the_default_one() {
    let api = Api::start().await;
    assert!(claim(&api, "a", None).await["spec"].get("storageClassName").is_none());
    storage_class(&api, "plain", false, false).await;
    storage_class(&api, "b", true, false).await;
    assert_eq!(claim(&api, "b", None).await["spec"]["storageClassName"], "b");
    assert_eq!(claim(&api, "c", Some("")).await["spec"]["storageClassName"], "");
}

#[tokio::test]
async fn a_claim_grows_only_when_it_is_bound_and_its_class_lets_it() {
    let api = Api::start().await;
    storage_class(&api, "fixed", false, false).await;
    storage_class(&api, "grows", false, true).await;
    let grow = json!({"spec": {"resources": {"requests": {"storage": "2Gi"}}}});
    for (name, message) in [
        (
            "fixed",
            Some(
                "only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc \
                        must support resize",
            ),
        ),
        ("grows", None),
    ] {
        let mut made = claim(&api, name, Some(name)).await;
        let path = format!("{CLAIMS}/{name}");
        let answer = api.merge(&path, grow.clone()).await;
        let unbound = "Only bound persistent volume claims can be expanded";
        if answer.code == 403 {
            let expected = format!("persistentvolumeclaims \"{name}\" is forbidden: {unbound}");
            assert_eq!(answer.body["message"], expected.as_str());
        } else {
            assert_eq!(answer.code, 422, "{}", answer.text);
        }
        made["status"]["phase"] = json!("Bound");
        assert_eq!(api.put(&format!("{path}/status"), made).await.code, 200);
        let answer = api.merge(&path, grow.clone()).await;
        match message {
            Some(message) => {
                let expected = format!("persistentvolumeclaims \"{name}\" is forbidden: {message}");
                assert_eq!(answer.body["message"], expected.as_str());
            }
            None => assert_eq!(answer.code, 200, "{}", answer.text),
        }
    }
}

#[tokio::test]
async fn an_ingress_without_a_class_gets_the_default_one() {
    let api = Api::start().await;
    let class = json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "IngressClass",
        "metadata": {"name": "ic", "annotations": {"ingressclass.kubernetes.io/is-default-class": "true"}},
        "spec": {"controller": "example.com/c"},
    });
    assert_eq!(api.post("/apis/networking.k8s.io/v1/ingressclasses", class).await.code, 201);
    let ingress = json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": "i"},
        "spec": {"defaultBackend": {"service": {"name": "s", "port": {"number": 80}}}},
    });
    let answer = api.post("/apis/networking.k8s.io/v1/namespaces/default/ingresses", ingress).await;
    assert_eq!(answer.body["spec"]["ingressClassName"], "ic", "{}", answer.text);
}

#[tokio::test]
async fn a_pod_gets_the_cost_and_the_place_of_its_runtime_class() {
    let api = Api::start().await;
    let pod = |class: &str| {
        json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"},
            "spec": {"runtimeClassName": class, "nodeSelector": {"a": "b"}, "containers": [{"name": "c", "image": "i"}]},
        })
    };
    let answer = api.post("/api/v1/namespaces/default/pods", pod("none")).await;
    assert_eq!(answer.body["message"], "pods \"p\" is forbidden: pod rejected: RuntimeClass \"none\" not found");
    let class = json!({
        "apiVersion": "node.k8s.io/v1", "kind": "RuntimeClass", "metadata": {"name": "r"}, "handler": "h",
        "overhead": {"podFixed": {"cpu": "10m"}},
        "scheduling": {"nodeSelector": {"kind": "r"}, "tolerations": [{"key": "r", "operator": "Exists"}]},
    });
    assert_eq!(api.post("/apis/node.k8s.io/v1/runtimeclasses", class).await.code, 201);
    let answer = api.post("/api/v1/namespaces/default/pods", pod("r")).await;
    assert_eq!(answer.code, 201, "{}", answer.text);
    let spec = &answer.body["spec"];
    assert_eq!((&spec["overhead"], &spec["nodeSelector"]), (&json!({"cpu": "10m"}), &json!({"a": "b", "kind": "r"})));
    assert!(spec["tolerations"].as_array().unwrap().contains(&json!({"key": "r", "operator": "Exists"})));
    let mut other = pod("r");
    other["metadata"]["name"] = json!("q");
    other["spec"]["nodeSelector"]["kind"] = json!("x");
    let answer = api.post("/api/v1/namespaces/default/pods", other).await;
    assert_eq!(
        answer.body["message"],
        "pods \"q\" is forbidden: conflict: runtimeClass.scheduling.nodeSelector[kind] = r; \
         pod.spec.nodeSelector[kind] = x"
    );
}

#[tokio::test]
async fn there_is_one_default_priority_class() {
    let api = Api::start().await;
    let class = |name: &str| {
        json!({
            "apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": name}, "value": 5,
            "globalDefault": true,
        })
    };
    let path = "/apis/scheduling.k8s.io/v1/priorityclasses";
    assert_eq!(api.post(path, class("a")).await.code, 201);
    let answer = api.post(path, class("b")).await;
    assert_eq!(answer.code, 403);
    assert_eq!(
        answer.body["message"],
        "priorityclasses.scheduling.k8s.io \"b\" is forbidden: PriorityClass a is already marked as default. Only one \
         default can exist"
    );
    let pod = api.pod("p", "").await.body;
    assert_eq!((&pod["spec"]["priority"], &pod["spec"]["priorityClassName"]), (&json!(5), &json!("a")));
}
