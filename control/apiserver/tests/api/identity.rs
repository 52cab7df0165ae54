//! What a cluster is born with, who pods run as, and how certificates are asked for.

use super::support::{Api, rcgen_key};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use coracle_control_apiserver::UserInfo;
use serde_json::{Value, json};

#[tokio::test]
async fn the_server_is_a_service_of_its_own_cluster() {
    let api = Api::start().await;
    let service = api.get("/api/v1/namespaces/default/services/kubernetes").await.check(200).body;
    assert_eq!(service["spec"]["clusterIP"], "10.0.0.1");
    assert_eq!(service["spec"]["ports"][0]["targetPort"], 6443);
    assert_eq!(service["metadata"]["labels"]["component"], "apiserver");
    let slice = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices/kubernetes";
    assert_eq!(api.get(slice).await.check(200).body["ports"][0]["port"], 6443);
    // The address is taken.
    let body = json!({
        "metadata": {"name": "s"}, "spec": {"clusterIP": "10.0.0.1", "ports": [{"port": 80}]},
    });
    api.post("/api/v1/namespaces/default/services", body).await.check(422);
}

#[tokio::test]
async fn a_start_puts_right_what_was_spoilt() {
    let api = Api::start().await;
    let role = "/apis/rbac.authorization.k8s.io/v1/clusterroles/system:basic-user";
    let before = api.get(role).await.check(200).body["rules"].clone();
    api.merge(role, json!({"rules": []})).await.check(200);
    let binding = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/system:basic-user";
    api.delete(binding).await.check(200);
    let endpoints = "/api/v1/namespaces/default/endpoints/kubernetes";
    api.delete(endpoints).await.check(200);
    api.server.bootstrap().await.unwrap();
    assert_eq!(api.get(role).await.check(200).body["rules"], before);
    api.get(binding).await.check(200);
    api.get(endpoints).await.check(200);
    let revision = api.store.revision();
    api.server.bootstrap().await.unwrap();
    assert_eq!(api.store.revision(), revision, "what is right is not written again");
}

fn pod(extra: &Value) -> Value {
    let mut pod = json!({
        "metadata": {"generateName": "p", "annotations": {}},
        "spec": {"containers": [{"name": "c", "image": "i"}]},
    });
    for (pointer, value) in extra.as_object().unwrap() {
        let (parent, field) = pointer.rsplit_once('/').unwrap();
        pod.pointer_mut(parent).unwrap()[field] = value.clone();
    }
    pod
}

#[tokio::test]
async fn a_pod_finds_its_token_where_programs_look_for_it() {
    let api = Api::with(|_| {}).await;
    let path = "/api/v1/namespaces/default/pods";
    let made = api.post(path, pod(&json!({}))).await.check(201).body;
    let mount = &made["spec"]["containers"][0]["volumeMounts"][0];
    assert_eq!(mount["mountPath"], "/var/run/secrets/kubernetes.io/serviceaccount");
    let sources = &made["spec"]["volumes"][0]["projected"]["sources"];
    assert_eq!(sources[0]["serviceAccountToken"], json!({"expirationSeconds": 3607, "path": "token"}));
    assert_eq!(sources.as_array().unwrap().len(), 3);
    let made = api.post(path, pod(&json!({"/spec/automountServiceAccountToken": false}))).await.check(201).body;
    assert_eq!(made["spec"]["volumes"], Value::Null);
    let mirror = json!({
        "/metadata/annotations": {"kubernetes.io/config.mirror": "x"}, "/spec/serviceAccountName": "default",
    });
    let answer = api.post(path, pod(&mirror)).await.check(403);
    assert!(answer.message().ends_with("a mirror pod may not reference service accounts"), "{}", answer.message());
}

#[tokio::test]
async fn an_account_may_limit_the_secrets_of_its_pods() {
    let api = Api::with(|_| {}).await;
    let account = json!({
        "metadata": {"name": "strict", "annotations": {"kubernetes.io/enforce-mountable-secrets": "true"}},
        "secrets": [{"name": "allowed"}],
    });
    api.post("/api/v1/namespaces/default/serviceaccounts", account).await.check(201);
    let with = |secret: &str| {
        pod(&json!({
            "/spec/serviceAccountName": "strict",
            "/spec/volumes": [{"name": "v", "secret": {"secretName": secret}}],
        }))
    };
    api.post("/api/v1/namespaces/default/pods", with("allowed")).await.check(201);
    let answer = api.post("/api/v1/namespaces/default/pods", with("other")).await.check(403);
    let text =
        "volume with secret.secretName=\"other\" is not allowed because service account strict does not reference";
    assert!(answer.message().contains(text), "{}", answer.message());
}

