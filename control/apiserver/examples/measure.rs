//! Measures the API in this process, without TLS: what a get, a create, a list and a watch event cost the server.
//!
//! `cargo run --release -p coracle-control-apiserver --example measure [PODS]`

#![expect(clippy::print_stdout, reason = "the figures are this program's output")]

use std::error::Error;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use coracle_control_apiserver::{ApiServer, ApiServerConfig, HostLinks, UserInfo};
use coracle_control_store::{Store, StoreConfig};
use futures::StreamExt as _;
use http::{Request, Response};
use tower::ServiceExt as _;

const PODS: &str = "/api/v1/namespaces/default/pods";

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let count: usize = std::env::args().nth(1).map_or(Ok(5000), |text| text.parse())?;
    let directory = tempfile::tempdir()?;
    let store = Store::open(StoreConfig::new(directory.path())).await?;
    let mut config = ApiServerConfig::default();
    config.disabled_admission_plugins.insert("ServiceAccount".to_owned());
    let server = ApiServer::new(store.clone(), config, HostLinks::new());
    server.bootstrap().await?;
    let router = server.router_for(UserInfo::admin());
    creates(&router, "", count).await?;
    gets("get", &router).await?;
    turns(&server, &router).await?;
    lists(&router).await?;
    watchers(&router).await?;
    let start = Instant::now();
    call(&router, "DELETE", PODS, String::new()).await?;
    println!("deletecollection of {count}: {:?}", start.elapsed());
    quota(&router).await?;
    creates(&router, " with a quota", count).await?;
    store.close().await;
    Ok(())
}

async fn call(router: &Router, method: &str, path: &str, body: String) -> Result<usize, Box<dyn Error>> {
    let request = Request::builder().method(method).uri(path).body(Body::from(body))?;
    let answer: Response<Body> = router.clone().oneshot(request).await?;
    if !answer.status().is_success() {
        return Err(format!("{method} {path}: {}", answer.status()).into());
    }
    Ok(axum::body::to_bytes(answer.into_body(), usize::MAX).await?.len())
}

fn pod(name: &str) -> String {
    let variables: Vec<String> =
        (0..20).map(|index| format!("{{\"name\":\"V{index}\",\"value\":\"value {index}\"}}")).collect();
    format!(
        "{{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{{\"name\":\"{name}\",\"labels\":{{\"app\":\"web\"}}}},\
         \"spec\":{{\"containers\":[{{\"name\":\"c\",\"image\":\"i\",\"env\":[{}]}}]}}}}",
        variables.join(",")
    )
}

fn report(what: &str, mut times: Vec<Duration>, whole: Duration) {
    times.sort_unstable();
    let at = |part: usize| times[(times.len() * part / 100).min(times.len() - 1)];
    let rate = times.len() as f64 / whole.as_secs_f64();
    println!("{what}: {rate:.0}/s, p50 {:?}, p99 {:?}", at(50), at(99));
}

/// A quota that every pod is charged to.
async fn quota(router: &Router) -> Result<(), Box<dyn Error>> {
    const QUOTAS: &str = "/api/v1/namespaces/default/resourcequotas";
    let hard = "{\"pods\":\"1M\",\"count/pods\":\"1M\"}";
    let object =
        |status: &str| format!("{{\"metadata\":{{\"name\":\"q\"}},\"spec\":{{\"hard\":{hard}}},\"status\":{status}}}");
    call(router, "POST", QUOTAS, object("{}")).await?;
    let status = format!("{{\"hard\":{hard},\"used\":{{\"pods\":\"0\",\"count/pods\":\"0\"}}}}");
    call(router, "PUT", &format!("{QUOTAS}/q/status"), object(&status)).await?;
    Ok(())
}

async fn creates(router: &Router, how: &str, count: usize) -> Result<(), Box<dyn Error>> {
    let serial = count / 10;
    for (what, names, width) in [("create serial", 0..serial, 1), ("create by 32", serial..count, 32)] {
        let start = Instant::now();
        let times: Vec<Result<Duration, Box<dyn Error>>> = futures::stream::iter(names)
            .map(|index| async move {
                let start = Instant::now();
                call(router, "POST", PODS, pod(&format!("pod-{index:06}"))).await?;
                Ok(start.elapsed())
            })
            .buffer_unordered(width)
            .collect()
            .await;
        let times: Result<Vec<Duration>, _> = times.into_iter().collect();
        report(&format!("{what}{how}"), times?, start.elapsed());
    }
    Ok(())
}

