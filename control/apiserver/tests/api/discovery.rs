use super::support::Api;
use serde_json::Value;

#[tokio::test]
async fn what_discovery_names_is_served() {
    let api = Api::start().await;
    let mut documents = vec!["/api/v1".to_owned()];
    for group in api.get("/apis").await.check(200).body["groups"].as_array().unwrap() {
        let version = group["preferredVersion"]["groupVersion"].as_str().unwrap();
        documents.push(format!("/apis/{version}"));
    }
    for document in documents {
        for resource in api.get(&document).await.check(200).body["resources"].as_array().unwrap() {
            let name = resource["name"].as_str().unwrap();
            let verbs: Vec<&str> = resource["verbs"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
            if verbs.contains(&"list") {
                let list = api.get(&format!("{document}/{name}")).await.check(200);
                assert_eq!(list.body["kind"], format!("{}List", resource["kind"].as_str().unwrap()));
            }
        }
    }
}

#[tokio::test]
async fn aggregated_discovery_is_answered_where_asked_for() {
    let api = Api::start().await;
    let accept = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json";
    let answer = api.admin().call("GET", "/apis", &[("accept", accept)], Vec::new()).await.check(200);
    assert_eq!(answer.body["kind"], "APIGroupDiscoveryList");
    assert_eq!(answer.headers["content-type"], "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList");
    let tag = answer.headers["etag"].to_str().unwrap().to_owned();
    let again = [("accept", accept), ("if-none-match", &*tag)];
    api.admin().call("GET", "/apis", &again, Vec::new()).await.check(304);
}

#[tokio::test]
async fn openapi_has_what_kubectl_needs() {
    let api = Api::start().await;
    let index = api.get("/openapi/v3").await.check(200);
    let url = index.body["paths"]["api/v1"]["serverRelativeURL"].as_str().unwrap();
    let document = api.get(url).await.check(200).body;
    let patch = &document["paths"]["/api/v1/namespaces/{namespace}/pods/{name}"]["patch"];
    assert_eq!(patch["x-kubernetes-group-version-kind"]["kind"], "Pod");
    assert_eq!(patch["x-kubernetes-action"], "patch");
    let types = patch["requestBody"]["content"].as_object().unwrap();
    assert!(types.contains_key("application/apply-patch+yaml"));
    let parameters: Vec<&str> =
        patch["parameters"].as_array().unwrap().iter().filter_map(|parameter| parameter["name"].as_str()).collect();
    for name in ["dryRun", "fieldManager", "fieldValidation"] {
        assert!(parameters.contains(&name), "{name}");
    }
    let schemas = document["components"]["schemas"].as_object().unwrap();
    check_references(&document, schemas);
    let accept = [("accept", "application/com.github.proto-openapi.spec.v2@v1.0+protobuf")];
    let old = api.admin().call("GET", "/openapi/v2", &accept, Vec::new()).await.check(200);
    assert!(old.headers["content-type"].to_str().unwrap().contains("spec.v2.v1.0+protobuf"));
}

#[tokio::test]
async fn fields_are_explained_in_upstreams_words() {
    let api = Api::start().await;
    let document = api.get("/openapi/v3/apis/apps/v1").await.check(200);
    assert_eq!(document.headers["content-type"], "application/json");
    let schemas = &document.body["components"]["schemas"];
    let text = |pointer: &str| schemas.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
    let deployment = text("/io.k8s.api.apps.v1.Deployment/description");
    assert!(deployment.contains("declarative updates"), "{deployment}");
    assert!(text("/io.k8s.api.core.v1.Container/properties/image/description").starts_with("Container image name."));
    assert!(
        text("/io.k8s.api.core.v1.PodTemplateSpec/properties/spec/description")
            .starts_with("Specification of the desired")
    );
    let described = schemas.as_object().unwrap().values().filter(|schema| schema.get("description").is_some()).count();
    assert!(described > 120, "{described}");
}

#[tokio::test]
async fn documents_can_be_kept_by_their_hash() {
    let api = Api::start().await;
    let index = api.get("/openapi/v3").await.check(200);
    let url = index.body["paths"]["api/v1"]["serverRelativeURL"].as_str().unwrap().to_owned();
    let gzip = [("accept-encoding", "gzip")];
    let packed = api.admin().call("GET", &url, &gzip, Vec::new()).await.check(200);
    assert_eq!(packed.headers["content-encoding"], "gzip");
    let plain = api.get(&url).await.check(200);
    assert_eq!(plain.headers["cache-control"], "public, immutable");
    assert!(plain.headers.contains_key("expires"));
    let tag = plain.headers["etag"].to_str().unwrap();
    api.admin().call("GET", &url, &[("if-none-match", tag)], Vec::new()).await.check(304);
    let old = api.get("/openapi/v3/api/v1?hash=OLD").await.check(301);
    assert_eq!(old.headers["location"], url.as_str());
}

#[tokio::test]
async fn the_older_document_has_everything_as_well() {
    let api = Api::start().await;
    let document = api.get("/openapi/v2").await.check(200).body;
    assert_eq!(document["swagger"], "2.0");
    let pod = &document["definitions"]["io.k8s.api.core.v1.Pod"];
    assert_eq!(pod["properties"]["spec"]["$ref"], "#/definitions/io.k8s.api.core.v1.PodSpec");
    assert_eq!(pod["x-kubernetes-group-version-kind"][0]["kind"], "Pod");
    let post = &document["paths"]["/apis/apps/v1/namespaces/{namespace}/deployments"]["post"];
    let body = post["parameters"].as_array().unwrap().iter().find(|parameter| parameter["in"] == "body").unwrap();
    assert_eq!(body["schema"]["$ref"], "#/definitions/io.k8s.api.apps.v1.Deployment");
    assert_eq!(post["responses"]["200"]["schema"]["$ref"], "#/definitions/io.k8s.api.apps.v1.Deployment");
    assert!(!document.to_string().contains("#/components/"));
}

fn check_references(value: &Value, schemas: &serde_json::Map<String, Value>) {
    match value {
        Value::Object(map) => {
            if let Some(name) = map.get("$ref").and_then(Value::as_str) {
                let name = name.strip_prefix("#/components/schemas/").unwrap();
                assert!(schemas.contains_key(name), "{name} is not in the document");
            }
            map.values().for_each(|value| check_references(value, schemas));
        }
        Value::Array(items) => items.iter().for_each(|value| check_references(value, schemas)),
        _ => {}
    }
}

#[tokio::test]
async fn health_is_told_by_check() {
    let api = Api::start().await;
    assert_eq!(api.get("/readyz").await.check(200).text, "ok");
    let text = api.get("/readyz?verbose").await.check(200).text;
    assert!(text.contains("[+]etcd ok\n") && text.ends_with("readyz check passed\n"), "{text}");
    assert!(text.contains("[+]poststarthook/rbac/bootstrap-roles ok\n") && text.contains("[+]informer-sync ok\n"));
    api.get("/livez/ping").await.check(200);
    api.get("/readyz/poststarthook/rbac/bootstrap-roles").await.check(200);
    let text = api.get("/readyz?verbose&exclude=etcd&exclude=nosuch").await.check(200).text;
    assert!(text.contains("[+]etcd excluded: ok\n"), "{text}");
    assert!(text.contains("warn: some health checks cannot be excluded: no matches for \"nosuch\"\n"), "{text}");
    api.get("/livez/nosuch").await.check(404);
    api.store.close().await;
    let text = api.get("/livez").await.check(500).text;
    assert!(text.contains("[-]etcd failed: reason withheld"), "{text}");
}

#[tokio::test]
async fn requests_and_objects_are_counted_for_prometheus() {
    let api = Api::start().await;
    api.config_map("a", serde_json::json!({})).await.check(201);
    api.config_map("a", serde_json::json!({})).await.check(409);
    let mut watch = api.watch("/api/v1/namespaces/default/configmaps?watch=1").await;
    watch.next().await.unwrap();
    api.get("/api/v1/namespaces/default/madeup").await.check(404);
    let answer = api.get("/metrics").await.check(200);
    assert!(answer.headers["content-type"].to_str().unwrap().starts_with("text/plain; version=0.0.4"));
    let posted = "component=\"apiserver\",dry_run=\"\",group=\"\",resource=\"configmaps\",scope=\"resource\",\
                  subresource=\"\",verb=\"POST\",version=\"v1\"";
    for line in [
        format!("apiserver_request_total{{code=\"201\",{posted}}} 1"),
        format!("apiserver_request_total{{code=\"409\",{posted}}} 1"),
        format!("apiserver_request_duration_seconds_count{{{posted}}} 2"),
        "apiserver_current_inflight_requests{request_kind=\"readOnly\"} 1".to_owned(),
        "apiserver_storage_objects{resource=\"configmaps\"} 1".to_owned(),
    ] {
        assert!(answer.text.lines().any(|found| found == line), "{line} is not in\n{}", answer.text);
    }
    let open = answer.text.lines().find(|line| line.starts_with("apiserver_longrunning_requests{")).unwrap();
    assert!(open.contains("verb=\"WATCH\"") && open.ends_with(" 1"), "{open}");
    assert!(!answer.text.contains("madeup"));
}

#[tokio::test]
async fn unknown_paths_are_told_apart() {
    let api = Api::start().await;
    assert_eq!(api.get("/nothing/here").await.check(404).text, "404 page not found\n");
    assert_eq!(api.get("/apis/no.such/v1").await.check(404).text, "404 page not found\n");
    assert_eq!(api.get("/api/v1/widgets").await.check(404).body["kind"], "Status");
    api.get("/api/v1/namespaces/default/nodes").await.check(404);
    api.get("/api/v1/pods/x").await.check(404);
    api.post("/api/v1/pods", serde_json::json!({})).await.check(405);
    assert_eq!(api.get("/version").await.check(200).body["gitVersion"], "v1.34.0+coracle");
}
