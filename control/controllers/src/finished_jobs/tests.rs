use k8s_openapi::api::batch::v1::Job;
use serde_json::json;

use super::plan;
use crate::observed::Whole;

#[test]
fn only_a_job_that_has_ended_and_has_a_time_to_live_goes() {
    let due = |time_to_live: Option<i32>, kind: &str| {
        let object = json!({
            "metadata": {"name": "j", "namespace": "n"}, "spec": {"template": {}, "ttlSecondsAfterFinished": time_to_live},
            "status": {"conditions": [{"type": kind, "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}]},
        });
        let job: Job = serde_json::from_value(object).expect("a Job");
        plan(&Whole::new(job)).map(|at| at.to_string())
    };
    assert_eq!(due(Some(90), "Complete").as_deref(), Some("2026-01-01T00:01:30Z"));
    assert_eq!(due(Some(0), "Failed").as_deref(), Some("2026-01-01T00:00:00Z"));
    assert_eq!(due(None, "Complete"), None);
    assert_eq!(due(Some(90), "Suspended"), None);
}
