//! The audit log of a server.

use std::path::Path;

use super::support::Api;
use coracle_control_apiserver::{Audit, AuditLog, AuditLogConfig, AuditPolicy, UserInfo};
use serde_json::{Value, json};

async fn start(directory: &Path, policy: &str) -> Api {
    let log = AuditLog::open(AuditLogConfig {
        path: directory.join("audit.log"),
        age_days_max: 0,
        backups_max: 0,
        size_mebibytes_max: 0,
    })
    .unwrap();
    let text = format!("apiVersion: audit.k8s.io/v1\nkind: Policy\n{policy}");
    let audit = Audit::new(AuditPolicy::parse(&text).unwrap(), log);
    Api::with(|config| {
        config.audit = Some(audit);
        config.disabled_admission_plugins = ["ServiceAccount"].iter().map(|name| (*name).to_owned()).collect();
    })
    .await
}

/// The events after the server, and with it its log, has ended.
fn events(api: Api, directory: &Path) -> Vec<Value> {
    drop(api);
    let text = std::fs::read_to_string(directory.join("audit.log")).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test]
async fn a_write_is_told_with_its_bodies_and_why_it_was_allowed() {
    let directory = tempfile::tempdir().unwrap();
    let api =
        start(directory.path(), "omitManagedFields: true\nrules: [{level: RequestResponse, verbs: [create]}]").await;
    api.config_map("c", json!({"a": "b"})).await.check(201);
    api.get("/api/v1/namespaces/default/configmaps/c").await.check(200);
    let events = events(api, directory.path());
    let stages: Vec<&str> = events.iter().map(|event| event["stage"].as_str().unwrap()).collect();
    assert_eq!(stages, ["RequestReceived", "ResponseComplete"]);
    let event = &events[1];
    assert_eq!((&event["kind"], &event["apiVersion"]), (&json!("Event"), &json!("audit.k8s.io/v1")));
    assert_eq!(event["auditID"], events[0]["auditID"]);
    assert_eq!(event["user"]["username"], "system:admin");
    assert_eq!(
        event["objectRef"],
        json!({"resource": "configmaps", "namespace": "default", "name": "c", "apiVersion": "v1"})
    );
    assert_eq!(event["requestObject"]["data"], json!({"a": "b"}));
    assert_eq!(event["responseObject"]["data"], json!({"a": "b"}));
    assert_eq!(event["responseObject"]["metadata"]["managedFields"], Value::Null);
    assert_eq!(event["responseStatus"], json!({"metadata": {}, "code": 201}));
    assert_eq!(event["annotations"]["authorization.k8s.io/decision"], "allow");
}

#[tokio::test]
async fn a_refusal_and_an_impersonation_are_told() {
    let directory = tempfile::tempdir().unwrap();
    let api = start(directory.path(), "omitStages: [RequestReceived]\nrules: [{level: Metadata}]").await;
    let headers = [("impersonate-user", "bob"), ("user-agent", "tester/1")];
    api.admin().call("GET", "/api/v1/secrets", &headers, Vec::new()).await.check(403);
    let events = events(api, directory.path());
    assert_eq!(events.len(), 1, "{events:?}");
    let event = &events[0];
    assert_eq!(event["impersonatedUser"]["username"], "bob");
    assert_eq!((&event["verb"], &event["userAgent"]), (&json!("list"), &json!("tester/1")));
    assert_eq!(
        (&event["responseStatus"]["code"], &event["responseStatus"]["reason"]),
        (&json!(403), &json!("Forbidden"))
    );
    assert_eq!(event["annotations"]["authorization.k8s.io/decision"], "forbid");
    assert_eq!((&event["requestObject"], &event["responseObject"]), (&Value::Null, &Value::Null));
}

#[tokio::test]
async fn a_watch_is_told_when_it_begins_and_when_it_ends() {
    let directory = tempfile::tempdir().unwrap();
    let api = start(directory.path(), "rules: [{level: Metadata, verbs: [watch]}]").await;
    let bob = api.as_user(UserInfo::new("bob", &["system:masters"]));
    let mut watch = bob.watch("/api/v1/namespaces?watch=1", &[]).await;
    watch.next().await.unwrap();
    drop((watch, bob));
    let events = events(api, directory.path());
    let stages: Vec<&str> = events.iter().map(|event| event["stage"].as_str().unwrap()).collect();
    assert_eq!(stages, ["RequestReceived", "ResponseStarted", "ResponseComplete"]);
}
