use super::*;

#[test]
fn the_newest_stable_version_is_preferred() {
    let mut versions = ["v1alpha1", "v1", "zeta", "v2beta1", "v10", "v1beta2", "v2"];
    versions.sort_by(|one, other| compare_versions(one, other));
    assert_eq!(versions, ["v10", "v2", "v1", "v2beta1", "v1beta2", "v1alpha1", "zeta"]);
}
