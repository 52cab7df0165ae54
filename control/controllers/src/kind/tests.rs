use super::Kind;

#[test]
fn every_storage_is_watched_once() {
    let mut paths: Vec<_> = Kind::watched().map(Kind::path).collect();
    let count = paths.len();
    paths.sort_unstable();
    paths.dedup();
    assert_eq!(paths.len(), count);
    for path in
        [("", "configmaps"), ("apps", "deployments"), ("batch", "jobs"), ("autoscaling", "horizontalpodautoscalers")]
    {
        assert!(paths.contains(&path), "{path:?}");
    }
    for path in [("events.k8s.io", "events"), ("", "componentstatuses"), ("", "bindings")] {
        assert!(!paths.contains(&path), "{path:?}");
    }
}

#[test]
fn an_owner_is_found_in_any_version_that_is_served() {
    let resource = |version| Kind::find("autoscaling", version, "HorizontalPodAutoscaler").map(Kind::resource);
    assert_eq!(resource("v1").map(|found| found.api_version).as_deref(), Some("autoscaling/v1"));
    assert_eq!(resource("v2").map(|found| found.plural).as_deref(), Some("horizontalpodautoscalers"));
    assert!(resource("v3").is_none());
    assert!(Kind::find("", "v1", "Namespace").is_some_and(|kind| !kind.is_namespaced()));
}
