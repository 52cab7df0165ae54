use super::*;
use proptest::prelude::*;
use serde_json::json;

fn yaml(text: &str) -> Result<Value, String> {
    parse_yaml(text.as_bytes(), FieldValidation::Warn)
}

#[test]
fn yaml_is_read_as_kubernetes_reads_it() {
    assert_eq!(
        yaml("a: yes\nb: \"yes\"\nc: 0644\nd: 1.5\ne: ~\n").unwrap(),
        json!({"a": true, "b": "yes", "c": 420, "d": 1.5, "e": null})
    );
    assert_eq!(yaml("a: 1\na: 2\n").unwrap(), json!({"a": 2}));
    assert!(parse_yaml(b"a: 1\na: 2\n", FieldValidation::Strict).is_err());
    assert!(yaml("a: [").unwrap_err().starts_with("error converting YAML to JSON: yaml: "));
}

#[test]
fn a_bomb_of_aliases_is_refused() {
    let mut text = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for level in 1..8 {
        let item = format!("*a{}", level - 1);
        text.push_str(&format!("a{level}: &a{level} [{}]\n", vec![item; 10].join(", ")));
    }
    assert!(yaml(&text).is_err());
}

proptest! {
    #[test]
    fn no_text_panics(text in ".{0,80}") {
        let _ = yaml(&text);
    }

    #[test]
    fn no_text_like_yaml_panics(text in "[a-c:\\-\\[\\]\\{\\}&*!|>'\" \n#0-9]{0,80}") {
        let _ = yaml(&text);
    }
}
