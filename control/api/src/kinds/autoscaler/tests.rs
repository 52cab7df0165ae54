use super::*;

#[test]
fn the_old_form_keeps_what_it_cannot_say_in_annotations() {
    let mut object = json!({
        "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": { "name": "x" },
        "spec": {
            "maxReplicas": 3, "minReplicas": 1, "scaleTargetRef": { "kind": "Deployment", "name": "d" },
            "metrics": [
                { "type": "Resource", "resource": { "name": "cpu", "target": { "type": "Utilization", "averageUtilization": 50 } } },
                { "type": "Resource", "resource": { "name": "memory", "target": { "type": "AverageValue", "averageValue": "1Gi" } } },
                { "type": "Pods", "pods": { "metric": { "name": "hits" }, "target": { "type": "AverageValue", "averageValue": "10" } } },
            ],
            "behavior": { "scaleDown": { "stabilizationWindowSeconds": 5 } },
        },
        "status": { "currentMetrics": null, "desiredReplicas": 0 },
    });
    Autoscaler.default(&mut object);
    let before = object.clone();
    OldAutoscaler.from_stored(&mut object);
    assert_eq!(object["apiVersion"], "autoscaling/v1");
    assert_eq!(object["spec"]["targetCPUUtilizationPercentage"], 50);
    assert!(object["spec"].get("metrics").is_none());
    let annotation = object["metadata"]["annotations"]["autoscaling.alpha.kubernetes.io/metrics"].as_str().unwrap();
    let metrics: Value = serde_json::from_str(annotation).unwrap();
    assert_eq!(metrics[0]["resource"], json!({ "name": "memory", "targetAverageValue": "1Gi" }));
    assert_eq!(metrics[1]["pods"], json!({ "metricName": "hits", "targetAverageValue": "10" }));
    OldAutoscaler.to_stored(&mut object);
    assert_eq!(object, before);
}

#[test]
fn a_table_shows_two_metrics() {
    let utilization = json!({ "type": "Utilization", "averageUtilization": 50 });
    let cpu = json!({ "type": "Resource", "resource": { "name": "cpu", "target": utilization } });
    let hits = json!({ "type": "Pods", "pods": { "metric": { "name": "hits" }, "target": { "averageValue": "10" } } });
    let now = json!({ "type": "Resource", "resource": { "name": "cpu", "current": { "averageUtilization": 7 } } });
    assert_eq!(metrics(&[cpu.clone(), hits.clone(), cpu], &[now]), "cpu: 7%/50%, <unknown>/10 + 1 more...");
    assert_eq!(metrics(&[], &[]), "<none>");
}
