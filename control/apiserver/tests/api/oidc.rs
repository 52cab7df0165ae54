//! Tokens of a foreign OpenID Connect issuer: an HTTPS server on loopback that publishes its keys.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::support::PATIENCE;
use super::tls::{Served, get_with_token, serve_with};
use axum::body::Body;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use coracle_control_apiserver::OidcConfig;
use http::{Request, Response};
use hyper_util::rt::TokioIo;
use jiff::Timestamp;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use rustls_pki_types::PrivateKeyDer;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

/// A key of the issuer, by its name.
struct Key {
    id: &'static str,
    pair: EcdsaKeyPair,
}

impl Key {
    fn new(id: &'static str) -> Self {
        let random = SystemRandom::new();
        let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, document.as_ref(), &random).unwrap();
        Self { id, pair }
    }

    fn jwk(&self) -> Value {
        let (x, y) = self.pair.public_key().as_ref()[1..].split_at(32);
        json!({"kty": "EC", "crv": "P-256", "kid": self.id, "x": BASE64.encode(x), "y": BASE64.encode(y)})
    }

    fn sign(&self, claims: &Value) -> String {
        let header = BASE64.encode(json!({"alg": "ES256", "kid": self.id}).to_string());
        let signed = format!("{header}.{}", BASE64.encode(claims.to_string()));
        let signature = self.pair.sign(&SystemRandom::new(), signed.as_bytes()).unwrap();
        format!("{signed}.{}", BASE64.encode(signature))
    }
}

struct Issuer {
    url: String,
    authorities_pem: String,
    keys: Arc<Mutex<Vec<Value>>>,
    /// How often the keys were asked for.
    asked: Arc<Mutex<usize>>,
    _tasks: JoinSet<()>,
}

impl Issuer {
    async fn start(keys: &[&Key]) -> Self {
        let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
        let key = PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![cert.der().clone()], key)
            .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address: SocketAddr = listener.local_addr().unwrap();
        let url = format!("https://{address}/realm");
        let keys = Arc::new(Mutex::new(keys.iter().map(|key| key.jwk()).collect()));
        let asked = Arc::new(Mutex::new(0));
        let mut tasks = JoinSet::new();
        let answer = answering(url.clone(), Arc::clone(&keys), Arc::clone(&asked));
        tasks.spawn(listen(listener, TlsAcceptor::from(Arc::new(config)), Arc::new(answer)));
        Self { url, authorities_pem: cert.pem(), keys, asked, _tasks: tasks }
    }

    fn config(&self) -> OidcConfig {
        OidcConfig {
            authorities_pem: Some(self.authorities_pem.clone()),
            signing_algorithms: vec!["RS256".to_owned(), "ES256".to_owned()],
            groups_claim: "groups".to_owned(),
            ..OidcConfig::new(self.url.clone(), "kubernetes")
        }
    }

    fn claims(&self) -> Value {
        let now = Timestamp::now().as_second();
        json!({
            "iss": self.url, "aud": "kubernetes", "sub": "ada", "exp": now + 600, "groups": ["dev", "ops"], "jti": "7",
        })
    }
}

fn answering(
    url: String,
    keys: Arc<Mutex<Vec<Value>>>,
    asked: Arc<Mutex<usize>>,
) -> impl Fn(&str) -> (u16, Value) + Send + Sync {
    move |path| match path {
        "/realm/.well-known/openid-configuration" => (200, json!({"issuer": url, "jwks_uri": format!("{url}/keys")})),
        "/realm/keys" => {
            *asked.lock().unwrap() += 1;
            (200, json!({"keys": *keys.lock().unwrap()}))
        }
        _ => (404, Value::Null),
    }
}

