use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PropagationPolicy};
use serde_json::json;
use tokio::task::JoinSet;

use super::cluster::{Cluster, create, eventually};

/// A host on which every pod succeeds at once.
fn succeed(pods: Api<Pod>) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        loop {
            for pod in pods.list(&ListParams::default()).await.unwrap().items {
                if pod.status.unwrap_or_default().phase.as_deref() == Some("Pending") {
                    let patch = Patch::Merge(json!({"status": {"phase": "Succeeded"}}));
                    let _ = pods.patch_status(&pod.metadata.name.unwrap(), &PatchParams::default(), &patch).await;
                }
            }
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    });
    tasks
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn jobs_run_to_their_ends_and_take_their_pods_along() {
    let cluster = Cluster::start().await;
    let (jobs, pods) = (cluster.namespaced::<Job>("default"), cluster.namespaced::<Pod>("default"));
    let _hosts = succeed(pods.clone());
    let template = json!({"spec": {"containers": [{"name": "main", "image": "program:1"}], "restartPolicy": "Never"}});
    for mode in ["NonIndexed", "Indexed"] {
        let spec = json!({"completions": 7, "parallelism": 3, "completionMode": mode, "template": template});
        create(&jobs, json!({"metadata": {"name": "work"}, "spec": spec})).await;
        let complete = |job: &Job| {
            let conditions = job.status.as_ref().and_then(|status| status.conditions.as_ref());
            conditions.into_iter().flatten().any(|known| known.type_ == "Complete" && known.status == "True")
        };
        let job = eventually(&jobs, "work", |job| job.is_some_and(complete)).await.unwrap();
        let status = job.status.unwrap();
        assert_eq!((status.succeeded, status.failed, status.active), (Some(7), None, None));
        assert!(status.completion_time.is_some());
        assert_eq!(status.completed_indexes.as_deref(), (mode == "Indexed").then_some("0-6"));
        let made = pods.list(&ListParams::default()).await.unwrap().items;
        assert_eq!(made.len(), 7, "no pod is made twice");
        if mode == "Indexed" {
            let spec = made[0].spec.as_ref().unwrap();
            let index = spec.containers[0]
                .env
                .as_ref()
                .unwrap()
                .iter()
                .find(|variable| variable.name == "JOB_COMPLETION_INDEX");
            assert!(index.is_some() && spec.hostname.as_deref().is_some_and(|name| name.starts_with("work-")));
        }
        let how = DeleteParams { propagation_policy: Some(PropagationPolicy::Foreground), ..DeleteParams::default() };
        jobs.delete("work", &how).await.unwrap();
        eventually(&jobs, "work", |job| job.is_none()).await;
        assert_eq!(pods.list(&ListParams::default()).await.unwrap().items.len(), 0);
    }
    cluster.stop().await;
}
