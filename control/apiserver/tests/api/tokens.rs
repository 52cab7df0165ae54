//! Tokens of service accounts, of bootstrapping machines and of the token file.

use super::support::{Answer, Api};
use coracle_control_apiserver::UserInfo;
use serde_json::{Value, json};

const ACCOUNTS: &str = "/api/v1/namespaces/default/serviceaccounts";
const ISSUER: &str = "https://kubernetes.default.svc.cluster.local";

async fn account(api: &Api, name: &str) {
    api.post(ACCOUNTS, json!({"metadata": {"name": name}})).await.check(201);
}

async fn request(api: &Api, account: &str, spec: Value) -> Answer {
    api.post(&format!("{ACCOUNTS}/{account}/token"), json!({"spec": spec})).await
}

async fn token(api: &Api, account: &str, spec: Value) -> String {
    let answer = request(api, account, spec).await.check(201);
    answer.body["status"]["token"].as_str().unwrap().to_owned()
}

async fn review(api: &Api, token: &str, audiences: &[&str]) -> Value {
    let body = json!({"spec": {"token": token, "audiences": audiences}});
    let answer = api.post("/apis/authentication.k8s.io/v1/tokenreviews", body).await.check(201);
    answer.body["status"].clone()
}

#[tokio::test]
async fn a_token_is_its_account_as_long_as_that_exists() {
    let api = Api::start().await;
    account(&api, "bot").await;
    let token = token(&api, "bot", json!({})).await;
    let status = review(&api, &token, &[]).await;
    assert_eq!(status["authenticated"], true);
    assert_eq!(status["audiences"], json!([ISSUER]));
    assert_eq!(status["user"]["username"], "system:serviceaccount:default:bot");
    let groups = ["system:serviceaccounts", "system:serviceaccounts:default", "system:authenticated"];
    assert_eq!(status["user"]["groups"], json!(groups));
    let id = status["user"]["extra"]["authentication.kubernetes.io/credential-id"][0].as_str().unwrap();
    assert!(id.starts_with("JTI="), "{id}");
    api.delete(&format!("{ACCOUNTS}/bot")).await.check(200);
    let error = "[invalid bearer token, serviceaccounts \"bot\" not found]";
    assert_eq!(review(&api, &token, &[]).await["error"], error);
    account(&api, "bot").await;
    let error = review(&api, &token, &[]).await["error"].clone();
    assert!(error.as_str().unwrap().contains("service account UID ("), "{error}");
}

#[tokio::test]
async fn a_token_is_for_its_audiences_alone() {
    let api = Api::start().await;
    account(&api, "bot").await;
    let token = token(&api, "bot", json!({"audiences": ["vault", "bank"]})).await;
    let error = format!(
        "[invalid bearer token, token audiences [\"vault\" \"bank\"] is invalid for the target audiences [\"{ISSUER}\"]]"
    );
    assert_eq!(review(&api, &token, &[]).await["error"], error);
    let status = review(&api, &token, &["bank", "other"]).await;
    assert_eq!((&status["authenticated"], &status["audiences"]), (&json!(true), &json!(["bank"])));
    // A token of the token file is for this server.
    assert_eq!(review(&api, "b", &[ISSUER]).await["authenticated"], true);
    assert_eq!(review(&api, "b", &["bank"]).await["error"], "invalid bearer token");
}

#[tokio::test]
async fn a_token_bound_to_a_pod_ends_with_it() {
    let api = Api::start().await;
    let body = json!({
        "metadata": {"name": "p"},
        "spec": {"serviceAccountName": "default", "nodeName": "edge", "containers": [{"name": "c", "image": "i"}]},
    });
    let node = api.post("/api/v1/nodes", json!({"metadata": {"name": "edge"}})).await.check(201);
    let pod = api.post("/api/v1/namespaces/default/pods", body).await.check(201);
    let reference = json!({"apiVersion": "v1", "kind": "Pod", "name": "p"});
    let answer = request(&api, "default", json!({"boundObjectRef": reference, "expirationSeconds": 3607})).await;
    let token = answer.check(201).body["status"]["token"].as_str().unwrap().to_owned();
    let extra = review(&api, &token, &[]).await["user"]["extra"].clone();
    for (key, value) in [
        ("pod-name", &json!("p")),
        ("pod-uid", &pod.body["metadata"]["uid"]),
        ("node-name", &json!("edge")),
        ("node-uid", &node.body["metadata"]["uid"]),
    ] {
        assert_eq!(&extra[format!("authentication.kubernetes.io/{key}")][0], value, "{key}");
    }
    // This lifetime is that of pods whose programs may not read the file again.
    let claims = claims(&token);
    let (start, end) = (claims["iat"].as_i64().unwrap(), claims["exp"].as_i64().unwrap());
    assert_eq!(end - start, 365 * 24 * 3600);
    assert_eq!(claims["kubernetes.io"]["warnafter"].as_i64().unwrap() - start, 3607);
    api.delete("/api/v1/namespaces/default/pods/p?gracePeriodSeconds=0").await.check(200);
    let error = "[invalid bearer token, service account token has been invalidated]";
    assert_eq!(review(&api, &token, &[]).await["error"], error);
}

