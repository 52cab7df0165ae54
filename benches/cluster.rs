//! What a user waits for and pays for, measured on the real binary over TLS: readiness, idle cost, a pod's way to
//! Running, to its first log line and to its first HTTP answer, pods started per second, memory of an idle pod.
//!
//! `cargo bench -p coracle --bench cluster` prints one line per figure. Every latency has a warm-up that is not counted.
#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a bench prints its figures and ends at the first failure"
)]

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use coracle_tests_fixtures as guests;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, DeleteParams, ListParams, LogParams, PostParams, WatchEvent, WatchParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use serde_json::{Value, json};

const STARTS: usize = 15;
const WARM_UP: usize = 20;
const PODS: usize = 200;
const IDLE_PODS: usize = 200;

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    starts();
    runtime.block_on(async {
        let directory = tempfile::tempdir().unwrap();
        let up = Up::start(directory.path());
        idle(&up).await;
        let bench = Bench::new(&up).await;
        bench.pod_latencies().await;
        bench.first_answers().await;
        bench.density(&up).await;
    });
}

/// A running `coracle up`, killed when dropped.
struct Up {
    child: Child,
    kubeconfig: PathBuf,
    ready: Duration,
}

impl Up {
    fn start(data: &Path) -> Self {
        let started = Instant::now();
        let mut child = Command::new(env!("CARGO_BIN_EXE_coracle"))
            .args(["up", "--api", "127.0.0.1:0", "--data-dir"])
            .arg(data)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        assert!(line.contains("ready"), "{line}");
        Self { child, kubeconfig: data.join("kubeconfig"), ready: started.elapsed() }
    }

    /// Resident memory in KiB.
    fn resident_kib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }

    /// CPU time used since the start, user and system, in clock ticks of 10 ms.
    fn cpu_ticks(&self) -> u64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
        fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        let _already_ended = self.child.kill();
        let _already_waited = self.child.wait();
    }
}

/// From the start of the process to its line, on a directory that is not there and on one of an earlier run.
fn starts() {
    let mut fresh = Vec::new();
    let mut old = Vec::new();
    for _ in 0..STARTS {
        let directory = tempfile::tempdir().unwrap();
        fresh.push(Up::start(&directory.path().join("data")).ready);
        old.push(Up::start(&directory.path().join("data")).ready);
    }
    report("ready on a fresh directory", fresh);
    report("ready on an old directory (after kill -9)", old);
}

async fn idle(up: &Up) {
    tokio::time::sleep(Duration::from_secs(5)).await;
    let (ticks, seconds) = (up.cpu_ticks(), 20);
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    let hundredths = (up.cpu_ticks() - ticks) * 100 / seconds;
    println!("{:<46} {:>9.1} MiB resident", "idle `coracle up`", mib(up.resident_kib()));
    println!("{:<46} {:>7}.{:02} % of a core", "idle `coracle up`, over 20 s", hundredths / 100, hundredths % 100);
}

struct Bench {
    pods: Api<Pod>,
}

type Events = Pin<Box<BoxStream<'static, kube::Result<WatchEvent<Pod>>>>>;

impl Bench {
    async fn new(up: &Up) -> Self {
        let kubeconfig = Kubeconfig::read_from(&up.kubeconfig).unwrap();
        let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.unwrap();
        Self { pods: Api::default_namespaced(Client::try_from(config).unwrap()) }
    }

    async fn events(&self) -> Events {
        let version = self.pods.list(&ListParams::default()).await.unwrap().metadata.resource_version.unwrap();
        Box::pin(self.pods.watch(&WatchParams::default(), &version).await.unwrap().boxed())
    }

