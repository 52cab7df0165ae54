use super::*;
use proptest::prelude::*;
use serde_json::{Map, Value, json};
use std::borrow::Cow;

fn labels(value: &Value) -> Option<&Map<String, Value>> {
    value.as_object()
}

fn selects(selector: &str, value: &Value) -> bool {
    LabelSelector::parse(selector).unwrap().matches(labels(value))
}

fn refusal(selector: &str) -> String {
    LabelSelector::parse(selector).unwrap_err().to_string()
}

#[test]
fn labels_are_selected_by_every_operator() {
    let object = json!({"a": "1", "b": "x", "n": "7"});
    for yes in [
        "",
        "a",
        "a=1",
        "a==1",
        "a!=2",
        "a in (1, 2)",
        "b notin (y)",
        "!c",
        "n>6",
        "n<8",
        "c!=1",
        "c notin (1)",
        "a,b=x",
    ] {
        assert!(selects(yes, &object), "{yes}");
    }
    for no in ["c", "a=2", "a!=1", "a in (2)", "b notin (x)", "!a", "n>7", "b>1", "c in ()", "a=1,b=y"] {
        assert!(!selects(no, &object), "{no}");
    }
    assert!(selects("x in (,)", &json!({"x": ""})));
}

#[test]
fn refusals_are_in_upstreams_words() {
    assert_eq!(refusal("a in 1"), "unable to parse requirement: found '1' expected: '('");
    assert_eq!(refusal("a,"), "found '', expected: identifier after ','");
    assert_eq!(refusal("a b"), "unable to parse requirement: found 'b', expected: in, notin, =, ==, !=, gt, lt");
    assert_eq!(refusal("=x"), "found '=', expected: !, identifier, or 'end of string'");
    assert_eq!(refusal("a=1=2"), "found '=', expected: ',' or 'end of string'");
    assert!(
        refusal("a=b_")
            .starts_with("unable to parse requirement: values[0][a]: Invalid value: \"b_\": a valid label must")
    );
    assert!(
        refusal("-a").starts_with("unable to parse requirement: <nil>: Invalid value: \"-a\": name part must consist")
    );
    assert!(
        refusal("a>x")
            .contains("values[0]: Invalid value: \"x\": for 'Gt', 'Lt' operators, the value must be an integer")
    );
}

#[test]
fn a_selector_object_is_read() {
    let selector =
        json!({"matchLabels": {"a": "1"}, "matchExpressions": [{"key": "b", "operator": "In", "values": ["x", "y"]}]});
    let selector = LabelSelector::from_object(Some(&selector)).unwrap();
    assert!(selector.matches(labels(&json!({"a": "1", "b": "y"}))));
    assert_eq!(selector.to_string(), "a=1,b in (x,y)");
    assert!(!LabelSelector::from_object(None).unwrap().matches(None));
    assert!(LabelSelector::from_object(Some(&json!({}))).unwrap().matches(None));
    let bad = json!({"matchExpressions": [{"key": "b", "operator": "Like"}]});
    assert_eq!(
        LabelSelector::from_object(Some(&bad)).unwrap_err().to_string(),
        "\"Like\" is not a valid label selector operator"
    );
}

#[test]
fn fields_are_selected_and_unescaped() {
    let selector = FieldSelector::parse("spec.nodeName=a\\,b,metadata.name!=x,").unwrap();
    let value = |name: &str| match name {
        "spec.nodeName" => Some(Cow::Borrowed("a,b")),
        _ => None,
    };
    assert!(selector.matches(value));
    assert_eq!(selector.exact("spec.nodeName"), Some("a,b"));
    assert_eq!(selector.to_string(), "metadata.name!=x,spec.nodeName=a\\,b");
    assert_eq!(FieldSelector::parse("abc").unwrap_err().to_string(), "invalid selector: 'abc'; can't understand 'abc'");
    assert_eq!(
        FieldSelector::parse("a=\\x").unwrap_err().to_string(),
        "invalid field selector: invalid escape sequence: \\x"
    );
    assert_eq!(
        FieldSelector::parse("a=b=c").unwrap_err().to_string(),
        "invalid field selector: unescaped character in value: 61"
    );
}

proptest! {
    #[test]
    fn no_text_makes_a_selector_panic(text in "[ab=!<>(), \\\\é\\x00in]{0,20}") {
        if let Ok(selector) = LabelSelector::parse(&text) {
            let again = LabelSelector::parse(&selector.to_string());
            prop_assert_eq!(again.map(|s| s.to_string()), Ok(selector.to_string()));
        }
        let _ = FieldSelector::parse(&text);
    }
}