fn claims(token: &str) -> Value {
    use base64::Engine as _;
    let part = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

#[tokio::test]
async fn a_request_that_cannot_be_met_says_why() {
    let api = Api::start().await;
    account(&api, "bot").await;
    let cases = [
        (json!({"expirationSeconds": 1}), 422, "may not specify a duration less than 10 minutes"),
        (json!({"expirationSeconds": (1_i64 << 32) + 1}), 422, "may not specify a duration larger than 2^32 seconds"),
        (json!({"boundObjectRef": {"kind": "Pod", "apiVersion": "v1", "name": "p"}}), 404, "pods \"p\" not found"),
        (
            json!({"boundObjectRef": {"kind": "Lease", "apiVersion": "coordination.k8s.io/v1", "name": "p"}}),
            400,
            "cannot bind token to object of type coordination.k8s.io/v1, Kind=Lease",
        ),
    ];
    for (spec, code, text) in cases {
        let answer = request(&api, "bot", spec).await.check(code);
        assert!(answer.message().ends_with(text), "{}", answer.message());
    }
    request(&api, "none", json!({})).await.check(404);
    let body = json!({"metadata": {"name": "other"}, "spec": {}});
    api.post(&format!("{ACCOUNTS}/bot/token"), body).await.check(422);
    api.as_user(UserInfo::new("bob", &[]))
        .json("POST", &format!("{ACCOUNTS}/bot/token"), &[], &json!({}))
        .await
        .check(403);
}

#[tokio::test]
async fn others_can_find_the_keys() {
    let api = Api::start().await;
    let pod = api.as_user(UserInfo::new("system:serviceaccount:default:bot", &["system:serviceaccounts"]));
    let answer = pod.call("GET", "/.well-known/openid-configuration", &[], Vec::new()).await.check(200);
    assert_eq!(answer.body["issuer"], ISSUER);
    assert_eq!(answer.body["id_token_signing_alg_values_supported"], json!(["ES256"]));
    let answer = pod.call("GET", "/openid/v1/jwks", &[], Vec::new()).await.check(200);
    assert_eq!(answer.headers["content-type"], "application/jwk-set+json");
    assert_eq!(answer.body["keys"][0]["kty"], "EC");
    let bob = api.as_user(UserInfo::new("bob", &[]));
    bob.call("GET", "/openid/v1/jwks", &[], Vec::new()).await.check(403);
}

#[tokio::test]
async fn a_bootstrap_token_is_a_secret() {
    let api = Api::start().await;
    let body = json!({
        "metadata": {"name": "bootstrap-token-abcdef"}, "type": "bootstrap.kubernetes.io/token",
        "stringData": {
            "token-id": "abcdef", "token-secret": "0123456789abcdef", "usage-bootstrap-authentication": "true",
        },
    });
    assert_eq!(review(&api, "abcdef.0123456789abcdef", &[]).await["error"], "invalid bearer token");
    api.post("/api/v1/namespaces/kube-system/secrets", body).await.check(201);
    let status = review(&api, "abcdef.0123456789abcdef", &[]).await;
    assert_eq!(status["user"]["username"], "system:bootstrap:abcdef");
    assert_eq!(status["user"]["groups"], json!(["system:bootstrappers", "system:authenticated"]));
    api.delete("/api/v1/namespaces/kube-system/secrets/bootstrap-token-abcdef").await.check(200);
    assert_eq!(review(&api, "abcdef.0123456789abcdef", &[]).await["error"], "invalid bearer token");
}

#[tokio::test]
async fn a_lifetime_is_shortened_to_what_the_server_allows() {
    let api = Api::with(|config| {
        config.disabled_admission_plugins.insert("ServiceAccount".to_owned());
        config.service_account_issuer = "https://issuer.example".to_owned();
        config.api_audiences = vec!["api".to_owned(), "other".to_owned()];
        config.service_account_max_token_expiration = Some(std::time::Duration::from_secs(7200));
    })
    .await;
    account(&api, "bot").await;
    let answer = request(&api, "bot", json!({"expirationSeconds": 7201})).await.check(201);
    assert_eq!(answer.body["spec"]["expirationSeconds"], 7200);
    let claims = claims(answer.body["status"]["token"].as_str().unwrap());
    assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 7200);
    assert_eq!((&claims["iss"], &claims["aud"]), (&json!("https://issuer.example"), &json!(["api", "other"])));
    let warning = answer.headers["warning"].to_str().unwrap();
    assert!(warning.contains("requested expiration of 7201 seconds shortened to 7200 seconds"), "{warning}");
    let answer = request(&api, "bot", json!({"expirationSeconds": 7200})).await.check(201);
    assert!(!answer.headers.contains_key("warning"));
}
