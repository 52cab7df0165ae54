use super::keys::KeySet;
use super::*;
use serde_json::json;

const ISSUER: &str = "https://issuer";

fn config() -> OidcConfig {
    OidcConfig::new(ISSUER, "client")
}

/// Keys, and a token by each algorithm, that another implementation (Python's `cryptography`) has made.
fn signatures() -> (Value, Vec<(String, String)>) {
    let recorded: Value = serde_json::from_str(include_str!("signatures.json")).unwrap();
    let tokens = recorded["tokens"].as_object().unwrap().iter();
    let tokens = tokens.map(|(name, token)| (name.clone(), token.as_str().unwrap().to_owned()));
    (json!({ "keys": recorded["keys"] }), tokens.collect())
}

#[test]
fn signatures_of_another_implementation_are_verified() {
    let (document, tokens) = signatures();
    let keys = KeySet::read(&document).unwrap();
    assert_eq!(tokens.len(), 8);
    for (name, token) in &tokens {
        let mut jwt = Jwt::parse(token).unwrap();
        assert!(keys.has_signed(&jwt), "{name}");
        // A token that names no key is tried with all of them.
        jwt.header["kid"] = json!("");
        assert!(keys.has_signed(&jwt), "{name}");
        jwt.header["kid"] = json!("other");
        assert!(!keys.has_signed(&jwt), "{name}");
        jwt.header["kid"] = json!("");
        jwt.signature[7] ^= 1;
        assert!(!keys.has_signed(&jwt), "{name}");
        jwt.signature[7] ^= 1;
        for other in tokens.iter().map(|(other, _)| other).filter(|other| *other != name) {
            jwt.header["alg"] = json!(other);
            assert!(!keys.has_signed(&jwt), "{name} as {other}");
        }
        for foreign in ["none", "HS256", "ES512", ""] {
            jwt.header["alg"] = json!(foreign);
            assert!(!keys.has_signed(&jwt), "{name} as {foreign}");
        }
    }
}

#[test]
fn keys_that_are_for_something_else_are_passed_over() {
    let (mut document, tokens) = signatures();
    let rs256 = tokens.iter().find(|(name, _)| name == "RS256").unwrap();
    let jwt = Jwt::parse(&rs256.1).unwrap();
    document["keys"][0]["alg"] = json!("RS384");
    assert!(!KeySet::read(&document).unwrap().has_signed(&jwt));
    document["keys"][0]["alg"] = json!("RS256");
    assert!(KeySet::read(&document).unwrap().has_signed(&jwt));
    document["keys"][0]["use"] = json!("enc");
    assert!(!KeySet::read(&document).unwrap().has_signed(&jwt));
    let odd = json!({"keys": [7, {}, {"kty": "RSA", "n": "", "e": "AQAB"}, {"kty": "EC", "crv": "P-256", "x": "AA"}]});
    assert_eq!(KeySet::read(&odd), Some(KeySet::default()));
    assert_eq!(KeySet::read(&json!({"keys": 1})), None);
}

type Change = fn(&mut OidcConfig);

fn name(config: &OidcConfig, claims: &Value) -> Result<String, String> {
    user_of(config, &config.name_prefix(), claims).map(|user| user.name)
}

#[test]
fn the_prefix_of_names_is_the_issuer_unless_told_otherwise() {
    let claims = json!({"sub": "ada", "email": "ada@example.org"});
    let cases = [
        ("sub", "", "https://issuer#ada"),
        ("sub", "-", "ada"),
        ("sub", "oidc:", "oidc:ada"),
        ("email", "", "ada@example.org"),
        ("email", "-", "ada@example.org"),
        ("email", "oidc:", "oidc:ada@example.org"),
    ];
    for (claim, prefix, expected) in cases {
        let config = OidcConfig { username_claim: claim.to_owned(), username_prefix: prefix.to_owned(), ..config() };
        assert_eq!(name(&config, &claims).as_deref(), Ok(expected), "{claim} {prefix}");
    }
}

#[test]
fn an_address_that_is_not_verified_is_no_name() {
    let config = OidcConfig { username_claim: "email".to_owned(), ..config() };
    let with = |verified: Value| name(&config, &json!({"email": "a@b", "email_verified": verified}));
    assert_eq!(with(json!(true)).as_deref(), Ok("a@b"));
    assert_eq!(with(json!(false)).unwrap_err(), "email not verified");
    assert!(with(json!("true")).unwrap_err().starts_with("parse 'email_verified' claim"));
}

#[test]
fn groups_are_a_text_or_a_list() {
    let config = OidcConfig { groups_claim: "roles".to_owned(), groups_prefix: "x:".to_owned(), ..config() };
    let groups = |roles: Value| groups_of(&config, &json!({ "roles": roles }));
    assert_eq!(groups(json!(["a", "b"])), Ok(vec!["x:a".to_owned(), "x:b".to_owned()]));
    assert_eq!(groups(json!("a")), Ok(vec!["x:a".to_owned()]));
    assert_eq!(groups(Value::Null), Ok(Vec::new()));
    assert!(groups(json!(["a", 1])).is_err());
    assert!(groups(json!({})).is_err());
    assert_eq!(groups_of(&super::tests::config(), &json!({"": "a"})), Ok(Vec::new()));
}

#[test]
fn what_is_configured_is_checked() {
    let with = |change: Change| {
        let mut config = config();
        change(&mut config);
        config.validate("https://own").map_err(|error| error.to_string())
    };
    assert_eq!(with(|_| {}), Ok(()));
    let together = "oidc-issuer-url and oidc-client-id must be specified together when any oidc-* flags are set";
    let cases: [(Change, &str); 9] = [
        (|config| config.client_id.clear(), together),
        (|config| config.issuer_url.clear(), together),
        (|config| config.issuer_url = "http://issuer".to_owned(), "URL scheme must be https"),
        (|config| config.issuer_url = "https://issuer/?a".to_owned(), "URL must not contain a query"),
        (|config| config.issuer_url = "https://issuer/#a".to_owned(), "URL must not contain a fragment"),
        (|config| config.issuer_url = "https://a:b@issuer".to_owned(), "URL must not contain a username or password"),
        (|config| config.issuer_url = "https://own".to_owned(), "URL must not overlap with disallowed issuers"),
        (|config| config.signing_algorithms.push("ES512".to_owned()), "oidc: unsupported signing alg: \"ES512\""),
        (|config| config.authorities_pem = Some("nothing".to_owned()), "oidc-ca-file holds no certificate"),
    ];
    for (change, error) in cases {
        let said = with(change).unwrap_err();
        assert!(said.ends_with(error), "{said}");
    }
}