async fn listen<F>(listener: TcpListener, acceptor: TlsAcceptor, answer: Arc<F>)
where
    F: Fn(&str) -> (u16, Value) + Send + Sync + 'static,
{
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let (acceptor, answer) = (acceptor.clone(), Arc::clone(&answer));
        connections.spawn(async move {
            let Ok(stream) = acceptor.accept(stream).await else { return };
            let service = hyper::service::service_fn(move |request: Request<hyper::body::Incoming>| {
                let (code, body) = answer(request.uri().path());
                let answer = Response::builder().status(code).body(Body::from(body.to_string()));
                async move { Ok::<_, std::convert::Infallible>(answer.unwrap()) }
            });
            let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

async fn review(served: &Served, token: &str) -> Value {
    let body = json!({"spec": {"token": token}});
    let answer = served.api.post("/apis/authentication.k8s.io/v1/tokenreviews", body).await.check(201);
    answer.body["status"].clone()
}

/// What a review says as soon as it says something that `good` likes.
async fn review_until(served: &Served, token: &str, good: impl Fn(&Value) -> bool) -> Value {
    let mut last = Value::Null;
    let waiting = async {
        loop {
            last = review(served, token).await;
            if good(&last) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let waited = tokio::time::timeout(PATIENCE, waiting).await;
    assert!(waited.is_ok(), "{last}");
    last
}

async fn serve(oidc: OidcConfig) -> Served {
    serve_with(|config| config.oidc = Some(oidc)).await
}

#[tokio::test]
async fn a_token_of_the_issuer_is_its_user() {
    let key = Key::new("one");
    let issuer = Issuer::start(&[&key]).await;
    let served = serve(issuer.config()).await;
    let token = key.sign(&issuer.claims());
    let status = review_until(&served, &token, |status| status["authenticated"] == true).await;
    assert_eq!(status["user"]["username"], format!("{}#ada", issuer.url));
    assert_eq!(status["user"]["groups"], json!(["dev", "ops", "system:authenticated"]));
    assert_eq!(status["user"]["extra"]["authentication.kubernetes.io/credential-id"], json!(["JTI=7"]));
    let (code, answer) = served.request(get_with_token("/api/v1/namespaces", &token), None).await;
    assert_eq!(code, 403);
    assert!(answer["message"].as_str().unwrap().contains("#ada"), "{answer}");
    // The tokens of others are known as before.
    assert_eq!(served.request(get_with_token("/api/v1/namespaces", "t"), None).await.0, 200);
}

#[tokio::test]
async fn a_token_that_is_not_in_order_is_nobodys() {
    let (key, foreign) = (Key::new("one"), Key::new("one"));
    let issuer = Issuer::start(&[&key]).await;
    let mut config = issuer.config();
    config.required_claims.insert("team".to_owned(), "blue".to_owned());
    let served = serve(config).await;
    let mut claims = issuer.claims();
    claims["team"] = json!("blue");
    review_until(&served, &key.sign(&claims), |status| status["authenticated"] == true).await;
    let now = Timestamp::now().as_second();
    let cases = [
        ("aud", json!("other"), "expected audience"),
        ("exp", json!(now - 1), "token is expired"),
        ("exp", Value::Null, "token is expired"),
        ("nbf", json!(now + 400), "before the nbf"),
        ("sub", json!(7), "parse username claims"),
        ("groups", json!([7]), "parse groups claim"),
        ("team", json!("red"), "required claim team value does not match. Got = red, want = blue"),
        ("team", json!(["blue"]), "parse claim team"),
        ("iss", json!("https://other"), "invalid bearer token"),
    ];
    for (name, value, error) in cases {
        let mut changed = claims.clone();
        changed[name] = value;
        let token = key.sign(&changed);
        let said = review(&served, &token).await["error"].clone();
        assert!(said.as_str().is_some_and(|said| said.contains(error)), "{name}: {said}");
        assert_eq!(served.request(get_with_token("/api", &token), None).await.0, 401, "{name}");
    }
    let said = review(&served, &foreign.sign(&claims)).await["error"].clone();
    assert!(said.as_str().is_some_and(|said| said.contains("failed to verify")), "{said}");
}

#[tokio::test]
async fn a_new_key_is_found_and_unknown_keys_do_not_flood_the_issuer() {
    let (old, new) = (Key::new("old"), Key::new("new"));
    let issuer = Issuer::start(&[&old]).await;
    let served = serve(issuer.config()).await;
    let claims = issuer.claims();
    review_until(&served, &old.sign(&claims), |status| status["authenticated"] == true).await;
    for _ in 0..50 {
        assert_ne!(review(&served, &new.sign(&claims)).await["authenticated"], true);
    }
    assert!(*issuer.asked.lock().unwrap() < 10, "every token made the issuer be asked");
    *issuer.keys.lock().unwrap() = vec![new.jwk()];
    review_until(&served, &new.sign(&claims), |status| status["authenticated"] == true).await;
    // The old key was withdrawn.
    assert_ne!(review(&served, &old.sign(&claims)).await["authenticated"], true);
}

#[tokio::test]
async fn an_issuer_that_is_not_there_makes_its_tokens_nobodys() {
    let key = Key::new("one");
    let issuer = Issuer::start(&[&key]).await;
    let stranger = Issuer::start(&[&key]).await;
    // Its certificate is not what the bundle says.
    let config = OidcConfig { authorities_pem: Some(stranger.authorities_pem.clone()), ..issuer.config() };
    let served = serve(config).await;
    let status = review(&served, &key.sign(&issuer.claims())).await;
    assert_eq!(status["error"], "[invalid bearer token, oidc: authenticator not initialized]");
}