    async fn create(&self, name: &str, image: &str, ports: &Value) {
        let main = json!({"name": "main", "image": format!("file://{image}"), "ports": ports});
        let pod = json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name},
            "spec": {"containers": [main], "restartPolicy": "Never"},
        });
        self.pods.create(&PostParams::default(), &serde_json::from_value(pod).unwrap()).await.unwrap();
    }

    async fn remove(&self, name: &str) {
        self.pods.delete(name, &DeleteParams::default().grace_period(0)).await.unwrap();
    }

    /// Apply -> Running as a watcher sees it, and apply -> first log line.
    async fn pod_latencies(&self) {
        let mut events = self.events().await;
        let (mut running, mut logged) = (Vec::new(), Vec::new());
        for index in 0..WARM_UP + PODS {
            let name = format!("latency-{index}");
            let started = Instant::now();
            self.create(&name, guests::HELLO_P2, &json!([])).await;
            wait(&mut events, &name, |pod| matches!(phase(pod), "Running" | "Succeeded")).await;
            let to_running = started.elapsed();
            while self.pods.logs(&name, &LogParams::default()).await.map_or(true, |log| log.is_empty()) {
                tokio::task::yield_now().await;
            }
            let to_log = started.elapsed();
            if index >= WARM_UP {
                running.push(to_running);
                logged.push(to_log);
            }
            self.remove(&name).await;
        }
        report("apply -> Running (compiled image)", running);
        report("apply -> first log line", logged);
    }

    /// Apply -> first HTTP 200 on the pod's host port.
    async fn first_answers(&self) {
        let mut events = self.events().await;
        let mut answered = Vec::new();
        for index in 0..WARM_UP + PODS {
            let name = format!("answer-{index}");
            let port = free_port();
            let ports = json!([{"containerPort": 8080, "hostPort": port}]);
            let started = Instant::now();
            self.create(&name, guests::HTTP_HELLO, &ports).await;
            wait(&mut events, &name, is_ready).await;
            assert!(get(port).await.starts_with("HTTP/1.1 200"), "a ready pod answers");
            if index >= WARM_UP {
                answered.push(started.elapsed());
            }
            self.remove(&name).await;
        }
        report("apply -> first HTTP 200", answered);
    }

    /// Many idle pods at once: how fast they come, and what each holds.
    async fn density(&self, up: &Up) {
        let before = up.resident_kib();
        let mut events = self.events().await;
        let started = Instant::now();
        let creating = futures::stream::iter(0..IDLE_PODS).for_each_concurrent(16, |index| async move {
            self.create(&format!("idle-{index}"), guests::HTTP_HELLO, &json!([])).await;
        });
        let mut ready = std::collections::BTreeSet::new();
        let watching = async {
            while ready.len() < IDLE_PODS {
                let Some(WatchEvent::Added(pod) | WatchEvent::Modified(pod)) = events.try_next().await.unwrap() else {
                    continue;
                };
                if is_ready(&pod) {
                    ready.insert(pod.metadata.name.unwrap());
                }
            }
        };
        futures::join!(creating, watching);
        let elapsed = started.elapsed();
        let rate = u128::try_from(IDLE_PODS).unwrap() * 1000 / elapsed.as_millis().max(1);
        println!("{:<46} {rate:>9} pods/s", format!("{IDLE_PODS} pods created by 16 clients until ready"));
        tokio::time::sleep(Duration::from_secs(2)).await;
        let held = up.resident_kib().saturating_sub(before);
        let each = held / u64::try_from(IDLE_PODS).unwrap();
        println!("{:<46} {each:>9} KiB resident", format!("each of {IDLE_PODS} idle HTTP pods"));
    }
}

async fn wait(events: &mut Events, name: &str, condition: fn(&Pod) -> bool) {
    loop {
        if let Some(WatchEvent::Added(pod) | WatchEvent::Modified(pod)) = events.try_next().await.unwrap()
            && pod.metadata.name.as_deref() == Some(name)
            && condition(&pod)
        {
            return;
        }
    }
}

fn phase(pod: &Pod) -> &str {
    pod.status.as_ref().and_then(|status| status.phase.as_deref()).unwrap_or_default()
}

fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_ref());
    conditions.into_iter().flatten().any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

async fn get(port: u16) -> String {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut stream = tokio::net::TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

fn report(what: &str, mut times: Vec<Duration>) {
    times.sort();
    let at = |percent: usize| times[(times.len() - 1) * percent / 100];
    println!("{what:<46} p50 {:>7.1} ms   p99 {:>7.1} ms   n {}", millis(at(50)), millis(at(99)), times.len());
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

fn mib(kib: u64) -> f64 {
    u32::try_from(kib).map_or(f64::INFINITY, f64::from) / 1024.0
}
