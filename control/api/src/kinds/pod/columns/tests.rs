use super::*;

fn row(pod: &Value) -> Vec<String> {
    let now: Timestamp = "2026-01-01T01:00:00Z".parse().unwrap();
    cells(pod, now).iter().map(|cell| cell.as_str().unwrap().to_owned()).collect()
}

fn pod(spec: &Value, status: &Value) -> Value {
    json!({
        "metadata": { "name": "p", "creationTimestamp": "2026-01-01T00:00:00Z" },
        "spec": spec,
        "status": status,
    })
}

#[test]
fn a_new_pod_is_pending() {
    let pod = pod(&json!({ "containers": [{ "name": "c" }] }), &json!({ "phase": "Pending" }));
    assert_eq!(row(&pod), ["p", "0/1", "Pending", "0", "60m", "<none>", "<none>", "<none>", "<none>"]);
}

#[test]
fn a_restarted_container_tells_when() {
    let status = json!({
        "phase": "Running",
        "podIPs": [{ "ip": "100.64.0.1" }],
        "containerStatuses": [{
            "name": "c", "ready": true, "restartCount": 3, "state": { "running": {} },
            "lastState": { "terminated": { "finishedAt": "2026-01-01T00:55:00Z" } },
        }],
    });
    let pod = pod(&json!({ "containers": [{ "name": "c" }], "nodeName": "n" }), &status);
    assert_eq!(row(&pod), ["p", "1/1", "Running", "3 (5m ago)", "60m", "100.64.0.1", "n", "<none>", "<none>"]);
}

#[test]
fn reasons_of_containers_come_before_the_phase() {
    let with = |state: Value| {
        let status = json!({ "phase": "Running", "containerStatuses": [{ "name": "c", "state": state }] });
        row(&pod(&json!({ "containers": [{ "name": "c" }] }), &status))[2].clone()
    };
    assert_eq!(with(json!({ "waiting": { "reason": "ErrImagePull" } })), "ErrImagePull");
    assert_eq!(with(json!({ "terminated": { "reason": "OOMKilled", "exitCode": 137 } })), "OOMKilled");
    assert_eq!(with(json!({ "terminated": { "exitCode": 3 } })), "ExitCode:3");
    assert_eq!(with(json!({ "terminated": { "exitCode": 137, "signal": 9 } })), "Signal:9");
}

#[test]
fn init_containers_show_how_far_they_are() {
    let with = |statuses: Value| {
        let spec = json!({ "initContainers": [{ "name": "a" }, { "name": "b" }], "containers": [{ "name": "c" }] });
        row(&pod(&spec, &json!({ "phase": "Pending", "initContainerStatuses": statuses })))[2].clone()
    };
    let done = json!({ "name": "a", "state": { "terminated": { "exitCode": 0 } } });
    assert_eq!(with(json!([{ "name": "a", "state": { "running": {} } }])), "Init:0/2");
    assert_eq!(
        with(json!([done, { "name": "b", "state": { "waiting": { "reason": "PodInitializing" } } }])),
        "Init:1/2"
    );
    let crashed = json!({ "name": "b", "state": { "waiting": { "reason": "CrashLoopBackOff" } } });
    assert_eq!(with(json!([done, crashed])), "Init:CrashLoopBackOff");
    assert_eq!(with(json!([{ "name": "a", "state": { "terminated": { "exitCode": 2 } } }])), "Init:ExitCode:2");
    assert_eq!(
        with(json!([{ "name": "a", "state": { "terminated": { "exitCode": 2, "reason": "Error" } } }])),
        "Init:Error"
    );
}

#[test]
fn a_sidecar_counts_as_a_container() {
    let spec = json!({
        "initContainers": [{ "name": "s", "restartPolicy": "Always" }],
        "containers": [{ "name": "c" }],
    });
    let status = json!({
        "phase": "Running",
        "initContainerStatuses": [{ "name": "s", "started": true, "ready": true, "restartCount": 1, "state": { "running": {} } }],
        "containerStatuses": [{ "name": "c", "ready": true, "restartCount": 1, "state": { "running": {} } }],
    });
    let row = row(&pod(&spec, &status));
    assert_eq!((row[1].as_str(), row[2].as_str(), row[3].as_str()), ("2/2", "Running", "2"));
}

#[test]
fn a_deleted_pod_is_terminating_until_it_has_finished() {
    let mut pod = pod(&json!({ "containers": [{ "name": "c" }] }), &json!({ "phase": "Running" }));
    pod["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:59:00Z");
    assert_eq!(row(&pod)[2], "Terminating");
    pod["status"]["reason"] = json!("NodeLost");
    assert_eq!(row(&pod)[2], "Unknown");
    pod["status"] = json!({ "phase": "Succeeded" });
    assert_eq!(row(&pod)[2], "Succeeded");
}

#[test]
fn a_gated_pod_says_so() {
    let status = json!({ "phase": "Pending", "conditions": [{ "type": "PodScheduled", "reason": "SchedulingGated" }] });
    assert_eq!(row(&pod(&json!({ "containers": [{}] }), &status))[2], "SchedulingGated");
}

#[test]
fn a_finished_pod_has_a_row_condition() {
    assert_eq!(row_conditions(&pod(&json!({}), &json!({ "phase": "Succeeded" })))[0]["reason"], "Succeeded");
    assert!(row_conditions(&pod(&json!({}), &json!({ "phase": "Running" }))).is_empty());
}
