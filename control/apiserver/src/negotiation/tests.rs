use super::*;
use http::HeaderValue;
use proptest::prelude::*;

const ALL: &[Form] = &[Form::Table, Form::PartialMetadata];

fn accept(text: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(ACCEPT, HeaderValue::from_str(text).unwrap());
    headers
}

fn check(text: &str, want: Option<(Encoding, Form)>) {
    let got = negotiate(&accept(text), None, ALL, Messages::Object).ok().map(|agreed| (agreed.encoding, agreed.form));
    assert_eq!(got, want, "{text}");
}

#[test]
fn the_first_clause_that_can_be_served_wins() {
    check("application/json", Some((Encoding::Json, Form::Object)));
    check("application/yaml", Some((Encoding::Yaml, Form::Object)));
    check("application/json;pretty=1", Some((Encoding::PrettyJson, Form::Object)));
    check("application/vnd.kubernetes.protobuf,application/json", Some((Encoding::Protobuf, Form::Object)));
    check("application/vnd.kubernetes.protobuf;stream=watch", Some((Encoding::Protobuf, Form::Object)));
    check("application/yaml;stream=watch", None);
    check("*/*, application/yaml", Some((Encoding::Yaml, Form::Object)));
    check("application/json;v=v1", None);
    check("text/html, */*;q=0.8", Some((Encoding::Json, Form::Object)));
    check("application/json;q=0.1,application/yaml;q=0.9", Some((Encoding::Yaml, Form::Object)));
    check(
        "application/json;as=Table;v=v1;g=meta.k8s.io,application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json",
        Some((Encoding::Json, Form::Table)),
    );
    check("application/json;as=Table;v=v2;g=meta.k8s.io,application/json", Some((Encoding::Json, Form::Object)));
    check("application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io", None);
}

#[test]
fn people_get_an_indented_answer() {
    let mut headers = HeaderMap::new();
    headers.insert(USER_AGENT, HeaderValue::from_static("curl/8.0"));
    assert_eq!(negotiate(&headers, None, ALL, Messages::Object).unwrap().encoding, Encoding::PrettyJson);
    assert_eq!(negotiate(&headers, Some("false"), ALL, Messages::Object).unwrap().encoding, Encoding::Json);
    assert_eq!(
        negotiate(&HeaderMap::new(), Some("true"), ALL, Messages::Object).unwrap().encoding,
        Encoding::PrettyJson
    );
}

#[test]
fn aggregated_discovery_is_told_from_the_plain_one() {
    let kubectl = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json";
    assert_eq!(aggregated_discovery(&accept(kubectl)), Some("v2"));
    assert_eq!(aggregated_discovery(&accept("application/json")), None);
}

#[test]
fn a_body_of_an_unknown_format_is_refused() {
    let mut headers = HeaderMap::new();
    assert_eq!(body_format(&headers).unwrap(), BodyFormat::Json);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/yaml; charset=utf-8"));
    assert_eq!(body_format(&headers).unwrap(), BodyFormat::Yaml);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    assert_eq!(body_format(&headers).unwrap_err().code, 415);
}

proptest! {
    #[test]
    fn no_accept_header_panics(text in "[ -~]{0,60}") {
        let _ = negotiate(&accept(&text), None, ALL, Messages::Object);
        let _ = aggregated_discovery(&accept(&text));
    }
}

#[test]
fn what_has_no_message_is_not_sent_as_one() {
    let agreed = |text: &str, messages| {
        negotiate(&accept(text), None, ALL, messages).ok().map(|agreed| (agreed.encoding, agreed.form))
    };
    const PROTOBUF: &str = "application/vnd.kubernetes.protobuf";
    const PARTIAL: &str = "application/vnd.kubernetes.protobuf;as=PartialObjectMetadata;g=meta.k8s.io;v=v1";
    const TABLE: &str = "application/vnd.kubernetes.protobuf;as=Table;g=meta.k8s.io;v=v1";
    assert_eq!(agreed(PROTOBUF, Messages::Metadata), None);
    assert_eq!(agreed(PARTIAL, Messages::Metadata), Some((Encoding::Protobuf, Form::PartialMetadata)));
    assert_eq!(agreed(PARTIAL, Messages::None), None);
    assert_eq!(agreed(TABLE, Messages::Object), None);
    let with_fallback = format!("{PROTOBUF},application/json");
    assert_eq!(agreed(&with_fallback, Messages::Metadata), Some((Encoding::Json, Form::Object)));
    let refused = negotiate(&accept(PROTOBUF), None, ALL, Messages::None).unwrap_err();
    assert_eq!(
        refused.message,
        "only the following media types are accepted: application/json, application/yaml, \
         application/vnd.kubernetes.protobuf"
    );
}
