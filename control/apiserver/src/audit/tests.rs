use super::*;
use http::Method;

const POLICY: &str = r#"
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: None
  users: ["system:kube-scheduler"]
- level: RequestResponse
  omitStages: [Panic]
  omitManagedFields: true
  resources: [{group: "", resources: ["pods", "*/scale", "services/*"]}]
- level: Request
  verbs: [create]
  namespaces: [shop]
- level: Metadata
  userGroups: [staff]
  nonResourceURLs: ["/healthz*", "/version"]
"#;

fn level(user: &UserInfo, method: &Method, path: &str) -> Level {
    AuditPolicy::parse(POLICY).unwrap().decide(user, &RequestInfo::new(method, path, "")).level
}

#[test]
fn the_first_rule_that_matches_decides() {
    let bob = UserInfo::new("bob", &["staff"]);
    for (method, path, expected) in [
        (Method::GET, "/api/v1/namespaces/shop/pods/p", Level::RequestResponse),
        (Method::GET, "/api/v1/namespaces/shop/pods/p/log", Level::None),
        (Method::GET, "/apis/apps/v1/namespaces/shop/deployments/d/scale", Level::None),
        (Method::GET, "/api/v1/namespaces/shop/replicationcontrollers/r/scale", Level::RequestResponse),
        (Method::GET, "/api/v1/namespaces/shop/services/s/proxy", Level::RequestResponse),
        (Method::POST, "/api/v1/namespaces/shop/secrets", Level::Request),
        (Method::POST, "/api/v1/namespaces/other/secrets", Level::None),
        (Method::GET, "/healthz/etcd", Level::Metadata),
        (Method::GET, "/version/more", Level::None),
    ] {
        assert_eq!(level(&bob, &method, path), expected, "{method} {path}");
    }
    assert_eq!(level(&UserInfo::scheduler(), &Method::GET, "/api/v1/pods"), Level::None);
    assert_eq!(level(&UserInfo::new("eve", &[]), &Method::GET, "/version"), Level::None);
    let info = RequestInfo::new(&Method::GET, "/api/v1/pods", "");
    let decision = AuditPolicy::parse(POLICY).unwrap().decide(&bob, &info);
    assert!(decision.omits(Stage::RequestReceived) && decision.omits(Stage::Panic) && decision.omit_managed_fields);
}

#[test]
fn a_policy_that_means_nothing_is_refused() {
    let head = "apiVersion: audit.k8s.io/v1\nkind: Policy\n";
    for (text, expected) in [
        ("kind: Policy".to_owned(), "unknown group version field"),
        (head.to_owned(), "loaded illegal policy with 0 rules"),
        (format!("{head}rules: [{{level: Some}}]"), "failed decoding"),
        (format!("{head}rules: [{{level: None, nonResourceURLs: [x]}}]"), "must begin with a '/'"),
        (format!("{head}rules: [{{level: None, nonResourceURLs: ['/a*b']}}]"), "must be the final character"),
        (
            format!("{head}rules: [{{level: None, nonResourceURLs: ['/a'], namespaces: [b]}}]"),
            "rules cannot apply to both regular resources and non-resource URLs",
        ),
    ] {
        let error = AuditPolicy::parse(&text).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[tokio::test]
async fn a_full_file_is_put_aside_and_the_oldest_go() {
    let directory = tempfile::tempdir().unwrap();
    let config = AuditLogConfig {
        path: directory.path().join("audit.log"),
        age_days_max: 0,
        backups_max: 2,
        size_mebibytes_max: 1,
    };
    let log = AuditLog::open(config).unwrap();
    let mut line = vec![b'x'; 600 * 1024];
    line.push(b'\n');
    for _ in 0..6 {
        log.write(line.clone()).await;
    }
    drop(log);
    let mut names: Vec<String> = std::fs::read_dir(directory.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names.len(), 3, "{names:?}");
    assert_eq!(names[2], "audit.log");
    assert!(names[0].starts_with("audit-20") && names[0].ends_with(".log"), "{names:?}");
}
