use super::*;
use proptest::prelude::*;

fn parse(query: &str, is_watch: bool) -> Result<ListOptions, Status> {
    ListOptions::parse(&Query::parse(query), is_watch)
}

fn message(query: &str, is_watch: bool) -> String {
    parse(query, is_watch).unwrap_err().message
}

#[test]
fn every_documented_combination_has_its_meaning() {
    let version = |query| parse(query, false).unwrap().version;
    assert_eq!(version(""), Version::Latest);
    assert_eq!(version("resourceVersion=0"), Version::Any);
    assert_eq!(version("resourceVersion=7"), Version::AtLeast(7));
    assert_eq!(version("resourceVersion=7&resourceVersionMatch=NotOlderThan"), Version::AtLeast(7));
    assert_eq!(version("resourceVersion=7&resourceVersionMatch=Exact"), Version::Exact(7));
    assert_eq!(version("resourceVersion=0&resourceVersionMatch=NotOlderThan"), Version::Any);
}

#[test]
fn forbidden_combinations_are_refused_in_upstreams_words() {
    assert_eq!(
        message("resourceVersionMatch=Exact", false),
        "ListOptions.meta.k8s.io \"\" is invalid: resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden unless resourceVersion is provided"
    );
    assert!(
        message("resourceVersion=0&resourceVersionMatch=Exact", false)
            .contains("is forbidden for resourceVersion \"0\"")
    );
    assert!(message("resourceVersion=1&resourceVersionMatch=Often", false).contains("Unsupported value: \"Often\""));
    assert!(
        message("sendInitialEvents=true", true)
            .contains("sendInitialEvents requires setting resourceVersionMatch to NotOlderThan")
    );
    assert!(message("sendInitialEvents=true", false).contains("forbidden for list"));
    assert!(message("resourceVersion=1&resourceVersionMatch=NotOlderThan", true).contains("unless sendInitialEvents"));
    assert_eq!(parse("resourceVersion=x", false).unwrap_err().code, 400);
    assert_eq!(parse("limit=x", false).unwrap_err().code, 400);
}

#[test]
fn a_token_comes_back_as_it_went() {
    let token = ContinueToken { revision: 12, after: "ns/näme".to_owned(), remaining: Some(3) };
    let query = format!("limit=5&continue={}", token.encode());
    let options = parse(&query, false).unwrap();
    assert_eq!(options.continue_token, Some(token));
    assert_eq!(options.limit, Some(5));
    assert_eq!(parse("continue=nonsense", false).unwrap_err().code, 400);
}

#[test]
fn a_token_has_upstreams_form_and_is_refused_in_upstreams_words() {
    let text = |json: &str| format!("continue={}", URL_SAFE_NO_PAD.encode(json));
    let upstreams = parse(&text(r#"{"v":"meta.k8s.io/v1","rv":7,"start":"default/a\u0000"}"#), false).unwrap();
    let expected = ContinueToken { revision: 7, after: "default/a".to_owned(), remaining: None };
    assert_eq!(upstreams.continue_token, Some(expected));
    let inconsistent = ContinueToken { revision: 0, after: "a".to_owned(), remaining: None }.encode();
    let written = URL_SAFE_NO_PAD.decode(inconsistent).unwrap();
    assert_eq!(String::from_utf8(written).unwrap(), r#"{"v":"meta.k8s.io/v1","rv":-1,"start":"a\u0000"}"#);
    let refused = |json: &str| message(&text(json), false);
    assert_eq!(
        refused(r#"{"v":"v9","rv":7,"start":"a"}"#),
        "invalid continue token: continue key is not valid: server does not recognize this encoded version v9"
    );
    assert_eq!(
        refused(r#"{"v":"meta.k8s.io/v1","start":"a"}"#),
        "invalid continue token: continue key is not valid: incorrect encoded start resourceVersion (version meta.k8s.io/v1)"
    );
    assert!(refused(r#"{"v":"meta.k8s.io/v1","rv":7}"#).ends_with("encoded start key empty (version meta.k8s.io/v1)"));
    assert!(
        refused(r#"{"v":"meta.k8s.io/v1","rv":7,"start":"../../secrets/a"}"#).contains("not valid: ../../secrets/a")
    );
    let both = format!("resourceVersion=5&{}", text(r#"{"v":"meta.k8s.io/v1","rv":7,"start":"a"}"#));
    assert_eq!(message(&both, false), "specifying resource version is not allowed when using continue");
}

proptest! {
    #[test]
    fn no_query_panics(text in "[ -~]{0,80}", watch in any::<bool>()) {
        let _ = parse(&text, watch);
        let _ = parse(&format!("continue={text}&resourceVersion={text}&limit={text}&timeoutSeconds={text}"), watch);
    }
}
