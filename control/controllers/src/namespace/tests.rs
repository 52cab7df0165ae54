use jiff::Timestamp;
use k8s_openapi::api::core::v1 as api;
use serde_json::{Value, json};

use super::content::Remaining;
use super::{Action, is_news, plan};
use crate::observed::Namespace;

fn namespace(deleting: bool, finalizers: &Value) -> Namespace {
    let mut object = json!({"metadata": {"name": "n"}, "spec": {"finalizers": finalizers}});
    if deleting {
        object["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    }
    Namespace::from_api(&serde_json::from_value(object).expect("a Namespace"))
}

#[test]
fn only_a_namespace_that_is_deleted_and_ours_to_finalize_is_touched() {
    let nothing_left = Remaining::default();
    let decide = |namespace: Option<&Namespace>| plan(namespace, &nothing_left, Timestamp::UNIX_EPOCH);
    assert_eq!(decide(None), Action::Nothing);
    assert_eq!(decide(Some(&namespace(false, &json!(["kubernetes"])))), Action::Nothing);
    assert_eq!(decide(Some(&namespace(true, &json!(["example.com/other"])))), Action::Nothing);
    assert_eq!(decide(Some(&namespace(true, &json!(["kubernetes"])))), Action::Finalize);
}

#[test]
fn what_is_left_is_said_in_the_words_of_upstream() {
    let remaining = Remaining {
        objects: [("pods".to_owned(), 2), ("widgets.example.com".to_owned(), 1)].into(),
        finalizers: [("example.com/hold".to_owned(), 1)].into(),
        failures: [("secrets".to_owned(), "forbidden".to_owned())].into(),
    };
    let Action::Report(conditions) =
        plan(Some(&namespace(true, &json!(["kubernetes"]))), &remaining, Timestamp::UNIX_EPOCH)
    else {
        panic!("something is left");
    };
    let lines: Vec<String> = conditions
        .iter()
        .map(|c| {
            format!("{}={} {}: {}", c.type_, c.status, c.reason.as_deref().unwrap(), c.message.as_deref().unwrap())
        })
        .collect();
    assert_eq!(
        lines,
        [
            "NamespaceDeletionContentFailure=True ContentDeletionFailed: secrets: forbidden",
            "NamespaceContentRemaining=True SomeResourcesRemain: Some resources are remaining: pods has 2 resource instances, \
             widgets.example.com has 1 resource instances",
            "NamespaceFinalizersRemaining=True SomeFinalizersRemain: Some content in the namespace has finalizers remaining: \
             example.com/hold in 1 resource instances",
        ]
    );
}

#[test]
fn a_resource_that_could_not_be_deleted_holds_the_namespace() {
    let remaining =
        Remaining { failures: [("secrets".to_owned(), "timeout".to_owned())].into(), ..Remaining::default() };
    let namespace = namespace(true, &json!(["kubernetes"]));
    assert!(matches!(plan(Some(&namespace), &remaining, Timestamp::UNIX_EPOCH), Action::Report(_)));
}

#[test]
fn a_condition_is_news_when_status_or_message_differ() {
    let condition = |status: &str, message: &str| api::NamespaceCondition {
        type_: "NamespaceContentRemaining".to_owned(),
        status: status.to_owned(),
        message: Some(message.to_owned()),
        ..api::NamespaceCondition::default()
    };
    let known = [condition("True", "two left")];
    assert!(!is_news(&condition("True", "two left"), &known));
    assert!(is_news(&condition("True", "one left"), &known));
    assert!(is_news(&condition("False", "two left"), &known));
    assert!(is_news(&condition("True", "two left"), &[]));
}
