mod policies;
mod properties;
mod reference;
mod refusals;
mod server;
mod storage;

use super::*;

#[test]
fn every_kind_is_found_by_path_and_by_name() {
    for kind in kinds() {
        assert!(find(&kind.group, &kind.version, &kind.plural).is_some(), "{}", kind.plural);
        assert!(find_kind(&kind.group, &kind.version, &kind.kind).is_some(), "{}", kind.kind);
        assert!(crate::schema::Schema::builtin().find(&kind.schema).is_some(), "{} has a schema", kind.kind);
    }
    assert!(find_kind("policy", "v1", "Eviction").is_some());
    assert!(find("", "v1", "evictions").is_none());
}

#[test]
fn events_of_both_groups_share_one_storage() {
    let core = find("", "v1", "events").unwrap();
    let group = find("events.k8s.io", "v1", "events").unwrap();
    assert_eq!(core.storage_key("ns", "e"), "/registry/core/events/ns/e");
    assert_eq!(group.storage_key("ns", "e"), core.storage_key("ns", "e"));
}
