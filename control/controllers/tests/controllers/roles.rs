//! Roles gather rules, and flow schemas tell of their levels.

use k8s_openapi::api::flowcontrol::v1::FlowSchema;
use k8s_openapi::api::rbac::v1::ClusterRole;
use kube::api::{Api, DeleteParams};
use serde_json::json;

use super::cluster::{Cluster, create, eventually};

#[tokio::test]
async fn a_role_has_the_rules_of_those_that_it_selects() {
    let cluster = Cluster::start().await;
    let roles: Api<ClusterRole> = cluster.all();
    let selector = json!({"clusterRoleSelectors": [{"matchLabels": {"to": "all"}}]});
    create::<ClusterRole>(&roles, json!({"metadata": {"name": "all"}, "aggregationRule": selector, "rules": []})).await;
    let rules = json!([{"apiGroups": ["example.com"], "resources": ["widgets"], "verbs": ["get"]}]);
    let part = json!({"metadata": {"name": "part", "labels": {"to": "all"}}, "rules": rules});
    create::<ClusterRole>(&roles, part).await;
    let count = |role: Option<&ClusterRole>| role.and_then(|role| role.rules.as_ref()).map_or(0, Vec::len);
    eventually(&roles, "all", |role| count(role) == 1).await;
    roles.delete("part", &DeleteParams::default()).await.unwrap();
    eventually(&roles, "all", |role| count(role) == 0).await;
    cluster.stop().await;
}

#[tokio::test]
async fn a_flow_schema_without_a_level_says_so() {
    let cluster = Cluster::start().await;
    let schemas: Api<FlowSchema> = cluster.all();
    let spec = json!({"priorityLevelConfiguration": {"name": "none"}, "matchingPrecedence": 50});
    create::<FlowSchema>(&schemas, json!({"metadata": {"name": "s"}, "spec": spec})).await;
    eventually(&schemas, "s", |schema| {
        let status = schema.and_then(|schema| schema.status.as_ref());
        let mut conditions = status.iter().flat_map(|status| status.conditions.iter().flatten());
        conditions.any(|condition| condition.reason.as_deref() == Some("NotFound"))
    })
    .await;
    cluster.stop().await;
}
