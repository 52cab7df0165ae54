use super::connect::{Target, resolve};
use super::failure::server_said;
use super::*;
use crate::backend::{Place, ResolveError};
use coracle_control_store::{Operation, StoreConfig, Transaction};
use serde_json::json;

#[test]
fn a_url_tells_the_time_that_there_is() {
    let second = Duration::from_secs(1);
    let service = json!({"service": {"name": "hook", "namespace": "prod", "path": "/check"}});
    assert_eq!(url_of(&service, second).unwrap(), "https://hook.prod.svc:443/check?timeout=1s");
    let service = json!({"service": {"name": "hook", "namespace": "prod", "port": 8443}});
    assert_eq!(url_of(&service, second).unwrap(), "https://hook.prod.svc:8443/?timeout=1s");
    assert_eq!(url_of(&json!({"url": "https://x/y"}), second * 10).unwrap(), "https://x/y?timeout=10s");
    assert!(url_of(&json!({}), second).is_err());
}

#[test]
fn refusals_are_told_in_the_words_of_upstream() {
    assert_eq!(server_said(404, b""), "the server could not find the requested resource");
    assert_eq!(
        server_said(500, b"boom \"x\""),
        r#"an error on the server ("boom \"x\"") has prevented the request from succeeding"#
    );
    assert_eq!(server_said(500, br#"{"kind":"Status","message":"no"}"#), "no");
}

#[tokio::test]
async fn a_service_is_found_by_its_ready_endpoints_before_its_address() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(StoreConfig::new(directory.path().join("store"))).await.unwrap();
    let put = async |key: &str, value: Value| {
        let value = Bytes::from(value.to_string());
        let operations = vec![Operation::Put { key: Bytes::from(key.to_owned()), value }];
        store.transact(Transaction { conditions: Vec::new(), operations }).await.unwrap();
    };
    let found = || resolve(&store.snapshot(), "n", "hook", 443);
    assert_eq!(found(), Err(ResolveError::UnknownService("hook".to_owned())));
    let spec = json!({"clusterIP": "10.0.0.1", "ports": [{"name": "https", "port": 443}]});
    put("/registry/core/services/n/hook", json!({ "spec": spec })).await;
    assert_eq!(found(), Ok(Target::Place(Place::Address("10.0.0.1:443".parse().unwrap()))));
    let slice = json!({
        "metadata": {"labels": {"kubernetes.io/service-name": "hook"}},
        "ports": [{"name": "https", "port": 8443}],
        "endpoints": [
            {"addresses": ["127.0.0.2"], "conditions": {"ready": false}},
            {"addresses": ["127.0.0.3"], "conditions": {"ready": true}},
        ],
    });
    put("/registry/discovery.k8s.io/endpointslices/n/hook-1", slice).await;
    assert_eq!(found(), Ok(Target::Place(Place::Address("127.0.0.3:8443".parse().unwrap()))));
    assert!(resolve(&store.snapshot(), "n", "hook", 80).is_err());
}
