//! HTTP handlers on the network of their pod.

use crate::support::{PATIENCE, Running, engine, load_file, pod, start};
use bytes::Bytes;
use coracle_host_network::PodNetwork;
use coracle_host_sandbox::{ContainerConfig, Engine, ExitReason, HttpLimits, Limits, StartError};
use coracle_tests_fixtures as guests;
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::task::JoinSet;

/// A served handler and the way to it.
struct Served {
    running: Running,
    network: PodNetwork,
    address: SocketAddr,
}

fn config(network: &PodNetwork) -> ContainerConfig {
    ContainerConfig { network: Some(network.clone()), http_port: Some(8080), ..ContainerConfig::new("web") }
}

fn serve_with(engine: &Engine, change: impl FnOnce(&mut ContainerConfig)) -> Served {
    let network = pod();
    let mut config = config(&network);
    change(&mut config);
    let running = start(engine, &load_file(engine, guests::HTTP_HELLO), config);
    let address = SocketAddr::new(network.ip(), 8080);
    Served { running, network, address }
}

fn serve(change: impl FnOnce(&mut ContainerConfig)) -> Served {
    serve_with(&engine(), change)
}

impl Served {
    async fn request(&self, method: &str, path: &str, body: impl Into<Bytes>) -> (u16, Bytes) {
        let stream = self.network.dial(self.address).await.unwrap();
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        let mut tasks = JoinSet::new();
        tasks.spawn(connection);
        let request = hyper::Request::builder()
            .method(method)
            .uri(path)
            .header("host", "web.default")
            .body(Full::new(body.into()))
            .unwrap();
        let response = tokio::time::timeout(PATIENCE, sender.send_request(request)).await.expect("no answer").unwrap();
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, body)
    }

    async fn get(&self, path: &str) -> (u16, Bytes) {
        self.request("GET", path, "").await
    }
}

#[tokio::test]
async fn a_handler_answers() {
    let served = serve(|_| {});
    assert_eq!(served.get("/").await, (200, Bytes::from_static(b"hello over http\n")));
    assert_eq!(served.get("/nowhere").await.0, 404);
    assert_eq!(served.running.container.usage().instances, 2);
}

#[tokio::test]
async fn bodies_stream_both_ways() {
    let served = serve(|_| {});
    let sent = Bytes::from(vec![b'x'; 3 << 20]);
    let (status, echoed) = served.request("POST", "/echo", sent.clone()).await;
    assert_eq!(status, 200);
    assert!(echoed == sent, "{} bytes came back", echoed.len());
}

#[tokio::test]
async fn the_environment_reaches_every_instance() {
    let served = serve(|config| config.env = vec![("COLOUR".to_owned(), "blue".to_owned())]);
    for _ in 0..2 {
        assert_eq!(served.get("/env").await, (200, Bytes::from_static(b"COLOUR=blue\n")));
    }
}

#[tokio::test]
async fn a_trap_is_one_request_s_affair() {
    let mut served = serve(|_| {});
    assert_eq!(served.get("/trap").await.0, 500);
    assert_eq!(served.get("/").await.0, 200);
    served.running.container.stop(Duration::from_secs(1)).await;
    let log = served.running.stderr.read_to_end().await;
    assert!(log.contains("asked to trap") && log.contains("GET /trap: wasm trap"), "{log}");
}

#[tokio::test]
async fn many_requests_at_once_are_all_answered() {
    let served = std::sync::Arc::new(serve(|config| {
        config.http = HttpLimits { requests_concurrent_max: 4, ..HttpLimits::default() };
    }));
    let mut tasks = JoinSet::new();
    for _ in 0..100 {
        let served = std::sync::Arc::clone(&served);
        tasks.spawn(async move { served.get("/").await.0 });
    }
    assert!(tasks.join_all().await.iter().all(|status| *status == 200));
}

#[tokio::test]
async fn one_connection_carries_many_requests_also_as_http_2() {
    let served = serve(|_| {});
    let stream = served.network.dial(served.address).await.unwrap();
    let (mut sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    let mut tasks = JoinSet::new();
    tasks.spawn(connection);
    for _ in 0..10 {
        let request = hyper::Request::get("http://web.default/").body(Full::<Bytes>::default()).unwrap();
        let response = sender.send_request(request).await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "hello over http\n");
    }
}

#[tokio::test]
async fn what_is_not_http_is_turned_away() {
    let served = serve(|_| {});
    let mut stream = served.network.dial(served.address).await.unwrap();
    stream.write_all(b"GARBAGE\x00\x01\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    let mut stream = served.network.dial(served.address).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 400") && answer.contains("no readable Host header"), "{answer}");
    assert_eq!(served.get("/").await.0, 200);
}

