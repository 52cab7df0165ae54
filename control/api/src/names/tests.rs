use super::*;

#[test]
fn valid_names_have_no_complaint() {
    assert!(dns_label("a-1").is_empty());
    assert!(dns_subdomain("a.b-c.example").is_empty());
    assert!(qualified_name("app.kubernetes.io/Name_1.x").is_empty());
    assert!(label_value("").is_empty());
    assert!(dns_1035_label("web").is_empty());
}

#[test]
fn a_bad_name_is_told_with_the_expression() {
    assert_eq!(
        dns_subdomain("Bad_Name!"),
        [
            "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
        ]
    );
    assert_eq!(dns_label("a.b"), ["must not contain dots"]);
    assert_eq!(dns_label(&"a".repeat(64)), ["must be no more than 63 characters"]);
    assert_eq!(dns_1035_label("").len(), 1);
}

#[test]
fn several_examples_are_joined_with_or() {
    assert_eq!(
        label_value("a b"),
        [
            "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
        ]
    );
}
