//! Workloads on a whole cluster, as a person with kubectl sees them.

use coracle_tests_fixtures as guests;

use super::harness::TestCluster;
use super::kubectl::Kubectl;

fn deployment(replicas: u32) -> String {
    let container = format!(
        "{{name: main, image: 'file://{}', env: [{{name: VERSION, value: '1'}}], ports: [{{containerPort: 8080}}]}}",
        guests::HTTP_HELLO
    );
    format!(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: web}}\nspec:\n  replicas: {replicas}\n  \
         selector: {{matchLabels: {{app: web}}}}\n  template:\n    metadata: {{labels: {{app: web}}}}\n    spec:\n      \
         terminationGracePeriodSeconds: 0\n      containers: [{container}]\n"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deployment_is_rolled_out_undone_scaled_exposed_and_deleted() {
    let cluster = TestCluster::start().await;
    let Some(kubectl) = Kubectl::find(cluster.cluster().kubeconfig()) else { return };
    let rolled_out = || kubectl.run(&["rollout", "status", "deployment/web", "--timeout=120s"]);
    kubectl.apply(&deployment(2));
    rolled_out();
    kubectl.run(&["set", "env", "deployment/web", "VERSION=2"]);
    rolled_out();
    let history = kubectl.run(&["rollout", "history", "deployment/web"]);
    assert_eq!(history.lines().filter(|line| line.starts_with(['1', '2'])).count(), 2, "{history}");
    kubectl.run(&["rollout", "undo", "deployment/web"]);
    rolled_out();
    let version = "jsonpath={.spec.template.spec.containers[0].env[0].value}";
    assert_eq!(kubectl.run(&["get", "deployment", "web", "-o", version]), "1");
    kubectl.run(&["rollout", "restart", "deployment/web"]);
    rolled_out();
    kubectl.run(&["scale", "deployment/web", "--replicas=3"]);
    rolled_out();
    kubectl.run(&["expose", "deployment", "web", "--port=80", "--target-port=8080"]);
    kubectl.run(&["wait", "--for=jsonpath={.subsets[0].addresses[2].ip}", "endpoints/web", "--timeout=60s"]);
    kubectl.run(&["delete", "deployment", "web", "--cascade=foreground"]);
    assert_eq!(kubectl.run(&["get", "replicasets,pods", "-o", "name"]), "");
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_is_created_and_waited_for() {
    let cluster = TestCluster::start().await;
    let Some(kubectl) = Kubectl::find(cluster.cluster().kubeconfig()) else { return };
    let image = format!("--image=file://{}", guests::HELLO_P2);
    kubectl.run(&["create", "job", "once", &image]);
    kubectl.run(&["wait", "--for=condition=complete", "job/once", "--timeout=60s"]);
    assert!(kubectl.run(&["logs", "job/once"]).contains("hello"));
    assert_eq!(kubectl.run(&["get", "job", "once", "-o", "jsonpath={.status.succeeded}"]), "1");
    kubectl.run(&["delete", "job", "once"]);
    kubectl.run(&["wait", "--for=delete", "pod", "-l", "job-name=once", "--timeout=60s"]);
    cluster.stop().await;
}
