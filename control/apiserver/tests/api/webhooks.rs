//! Admission webhooks: who is asked, what is sent, and what becomes of the answer.

use base64::Engine as _;
use serde_json::{Value, json};

use super::support::{Answer, Api, MERGE};
use super::webhook_server::WebhookServer;

const CONFIGURATIONS: &str = "/apis/admissionregistration.k8s.io/v1";
const CONFIG_MAPS: &str = "/api/v1/namespaces/default/configmaps";

fn rule(resources: &[&str]) -> Value {
    json!({"operations": ["*"], "apiGroups": ["*"], "apiVersions": ["*"], "resources": resources})
}

/// A webhook's entry in a configuration, with the changes of the test.
fn hook(server: &WebhookServer, changes: &Value) -> Value {
    let mut hook = json!({
        "name": "check.example.com", "clientConfig": server.client(), "rules": [rule(&["configmaps"])],
        "sideEffects": "None", "admissionReviewVersions": ["v1"],
    });
    for (name, value) in changes.as_object().into_iter().flatten() {
        hook[name] = value.clone();
    }
    hook
}

async fn configure(api: &Api, mutating: bool, name: &str, hooks: &[Value]) {
    let (plural, kind) = if mutating {
        ("mutatingwebhookconfigurations", "MutatingWebhookConfiguration")
    } else {
        ("validatingwebhookconfigurations", "ValidatingWebhookConfiguration")
    };
    let body = json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": kind, "metadata": {"name": name}, "webhooks": hooks,
    });
    api.post(&format!("{CONFIGURATIONS}/{plural}"), body).await.check(201);
}

fn patch(operations: &Value) -> Value {
    let text = base64::engine::general_purpose::STANDARD.encode(operations.to_string());
    json!({"allowed": true, "patchType": "JSONPatch", "patch": text})
}

