use super::*;

#[test]
fn the_newest_stable_version_is_preferred() {
    let mut versions = ["v1alpha1", "v1", "zeta", "v2beta1", "v10", "v1beta2", "v2"];
    versions.sort_by(|one, other| compare_versions(one, other));
    assert_eq!(versions, ["v10", "v2", "v1", "v2beta1", "v1beta2", "v1alpha1", "zeta"]);
}

#[test]
fn a_resource_is_printed_in_the_order_of_upstream() {
    let kind = coracle_control_api::kind::find("", "v1", "configmaps").unwrap();
    let text = serde_json::to_string(&ApiResource::of_kind(kind)).unwrap();
    let start = r#"{"name":"configmaps","singularName":"configmap","namespaced":true,"kind":"ConfigMap","verbs":["create","delete","deletecollection","get","list","patch","update","watch"],"shortNames":["cm"],"storageVersionHash":""#;
    assert!(text.starts_with(start), "{text}");
}