/// The same by two users with the same rights, one of whom takes turns: the difference is what fairness costs.
async fn turns(server: &ApiServer, router: &Router) -> Result<(), Box<dyn Error>> {
    let subjects = ["system:reader", "reader"].map(|name| format!("{{\"kind\":\"User\",\"name\":\"{name}\"}}"));
    let binding = format!(
        "{{\"metadata\":{{\"name\":\"readers\"}},\"subjects\":[{}],\"roleRef\":{{\"kind\":\"ClusterRole\",\
         \"apiGroup\":\"rbac.authorization.k8s.io\",\"name\":\"cluster-admin\"}}}}",
        subjects.join(",")
    );
    call(router, "POST", "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", binding).await?;
    for (what, name) in [("get without turns", "system:reader"), ("get with turns", "reader")] {
        gets(what, &server.router_for(UserInfo::new(name, &[]))).await?;
    }
    Ok(())
}

async fn gets(what: &str, router: &Router) -> Result<(), Box<dyn Error>> {
    let mut times = Vec::new();
    let begin = Instant::now();
    let mut size = 0;
    for _ in 0..20_000 {
        let start = Instant::now();
        size = call(router, "GET", &format!("{PODS}/pod-000001"), String::new()).await?;
        times.push(start.elapsed());
    }
    report(&format!("{what} ({size} bytes)"), times, begin.elapsed());
    Ok(())
}

async fn lists(router: &Router) -> Result<(), Box<dyn Error>> {
    for (what, query) in [
        ("list", ""),
        ("list by label", "?labelSelector=app%3Dweb"),
        ("list by node", "?fieldSelector=spec.nodeName%3Dnone"),
    ] {
        let mut times = Vec::new();
        let begin = Instant::now();
        let mut size = 0;
        for _ in 0..20 {
            let start = Instant::now();
            size = call(router, "GET", &format!("{PODS}{query}"), String::new()).await?;
            times.push(start.elapsed());
        }
        report(&format!("{what} ({size} bytes)"), times, begin.elapsed());
    }
    Ok(())
}

/// 50 watchers, 1,000 updates as fast as they go: how many events arrive in a second.
async fn watchers(router: &Router) -> Result<(), Box<dyn Error>> {
    const WATCHERS: usize = 50;
    const UPDATES: usize = 1000;
    let mut streams = Vec::new();
    for _ in 0..WATCHERS {
        let query = format!("{PODS}?watch=1&sendInitialEvents=false&resourceVersionMatch=NotOlderThan");
        let answer = router.clone().oneshot(Request::get(query).body(Body::empty())?).await?;
        streams.push(answer.into_body().into_data_stream());
    }
    let start = Instant::now();
    let writes = futures::stream::iter(0..UPDATES).for_each_concurrent(8, |index| async move {
        let body = format!("{{\"metadata\":{{\"annotations\":{{\"n\":\"{index}\"}}}}}}");
        let path = format!("{PODS}/pod-{:06}", index % 100);
        let request =
            Request::patch(path).header("content-type", "application/merge-patch+json").body(Body::from(body));
        if let Ok(request) = request {
            let _ = router.clone().oneshot(request).await;
        }
    });
    let reads = futures::future::join_all(streams.into_iter().map(|mut stream| async move {
        let mut events = 0;
        while events < UPDATES {
            let Some(Ok(chunk)) = stream.next().await else { break };
            events += chunk.iter().filter(|byte| **byte == b'\n').count();
        }
        events
    }));
    let (_, counts) = tokio::join!(writes, reads);
    let events: usize = counts.iter().sum();
    println!(
        "watch: {events} events to {WATCHERS} watchers, {:.0} events/s",
        events as f64 / start.elapsed().as_secs_f64()
    );
    Ok(())
}