fn warnings(answer: &Answer) -> Vec<String> {
    answer.headers.get_all("warning").iter().map(|value| value.to_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_webhook_refuses_in_its_own_words_and_its_warnings_arrive() {
    let api = Api::start().await;
    let server = WebhookServer::admission(|request| {
        if request["object"]["data"]["bad"].is_string() {
            let status = json!({"code": 403, "reason": "Forbidden", "message": "no bad things"});
            return json!({"allowed": false, "status": status, "warnings": ["think again"]});
        }
        json!({"allowed": true, "warnings": ["just so you know"]})
    })
    .await;
    configure(&api, false, "c", &[hook(&server, &json!({}))]).await;
    let fine = api.config_map("a", json!({"good": "x"})).await.check(201);
    assert_eq!(warnings(&fine), ["299 - \"just so you know\""]);
    let refused = api.config_map("b", json!({"bad": "x"})).await.check(403);
    assert_eq!(refused.message(), "admission webhook \"check.example.com\" denied the request: no bad things");
    assert_eq!(refused.body["reason"], "Forbidden");
    assert_eq!(warnings(&refused), ["299 - \"think again\""]);
    api.get(&format!("{CONFIG_MAPS}/b")).await.check(404);
}

#[tokio::test]
async fn a_review_has_the_fields_that_upstream_sends() {
    let api = Api::start().await;
    let server = WebhookServer::admission(|_| json!({"allowed": true})).await;
    configure(&api, false, "c", &[hook(&server, &json!({}))]).await;
    api.config_map("a", json!({"k": "1"})).await.check(201);
    let path = format!("{CONFIG_MAPS}/a?fieldManager=me&dryRun=All");
    api.admin().json("PATCH", &path, &[MERGE], &json!({"data": {"k": "2"}})).await.check(200);
    api.admin().json("DELETE", &format!("{CONFIG_MAPS}/a"), &[], &json!({"gracePeriodSeconds": 3})).await.check(200);
    let asked = server.asked();
    let [create, update, delete] = asked.as_slice() else { panic!("{asked:?}") };
    assert_eq!((&create["kind"], &create["apiVersion"]), (&json!("AdmissionReview"), &json!("admission.k8s.io/v1")));
    let request = &create["request"];
    assert_eq!(request["kind"], json!({"group": "", "version": "v1", "kind": "ConfigMap"}));
    assert_eq!(request["requestResource"], json!({"group": "", "version": "v1", "resource": "configmaps"}));
    assert_eq!((&request["operation"], &request["name"]), (&json!("CREATE"), &json!("a")));
    assert_eq!((&request["namespace"], &request["dryRun"]), (&json!("default"), &json!(false)));
    assert_eq!(request["userInfo"]["username"], "system:admin");
    assert_eq!(request["options"], json!({"kind": "CreateOptions", "apiVersion": "meta.k8s.io/v1"}));
    assert_eq!((&request["object"]["data"]["k"], &request["oldObject"]), (&json!("1"), &Value::Null));
    let request = &update["request"];
    let options = json!({
        "kind": "PatchOptions", "apiVersion": "meta.k8s.io/v1", "fieldManager": "me", "dryRun": ["All"],
    });
    assert_eq!((&request["options"], &request["dryRun"]), (&options, &json!(true)));
    assert_eq!((&request["object"]["data"]["k"], &request["oldObject"]["data"]["k"]), (&json!("2"), &json!("1")));
    let request = &delete["request"];
    assert_eq!((&request["operation"], &request["object"]), (&json!("DELETE"), &Value::Null));
    assert_eq!(
        (&request["options"]["gracePeriodSeconds"], &request["oldObject"]["kind"]),
        (&json!(3), &json!("ConfigMap"))
    );
}

#[tokio::test]
async fn what_webhooks_change_is_written_and_those_who_want_it_see_it_again() {
    let api = Api::start().await;
    let first = WebhookServer::admission(|request| {
        let seen = request["object"]["data"]["second"].as_str().unwrap_or("nothing");
        patch(&json!([{"op": "add", "path": "/data/first", "value": format!("saw {seen}")}]))
    })
    .await;
    let second =
        WebhookServer::admission(|_| patch(&json!([{"op": "add", "path": "/data/second", "value": "x"}]))).await;
    let again = json!({"reinvocationPolicy": "IfNeeded"});
    configure(&api, true, "a", &[hook(&first, &again)]).await;
    configure(&api, true, "b", &[hook(&second, &json!({}))]).await;
    let made = api.config_map("m", json!({"k": "1"})).await.check(201);
    assert_eq!(made.body["data"], json!({"k": "1", "first": "saw x", "second": "x"}));
    assert_eq!((first.asked().len(), second.asked().len()), (2, 1));
}

#[tokio::test]
async fn a_webhook_that_fails_stops_the_write_unless_it_may_be_ignored() {
    let api = Api::start().await;
    let server = WebhookServer::start(|_| (500, json!("boom"))).await;
    configure(&api, false, "c", &[hook(&server, &json!({"failurePolicy": "Fail"}))]).await;
    let refused = api.config_map("a", json!({})).await.check(500);
    let text = "Internal error occurred: failed calling webhook \"check.example.com\": failed to call webhook: an error on the server (\"\\\"boom\\\"\") has prevented the request from succeeding";
    assert_eq!((refused.message(), &refused.body["reason"]), (text, &json!("InternalError")));
    let path = format!("{CONFIGURATIONS}/validatingwebhookconfigurations/c");
    let ignoring = hook(&server, &json!({"failurePolicy": "Ignore"}));
    api.merge(&path, json!({"webhooks": [ignoring]})).await.check(200);
    api.config_map("a", json!({})).await.check(201);
    // Nobody listens there, and the certificate is not trusted.
    let gone = json!({"clientConfig": {"url": "https://127.0.0.1:1/x", "caBundle": server.bundle}});
    api.merge(&path, json!({"webhooks": [hook(&server, &gone)]})).await.check(200);
    let refused = api.config_map("b", json!({})).await.check(500);
    assert!(
        refused.message().ends_with("failed to call webhook: Post \"https://127.0.0.1:1/x?timeout=10s\": dial tcp 127.0.0.1:1: connect: connection refused"),
        "{}",
        refused.message()
    );
    let other = WebhookServer::admission(|_| json!({"allowed": true})).await;
    let client = json!({"clientConfig": {"url": format!("https://{}/", server.address), "caBundle": other.bundle}});
    api.merge(&path, json!({"webhooks": [hook(&server, &client)]})).await.check(200);
    let refused = api.config_map("b", json!({})).await.check(500);
    assert!(refused.message().contains("tls: failed to verify certificate: x509: "), "{}", refused.message());
}

#[tokio::test]
async fn only_those_are_asked_whom_it_concerns() {
    let api = Api::start().await;
    let server = WebhookServer::admission(|_| json!({"allowed": false})).await;
    let cases = [
        json!({"rules": [{"operations": ["DELETE"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["*"]}]}),
        json!({"rules": [rule(&["configmaps/status"])]}),
        json!({"rules": [{"operations": ["*"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["*/*"], "scope": "Cluster"}]}),
        json!({"namespaceSelector": {"matchLabels": {"team": "x"}}}),
        json!({"objectSelector": {"matchExpressions": [{"key": "audited", "operator": "Exists"}]}}),
        json!({"matchConditions": [{"name": "c", "expression": "object.metadata.name == 'other'"}]}),
        json!({"matchConditions": [{"name": "c", "expression": "request.userInfo.username != 'system:admin'"}]}),
        json!({"matchConditions": [{"name": "c", "expression": "!authorizer.group('').resource('pods').check('get').allowed()"}]}),
        json!({"failurePolicy": "Ignore", "matchConditions": [{"name": "c", "expression": "object.nosuch == 1"}]}),
    ];
    for (index, case) in cases.iter().enumerate() {
        configure(&api, false, &format!("c{index}"), &[hook(&server, case)]).await;
    }
    api.config_map("a", json!({})).await.check(201);
    assert_eq!(server.asked().len(), 0);
    let failing = json!({"matchConditions": [{"name": "c", "expression": "object.nosuch == 1"}]});
    configure(&api, false, "last", &[hook(&server, &failing)]).await;
    let refused = api.config_map("b", json!({})).await.check(403);
    assert_eq!(
        refused.message(),
        "configmaps \"b\" is forbidden: expression 'object.nosuch == 1' resulted in error: no such key: nosuch"
    );
}

#[tokio::test]
async fn a_dry_run_does_not_reach_a_webhook_with_side_effects() {
    let api = Api::start().await;
    let server = WebhookServer::admission(|_| json!({"allowed": true})).await;
    configure(&api, false, "c", &[hook(&server, &json!({"sideEffects": "NoneOnDryRun"}))]).await;
    let body = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}});
    api.post(&format!("{CONFIG_MAPS}?dryRun=All"), body).await.check(201);
    assert_eq!(server.asked()[0]["request"]["dryRun"], json!(true));
}

#[tokio::test]
async fn subresources_and_connections_are_asked_about() {
    let api = Api::start().await;
    let server = WebhookServer::admission(|request| {
        let refused = json!(["PodExecOptions", "Eviction"]);
        json!({"allowed": !refused.as_array().unwrap().contains(&request["kind"]["kind"])})
    })
    .await;
    let rules = json!({"rules": [rule(&["pods/*", "deployments/scale"])]});
    configure(&api, false, "c", &[hook(&server, &rules)]).await;
    api.pod("p", "").await.check(201);
    let binding = json!({"apiVersion": "v1", "kind": "Binding", "metadata": {"name": "p"}, "target": {"kind": "Node", "name": "n"}});
    api.post("/api/v1/namespaces/default/pods/p/binding", binding).await.check(201);
    let eviction = json!({"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "p"}});
    api.post("/api/v1/namespaces/default/pods/p/eviction", eviction).await.check(400);
    let exec = api.get("/api/v1/namespaces/default/pods/p/exec?command=ls&command=-l&stdout=true").await.check(400);
    assert_eq!(exec.message(), "admission webhook \"check.example.com\" denied the request without explanation");
    let asked = server.asked();
    let seen: Vec<&str> =
        asked.iter().map(|review| review["request"]["subResource"].as_str().unwrap_or_default()).collect();
    // A rule about every subresource means the object itself as well.
    assert_eq!(seen, ["", "binding", "eviction", "exec"]);
    let request = &asked[3]["request"];
    assert_eq!((&request["operation"], &request["object"]["command"]), (&json!("CONNECT"), &json!(["ls", "-l"])));
}

#[tokio::test]
async fn another_version_of_the_same_objects_is_equivalent() {
    let api = Api::start().await;
    let server = WebhookServer::admission(|_| json!({"allowed": false})).await;
    let rules = |policy: &str| {
        let rule =
            json!({"operations": ["CREATE"], "apiGroups": ["autoscaling"], "apiVersions": ["v1"], "resources": ["*"]});
        json!({"rules": [rule], "matchPolicy": policy})
    };
    configure(&api, false, "c", &[hook(&server, &rules("Exact"))]).await;
    let scaler = json!({
        "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "s"},
        "spec": {"maxReplicas": 3, "scaleTargetRef": {"kind": "Deployment", "name": "d", "apiVersion": "apps/v1"}},
    });
    let path = "/apis/autoscaling/v2/namespaces/default/horizontalpodautoscalers";
    api.post(path, scaler.clone()).await.check(201);
    let configuration = format!("{CONFIGURATIONS}/validatingwebhookconfigurations/c");
    api.merge(&configuration, json!({"webhooks": [hook(&server, &rules("Equivalent"))]})).await.check(200);
    let mut other = scaler;
    other["metadata"]["name"] = json!("t");
    api.post(path, other).await.check(400);
    let request = &server.asked()[0]["request"];
    assert_eq!(request["object"]["apiVersion"], "autoscaling/v1");
    assert_eq!((&request["kind"]["version"], &request["requestKind"]["version"]), (&json!("v1"), &json!("v2")));
}

#[tokio::test]
async fn a_service_is_asked_under_its_own_name_and_configurations_are_not_asked_about() {
    let api = Api::start().await;
    let server = WebhookServer::admission(|_| json!({"allowed": false})).await;
    let service = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "hook"},
        "spec": {"ports": [{"port": 443, "name": "https"}]},
    });
    api.post("/api/v1/namespaces/default/services", service).await.check(201);
    let slice = json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": {"name": "hook-1", "labels": {"kubernetes.io/service-name": "hook"}},
        "ports": [{"name": "https", "port": server.address.port()}], "endpoints": [{"addresses": ["127.0.0.1"]}],
    });
    // Endpoints may not be on loopback, so the one of the test is put past the API's validation.
    let key = "/registry/discovery.k8s.io/endpointslices/default/hook-1";
    let operations = vec![coracle_control_store::Operation::Put { key: key.into(), value: slice.to_string().into() }];
    let transaction = coracle_control_store::Transaction { conditions: Vec::new(), operations };
    api.store.transact(transaction).await.unwrap();
    let client = json!({"service": {"name": "hook", "namespace": "default"}, "caBundle": server.bundle});
    let all = json!({"clientConfig": client, "rules": [rule(&["configmaps", "validatingwebhookconfigurations"])]});
    configure(&api, false, "c", &[hook(&server, &all)]).await;
    configure(&api, false, "d", &[hook(&server, &all)]).await;
    assert_eq!(server.asked().len(), 0);
    api.config_map("a", json!({})).await.check(400);
    assert_eq!(server.asked().len(), 2);
}
