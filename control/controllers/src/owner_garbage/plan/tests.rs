use serde_json::json;

use super::{Action, OwnerState, plan};
use crate::kind::Kind;
use crate::meta::Meta;
use crate::owner_garbage::graph::tests::{deleted_with, meta};
use crate::owner_garbage::source::Source;

/// The action in one line.
fn decided(meta: &Meta, owners: &[OwnerState], dependents: &[Meta]) -> String {
    let named = |dependents: Vec<(Source, Meta)>| {
        dependents.iter().map(|(_, meta)| meta.uid.to_string()).collect::<Vec<_>>().join(" ")
    };
    let pod = Source::new(Kind::find("", "v1", "Pod").expect("a built-in kind").resource());
    match plan(meta, owners, dependents.iter().map(|meta| (pod.clone(), meta.clone())).collect()) {
        Action::Nothing => "nothing".to_owned(),
        Action::Delete(how) => format!("delete {how:?}"),
        Action::KeepOwners(kept) => {
            format!("keep {}", kept.iter().map(|owner| owner.uid.clone()).collect::<Vec<_>>().join(" "))
        }
        Action::DeleteDependents(dependents) => format!("delete dependents {}", named(dependents)),
        Action::ReleaseDependents(dependents) => format!("release {}", named(dependents)),
        Action::RemoveFinalizer(finalizer) => format!("remove {finalizer}"),
    }
}

#[test]
fn an_object_lives_while_an_owner_lives() {
    use OwnerState::{Absent, Present, Unknown, WaitsForDependents};
    let child = meta("child", &["a", "b"], &json!({}));
    let cases = [
        ([Present, Present], "nothing"),
        ([Present, Absent], "keep a"),
        ([WaitsForDependents, Present], "keep b"),
        ([Absent, Absent], "delete Background"),
        ([WaitsForDependents, Absent], "delete Background"),
        ([Absent, Unknown], "nothing"),
    ];
    for (owners, action) in cases {
        assert_eq!(decided(&child, &owners, &[]), action, "{owners:?}");
    }
    assert_eq!(decided(&meta("free", &[], &json!({})), &[], &[]), "nothing");
}

#[test]
fn in_the_foreground_whole_families_wait_for_their_youngest() {
    let child = meta("child", &["owner"], &json!({}));
    let grandchild = meta("grandchild", &["child"], &json!({}));
    assert_eq!(decided(&child, &[OwnerState::WaitsForDependents], &[grandchild]), "delete Foreground");
}

#[test]
fn a_foreground_deletion_ends_when_nothing_blocks_it() {
    let owner = meta("owner", &[], &deleted_with("foregroundDeletion"));
    let child = meta("child", &["owner"], &json!({}));
    let going = meta("going", &["owner"], &json!({"deletionTimestamp": "2026-01-01T00:00:00Z"}));
    let shared = meta("shared", &["owner", "other"], &json!({}));
    assert_eq!(decided(&owner, &[], &[child, going.clone(), shared]), "delete dependents child");
    assert_eq!(decided(&owner, &[], &[going]), "delete dependents ", "it waits for those that are going");
    assert_eq!(decided(&owner, &[], &[]), "remove foregroundDeletion");
}

#[test]
fn orphaning_releases_the_dependents_first() {
    let owner = meta("owner", &[], &deleted_with("orphan"));
    assert_eq!(decided(&owner, &[], &[meta("child", &["owner"], &json!({}))]), "release child");
    assert_eq!(decided(&owner, &[], &[]), "remove orphan");
}
