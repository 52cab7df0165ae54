//! Readers behind the server's paths: nothing is stored, since every write is a dry run.

use std::error::Error;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use coracle_control_api::protobuf;
use coracle_control_apiserver::{ApiServer, ApiServerConfig, HostLinks, UserInfo};
use coracle_control_store::{Store, StoreConfig};
use http::Request;
use percent_encoding::{NON_ALPHANUMERIC, percent_encode};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tower::ServiceExt as _;

use super::Target;
use super::codecs::pod;

const PODS: &str = "/api/v1/namespaces/default/pods";

/// A server in this process with a pod in it.
pub(crate) struct Server {
    runtime: Arc<Runtime>,
    router: Router,
    _directory: TempDir,
}

impl Server {
    pub(crate) fn start() -> Result<Self, Box<dyn Error>> {
        let runtime = Arc::new(Runtime::new()?);
        let directory = tempfile::tempdir()?;
        let mut config = ApiServerConfig::default();
        config.disabled_admission_plugins.insert("ServiceAccount".to_owned());
        let router = runtime.block_on(async {
            let store = Store::open(StoreConfig::new(directory.path())).await?;
            let server = ApiServer::new(store, config, HostLinks::new());
            server.bootstrap().await?;
            Ok::<_, Box<dyn Error>>(server.router_for(UserInfo::admin()))
        })?;
        let server = Self { runtime, router, _directory: directory };
        send(&server.runtime, &server.router, "POST", PODS, "application/json", pod().to_string().as_bytes())?;
        Ok(server)
    }
}

/// # Errors
/// What the server should not have answered.
fn send(runtime: &Runtime, router: &Router, method: &str, path: &str, kind: &str, body: &[u8]) -> Result<(), String> {
    let request = Request::builder().method(method).uri(path).header("content-type", kind);
    let request = request.body(Body::from(body.to_vec())).map_err(|error| error.to_string())?;
    runtime.block_on(async {
        let answer = router.clone().oneshot(request).await.map_err(|error| error.to_string())?;
        let code = answer.status().as_u16();
        if code != 500 {
            return Ok(());
        }
        let bytes = axum::body::to_bytes(answer.into_body(), usize::MAX).await.map_err(|error| error.to_string())?;
        let text = String::from_utf8_lossy(&bytes).into_owned();
        // Upstream answers with an unclassified 500 where an apply does not follow the schema, and so do we.
        let ours = text.contains("caused apiserver to panic") || text.contains("\"reason\":\"InternalError\"");
        if ours { Err(format!("was answered with {text}")) } else { Ok(()) }
    })
}

pub(crate) fn targets(server: &Server) -> Vec<Target> {
    let body = |name, method: &'static str, path: String, kind: &'static str, seeds: Vec<Vec<u8>>| {
        let (runtime, router) = (Arc::clone(&server.runtime), server.router.clone());
        let read = move |input: &[u8]| send(&runtime, &router, method, &path, kind, input);
        Target { name, seeds, read: Box::new(read) }
    };
    let query = |name, start: &'static str, seeds: Vec<Vec<u8>>| {
        let (runtime, router) = (Arc::clone(&server.runtime), server.router.clone());
        let read = move |input: &[u8]| {
            let path = format!("{PODS}?limit=1&{start}{}", percent_encode(input, NON_ALPHANUMERIC));
            send(&runtime, &router, "GET", &path, "", &[])
        };
        Target { name, seeds, read: Box::new(read) }
    };
    let dry = |rest: &str| format!("{PODS}{rest}dryRun=All");
    let json = pod().to_string().into_bytes();
    let yaml = YAML.as_bytes().to_vec();
    let message = protobuf::write(&pod()).expect("pods have a message");
    let token = URL_SAFE_NO_PAD.encode(r#"{"v":"meta.k8s.io/v1","rv":7,"start":"default/x\u0000"}"#);
    let protobuf_type = protobuf::MEDIA_TYPE;
    let create = || dry("?");
    vec![
        body("create from JSON", "POST", create(), "application/json", vec![json.clone()]),
        body("create from YAML", "POST", create(), "application/yaml", vec![yaml.clone(), json.clone()]),
        body("create from protobuf", "POST", create(), protobuf_type, vec![message]),
        body("update", "PUT", dry("/x?"), "application/json", vec![json]),
        body("apply", "PATCH", dry("/x?fieldManager=f&force=true&"), "application/apply-patch+yaml", vec![yaml]),
        body(
            "delete options",
            "DELETE",
            dry("/x?"),
            "application/json",
            vec![br#"{"gracePeriodSeconds":5,"preconditions":{"uid":"u"},"propagationPolicy":"Orphan"}"#.to_vec()],
        ),
        query("continue tokens", "continue=", vec![token.into_bytes()]),
        query("selectors of a list", "labelSelector=", vec![b"a in (b,c),!d".to_vec()]),
        query("fields of a list", "fieldSelector=", vec![b"spec.nodeName=a,metadata.name!=b".to_vec()]),
    ]
}

const YAML: &str = "\
apiVersion: v1
kind: Pod
metadata: &m
  name: x
  labels: {a: 'b', c: \"d\"}
spec:
  containers:
  - name: c
    image: i
    args: [a, 0644, yes, ~]
    env:
    - {name: A, value: |
        text
      }
";
