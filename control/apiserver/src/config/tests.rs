use super::*;

#[test]
fn a_token_file_is_read_as_kube_apiserver_reads_it() {
    let tokens =
        StaticToken::parse_file("t1,alice,1,\"a,b\"\n\nt2, bob, 2\n# remark\nt3,\"c \"\"d\"\"\",3,one\n").unwrap();
    assert_eq!(tokens.len(), 3);
    assert_eq!(tokens[0].groups, ["a", "b"]);
    assert_eq!((tokens[1].user.as_str(), tokens[1].uid.as_str()), ("bob", "2"));
    assert_eq!(tokens[2].user, "c \"d\"");
    assert_eq!(tokens[2].groups, ["one"]);
}

#[test]
fn a_bad_token_file_names_its_line() {
    assert!(matches!(StaticToken::parse_file("a,b"), Err(ParseTokensError::Columns { line: 1, columns: 2 })));
    assert!(matches!(StaticToken::parse_file("x,y,z\n,b,c"), Err(ParseTokensError::EmptyToken { line: 2 })));
    assert!(matches!(StaticToken::parse_file("\"x,y,z"), Err(ParseTokensError::Quote { line: 1 })));
}

#[test]
fn an_unknown_plugin_is_refused() {
    let mut config = ApiServerConfig::default();
    config.disabled_admission_plugins.insert("ServiceAccount".to_owned());
    config.disabled_admission_plugins.insert("PodSecurity".to_owned());
    config.validate().unwrap();
    config.disabled_admission_plugins.insert("Nonsense".to_owned());
    let error = config.validate().unwrap_err().to_string();
    assert_eq!(error, "disable-admission-plugins plugin \"Nonsense\" is unknown");
}

#[test]
fn a_plugin_cannot_be_enabled_and_disabled_nor_enabled_when_it_is_not_built() {
    let mut config = ApiServerConfig::default();
    config.enabled_admission_plugins.insert("AlwaysDeny".to_owned());
    config.validate().unwrap();
    config.disabled_admission_plugins.insert("AlwaysDeny".to_owned());
    let error = config.validate().unwrap_err().to_string();
    assert_eq!(error, "[AlwaysDeny] in enable-admission-plugins and disable-admission-plugins overlapped");
    config.enabled_admission_plugins = ["EventRateLimit".to_owned()].into();
    assert!(matches!(config.validate(), Err(ApiServerConfigError::AdmissionPluginNotBuilt(_))));
}

#[test]
fn a_token_is_not_printed() {
    let token = StaticToken { token: "secret".into(), user: "u".into(), uid: "1".into(), groups: Vec::new() };
    assert!(!format!("{token:?}").contains("secret"));
}
