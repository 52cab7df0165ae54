use std::collections::BTreeMap;

use serde_json::json;

use super::{Action, plan};
use crate::observed::Namespace;

fn namespace(deleting: bool) -> Namespace {
    let mut object = json!({"metadata": {"name": "n"}});
    if deleting {
        object["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    }
    Namespace::from_api(&serde_json::from_value(object).expect("a Namespace"))
}

fn data(entries: &[(&str, &str)]) -> BTreeMap<String, String> {
    entries.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

#[test]
fn every_live_namespace_gets_the_certificate_and_keeps_it() {
    let live = namespace(false);
    assert_eq!(plan(Some(&live), None, "PEM"), Action::Create);
    assert_eq!(plan(Some(&live), Some(&data(&[("ca.crt", "PEM")])), "PEM"), Action::Nothing);
    assert_eq!(plan(Some(&live), Some(&data(&[("ca.crt", "old")])), "PEM"), Action::Repair);
    assert_eq!(plan(Some(&live), Some(&data(&[("ca.crt", "PEM"), ("extra", "x")])), "PEM"), Action::Repair);
    assert_eq!(plan(Some(&live), Some(&data(&[])), "PEM"), Action::Repair);
}

#[test]
fn a_namespace_on_its_way_out_is_left_alone() {
    assert_eq!(plan(Some(&namespace(true)), None, "PEM"), Action::Nothing);
    assert_eq!(plan(None, None, "PEM"), Action::Nothing);
}