const REQUESTS: &str = "/apis/certificates.k8s.io/v1/certificatesigningrequests";

/// A request for a certificate, with this organization in its subject.
fn signing_request(organization: &str) -> String {
    let mut params = rcgen::CertificateParams::default();
    params.distinguished_name.push(rcgen::DnType::CommonName, "alice");
    params.distinguished_name.push(rcgen::DnType::OrganizationName, organization);
    let key = rcgen::KeyPair::from_pem(&rcgen_key()).unwrap();
    params.serialize_request(&key).unwrap().pem().unwrap()
}

fn asking(name: &str, pem: &str) -> Value {
    json!({
        "metadata": {"name": name},
        "spec": {
            "request": BASE64.encode(pem), "signerName": "kubernetes.io/kube-apiserver-client",
            "usages": ["client auth"], "username": "somebody else",
        },
    })
}

#[tokio::test]
async fn a_certificate_is_asked_for_by_its_author_and_with_a_signature() {
    let api = Api::start().await;
    let made = api.post(REQUESTS, asking("a", &signing_request("staff"))).await.check(201).body;
    assert_eq!(made["spec"]["username"], "system:admin");
    assert_eq!(made["spec"]["groups"], json!(["system:masters", "system:authenticated"]));
    let answer = api.post(REQUESTS, asking("b", &signing_request("system:masters"))).await.check(403);
    let text = "use of kubernetes.io/kube-apiserver-client signer with system:masters group is not allowed";
    assert!(answer.message().ends_with(text), "{}", answer.message());
    // The last byte belongs to the signature.
    let pem = signing_request("staff");
    let body: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
    let mut der = BASE64.decode(body.trim()).unwrap();
    *der.last_mut().unwrap() ^= 1;
    let spoilt =
        format!("-----BEGIN CERTIFICATE REQUEST-----\n{}\n-----END CERTIFICATE REQUEST-----\n", BASE64.encode(der));
    let answer = api.post(REQUESTS, asking("c", &spoilt)).await.check(422);
    assert!(answer.message().contains("spec.request: Invalid value"), "{}", answer.message());
}

#[tokio::test]
async fn who_approves_must_be_allowed_to_for_that_signer() {
    let api = Api::start().await;
    api.post(REQUESTS, asking("a", &signing_request("staff"))).await.check(201);
    let role = json!({
        "metadata": {"name": "approver"},
        "rules": [{
            "apiGroups": ["certificates.k8s.io"], "verbs": ["update", "patch"],
            "resources": ["certificatesigningrequests/approval"],
        }],
    });
    let rbac = "/apis/rbac.authorization.k8s.io/v1";
    api.post(&format!("{rbac}/clusterroles"), role).await.check(201);
    let binding = json!({
        "metadata": {"name": "approver"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "approver"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "bob"}],
    });
    api.post(&format!("{rbac}/clusterrolebindings"), binding).await.check(201);
    let bob = api.as_user(UserInfo::new("bob", &[]));
    let approval = json!({"status": {"conditions": [{"type": "Approved", "status": "True", "reason": "r"}]}});
    let path = format!("{REQUESTS}/a/approval");
    let answer = bob.json("PATCH", &path, &[super::support::MERGE], &approval).await.check(403);
    let text = "user not permitted to approve requests with signerName \"kubernetes.io/kube-apiserver-client\"";
    assert!(answer.message().ends_with(text), "{}", answer.message());
    let role = format!("{rbac}/clusterroles/approver");
    let rules = json!({"rules": [
        {"apiGroups": ["certificates.k8s.io"], "verbs": ["*"], "resources": ["certificatesigningrequests/approval"]},
        {"apiGroups": ["certificates.k8s.io"], "verbs": ["approve"], "resources": ["signers"],
         "resourceNames": ["kubernetes.io/*"]},
    ]});
    api.merge(&role, rules).await.check(200);
    let answer = bob.json("PATCH", &path, &[super::support::MERGE], &approval).await.check(200);
    assert_eq!(answer.body["status"]["conditions"][0]["type"], "Approved");
    assert_ne!(answer.body["status"]["conditions"][0]["lastUpdateTime"], Value::Null);
}