#[tokio::test]
async fn a_request_that_needs_more_than_the_limit_ends_the_container() {
    let served = serve(|config| config.limits = Limits { memory_bytes: Some(20 << 20), ..Limits::default() });
    assert_eq!(served.get("/").await.0, 200);
    assert_eq!(served.get("/alloc").await.0, 500);
    let ran = served.running.end().await;
    assert_eq!((ran.report.code, ran.report.reason), (137, ExitReason::OomKilled));
}

#[tokio::test]
async fn requests_wait_for_memory_that_others_hold() {
    // Room for one instance and a half.
    let engine = engine();
    let program = load_file(&engine, guests::HTTP_HELLO);
    let limit = program.memory_bytes_initial() * 3 / 2;
    assert!(limit > 0);
    let served = std::sync::Arc::new(serve_with(&engine, |config| {
        config.limits = Limits { memory_bytes: Some(limit), ..Limits::default() };
    }));
    let mut tasks = JoinSet::new();
    for _ in 0..20 {
        let served = std::sync::Arc::clone(&served);
        tasks.spawn(async move { served.get("/").await.0 });
    }
    let answers = tasks.join_all().await;
    assert!(answers.iter().all(|status| *status == 200), "{answers:?}");
}

#[tokio::test]
async fn the_lifetime_budget_is_the_container_s() {
    let served = serve(|config| config.limits = Limits { fuel: Some(50_000_000), ..Limits::default() });
    assert_eq!(served.get("/").await.0, 200);
    assert_eq!(served.get("/spin").await.0, 500);
    let ran = served.running.end().await;
    assert_eq!((ran.report.code, ran.report.reason), (152, ExitReason::FuelExhausted));
    assert!(ran.report.usage.fuel.abs_diff(50_000_000) < 1000, "{}", ran.report.usage.fuel);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn spinning_requests_share_one_processor_limit() {
    let served = std::sync::Arc::new(serve(|config| {
        config.limits = Limits { cpu_millis: Some(200), ..Limits::default() };
    }));
    let mut tasks = JoinSet::new();
    for _ in 0..4 {
        let served = std::sync::Arc::clone(&served);
        tasks.spawn(async move { served.get("/spin").await });
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    let before = (std::time::Instant::now(), served.running.container.usage().cpu_time);
    tokio::time::sleep(Duration::from_secs(1)).await;
    let used = served.running.container.usage().cpu_time - before.1;
    let share = used.as_secs_f64() / before.0.elapsed().as_secs_f64();
    assert!(share < 0.25, "four requests together use {share:.3} of a core");
    let report = served.running.container.stop(Duration::ZERO).await;
    assert_eq!((report.code, report.reason), (137, ExitReason::Stopped));
}

#[tokio::test]
async fn a_stopped_handler_is_drained() {
    let served = serve(|_| {});
    // An idle connection does not hold the drain up.
    let _idle = served.network.dial(served.address).await.unwrap();
    assert_eq!(served.get("/").await.0, 200);
    let report = served.running.container.stop(Duration::from_secs(10)).await;
    assert_eq!((report.code, report.reason), (0, ExitReason::Stopped));
    assert_eq!(report.kubernetes_reason(), "Completed");
    assert!(served.network.dial(served.address).await.is_err(), "its port is still open");
}

#[tokio::test]
async fn a_request_that_never_ends_is_cut_off_after_the_grace_period() {
    let served = std::sync::Arc::new(serve(|_| {}));
    let client = std::sync::Arc::clone(&served);
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let stream = client.network.dial(client.address).await.unwrap();
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        let request = hyper::Request::get("/spin").header("host", "x").body(Full::<Bytes>::default()).unwrap();
        tokio::select! { _ = connection => {}, _ = sender.send_request(request) => {} }
    });
    while served.running.container.usage().instances == 0 {
        tokio::task::yield_now().await;
    }
    let report = served.running.container.stop(Duration::from_millis(100)).await;
    assert_eq!((report.code, report.reason), (137, ExitReason::Stopped));
    assert_eq!(report.usage.memory_bytes, 0);
}

#[tokio::test]
async fn a_handler_needs_a_network_and_a_free_port() {
    let engine = engine();
    let program = load_file(&engine, guests::HTTP_HELLO);
    let network = pod();
    let no_port = ContainerConfig { http_port: None, ..config(&network) };
    assert!(matches!(engine.start(&program, no_port), Err(StartError::NoHttpPort)));
    let no_network = ContainerConfig { network: None, ..config(&network) };
    assert!(matches!(engine.start(&program, no_network), Err(StartError::NoNetwork)));
    let _first = engine.start(&program, config(&network)).unwrap();
    assert!(matches!(engine.start(&program, config(&network)), Err(StartError::Listen(_))));
}
