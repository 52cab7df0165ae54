use super::*;
use serde_json::json as value;

#[test]
fn strings_are_quoted_as_go_does() {
    assert_eq!(quote("a\"b\\c"), r#""a\"b\\c""#);
    assert_eq!(quote("tab\tline\n\u{1}"), r#""tab\tline\n\x01""#);
    assert_eq!(quote("zürich \u{200b}"), "\"zürich \\u200b\"");
}

#[test]
fn json_escapes_what_html_minds() {
    assert_eq!(json(&value!({"a": "<b> & c"})), r#"{"a":"\u003cb\u003e \u0026 c"}"#);
}

#[test]
fn one_message_has_no_brackets_and_equal_ones_count_once() {
    assert_eq!(aggregate(["a".to_owned(), "a".to_owned()]), "a");
    assert_eq!(aggregate(["a".to_owned(), "b".to_owned()]), "[a, b]");
}

#[test]
fn untyped_values_print_as_maps_and_lists() {
    let shown = display(&value!({"b": [1, "x", null], "a": {"c": true, "d": 1.5}}));
    assert_eq!(shown, "map[a:map[c:true d:1.5] b:[1 x <nil>]]");
}
