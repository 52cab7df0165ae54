//! Measures the API over TLS, against a server in a process of its own: what the promises of the README are held against.
//!
//! ```text
//! cargo build --release -p coracle-control-apiserver --examples
//! target/release/examples/load [PODS [PODS AT REST]]        5000 and 30000 unless told
//! ```
//! The client shares the machine, so its own cost is in every figure. It therefore writes HTTP/1.1 by hand, over as many
//! connections as it plays clients, and reads of an answer only what it needs.

#![expect(clippy::print_stdout, reason = "the figures are this program's output")]

use std::error::Error;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use base64::Engine as _;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

type Failure = Box<dyn Error + Send + Sync>;

const PODS: &str = "/api/v1/namespaces/default/pods";
const CLIENTS: usize = 32;
const WATCHERS: usize = 50;
const UPDATES: usize = 1000;
const WRITERS: usize = 8;
const PAUSE: Duration = Duration::from_millis(10);

fn main() -> Result<(), Failure> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(run())
}

async fn run() -> Result<(), Failure> {
    let mut counts = std::env::args().skip(1).map(|text| text.parse::<usize>());
    let pods = counts.next().unwrap_or(Ok(5000))?;
    let at_rest = counts.next().unwrap_or(Ok(30_000))?;
    let directory = tempfile::tempdir()?;
    let (server, target) = start(directory.path())?;
    println!("server: {} MB resident at rest", server.resident()? / 1024);
    let serial = pods / 10;
    creates(&target, "create, 1 client", 0..serial, 1).await?;
    let used = Used::begin(&server);
    creates(&target, "create, 32 clients", serial..pods, CLIENTS).await?;
    used.report(pods - serial);
    gets(&target, "get, 1 client", 5000, 1).await?;
    let used = Used::begin(&server);
    gets(&target, "get, 32 clients", 60_000, CLIENTS).await?;
    used.report(66_000);
    let used = Used::begin(&server);
    lists(&target, pods).await?;
    used.report(30);
    watch_steadily(&target).await?;
    let used = Used::begin(&server);
    watch_burst(&target).await?;
    used.report(WATCHERS * UPDATES);
    println!("server: {} MB resident after all this, {pods} pods stored", server.resident()? / 1024);
    let start = Instant::now();
    target.connect().await?.call("DELETE", PODS, "", "").await?;
    println!("deletecollection of {pods}: {:.2} s", start.elapsed().as_secs_f64());
    if at_rest > 0 {
        creates(&target, "create, 32 clients", 0..at_rest, CLIENTS).await?;
        println!("server: {} MB resident with {at_rest} pods stored", server.resident()? / 1024);
    }
    Ok(())
}

/// The server's process; it ends with this value.
struct Server(Child);

impl Server {
    /// Resident memory in KiB.
    fn resident(&self) -> Result<u64, Failure> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.0.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS")?;
        Ok(line.trim().trim_end_matches(" kB").parse()?)
    }
}

/// Processor time that a process has used.
fn processor_time(process: &str) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    // After the name in parentheses; user and system time are the fields 14 and 15, in ticks of 10 ms.
    let fields: Vec<u64> = stat
        .rsplit_once(')')
        .map(|(_, rest)| rest.split_whitespace().map(|field| field.parse().unwrap_or(0)).collect())
        .unwrap_or_default();
    Duration::from_millis(fields.get(11..13).map_or(0, |ticks| ticks.iter().sum::<u64>() * 10))
}

/// What server and client used while something was measured: the figures that do not depend on what else runs.
struct Used {
    server: String,
    before: (Duration, Duration),
}

impl Used {
    fn begin(server: &Server) -> Self {
        let server = server.0.id().to_string();
        let before = (processor_time(&server), processor_time("self"));
        Self { server, before }
    }

    fn report(&self, operations: usize) {
        let each = |now: Duration, before: Duration| (now - before).as_secs_f64() * 1e6 / operations as f64;
        println!(
            "    processor time for each: server {:.1} us, client {:.1} us",
            each(processor_time(&self.server), self.before.0),
            each(processor_time("self"), self.before.1)
        );
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn start(directory: &std::path::Path) -> Result<(Server, Target), Failure> {
    let program = std::env::current_exe()?.with_file_name("api_only");
    let mut child = Command::new(program)
        .arg("--data-dir")
        .arg(directory)
        .args(["--disable-admission-plugins", "ServiceAccount"])
        .stdout(Stdio::piped())
        .spawn()?;
    let mut line = String::new();
    if let Some(stdout) = child.stdout.take() {
        std::io::BufRead::read_line(&mut std::io::BufReader::new(stdout), &mut line)?;
    }
    let server = Server(child);
    let (url, kubeconfig) = line.trim().split_once(' ').ok_or("the server did not say where it is")?;
    let config: serde_json::Value = serde_json::from_slice(&std::fs::read(kubeconfig)?)?;
    let pem = |pointer: &str| -> Result<Vec<u8>, Failure> {
        let text = config.pointer(pointer).and_then(serde_json::Value::as_str).ok_or("the kubeconfig lacks a key")?;
        Ok(base64::engine::general_purpose::STANDARD.decode(text)?)
    };
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(&pem("/clusters/0/cluster/certificate-authority-data")?)?)?;
    let certificate = CertificateDer::from_pem_slice(&pem("/users/0/user/client-certificate-data")?)?;
    let key = PrivateKeyDer::from_pem_slice(&pem("/users/0/user/client-key-data")?)?;
    let tls = rustls::ClientConfig::builder().with_root_certificates(roots);
    let tls = tls.with_client_auth_cert(vec![certificate], key)?;
    let address = url.trim_start_matches("https://").to_owned();
    Ok((server, Target { address, connector: TlsConnector::from(Arc::new(tls)) }))
}

#[derive(Clone)]
struct Target {
    address: String,
    connector: TlsConnector,
}

impl Target {
    async fn connect(&self) -> Result<Connection, Failure> {
        let stream = TcpStream::connect(&self.address).await?;
        stream.set_nodelay(true)?;
        let name = ServerName::try_from("127.0.0.1")?;
        let stream = self.connector.connect(name, stream).await?;
        Ok(Connection { stream, buffer: vec![0; 256 * 1024], beginning: Vec::new() })
    }
}

struct Connection {
    stream: TlsStream<TcpStream>,
    buffer: Vec<u8>,
    /// The first bytes of the last answer's body.
    beginning: Vec<u8>,
}

/// Bytes of a body's beginning that are kept.
const BEGINNING: usize = 400;

impl Connection {
    async fn send(&mut self, method: &str, path: &str, kind: &str, body: &str) -> Result<(), Failure> {
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: x\r\naccept: application/json\r\ncontent-type: {kind}\r\n\
             content-length: {}\r\n\r\n{body}",
            body.len()
        );
        self.stream.write_all(request.as_bytes()).await?;
        Ok(self.stream.flush().await?)
    }

    /// Bytes of the answer's body. Of the body itself only the beginning is kept.
    async fn call(&mut self, method: &str, path: &str, kind: &str, body: &str) -> Result<usize, Failure> {
        let kind = if kind.is_empty() { "application/json" } else { kind };
        self.send(method, path, kind, body).await?;
        let mut filled = 0;
        let head = loop {
            let read = self.stream.read(&mut self.buffer[filled..]).await?;
            if read == 0 {
                return Err("the server hung up".into());
            }
            filled += read;
            if let Some(end) = find(&self.buffer[..filled], b"\r\n\r\n") {
                break end + 4;
            }
        };
        let text = std::str::from_utf8(&self.buffer[..head])?;
        if !text.starts_with("HTTP/1.1 2") {
            return Err(format!("{method} {path}: {text}").into());
        }
        let length = text.lines().find_map(|line| line.strip_prefix("content-length: "));
        let length: usize = length.ok_or("the answer has no length")?.parse()?;
        self.beginning.clear();
        let mut left = length;
        let mut got = head..filled;
        loop {
            let room = BEGINNING.saturating_sub(self.beginning.len());
            let bytes = &self.buffer[got];
            self.beginning.extend_from_slice(&bytes[..bytes.len().min(room)]);
            left = left.saturating_sub(bytes.len());
            if left == 0 {
                break;
            }
            let room = self.buffer.len().min(left);
            let read = self.stream.read(&mut self.buffer[..room]).await?;
            if read == 0 {
                return Err("the server hung up within an answer".into());
            }
            got = 0..read;
        }
        Ok(length)
    }
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}

/// A pod of the reference's size: 4.1 kB as it is answered.
fn pod(name: &str) -> String {
    let variables: Vec<String> =
        (0..27).map(|index| format!("{{\"name\":\"V{index}\",\"value\":\"value {index}\"}}")).collect();
    format!(
        "{{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{{\"name\":\"{name}\",\"labels\":{{\"app\":\"web\"}}}},\
         \"spec\":{{\"containers\":[{{\"name\":\"c\",\"image\":\"i\",\"env\":[{}]}}]}}}}",
        variables.join(",")
    )
}

fn report(what: &str, mut times: Vec<Duration>, whole: Duration) {
    times.sort_unstable();
    let at = |part: usize| times[(times.len() * part / 100).min(times.len() - 1)].as_secs_f64() * 1e3;
    let rate = times.len() as f64 / whole.as_secs_f64();
    println!("{what}: {rate:.0}/s, p50 {:.2} ms, p99 {:.2} ms, n={}", at(50), at(99), times.len());
}

/// Shares `count` calls among clients; gives their times and how long the whole took.
async fn among<F>(
    target: &Target,
    clients: usize,
    count: usize,
    request: F,
) -> Result<(Vec<Duration>, Duration), Failure>
where
    F: Fn(usize) -> (&'static str, String, String) + Send + Sync + 'static,
{
    let next = Arc::new(AtomicUsize::new(0));
    let request = Arc::new(request);
    let mut connections = Vec::new();
    for _ in 0..clients {
        connections.push(target.connect().await?);
    }
    let begin = Instant::now();
    let mut tasks = JoinSet::new();
    for mut connection in connections {
        let (next, request) = (Arc::clone(&next), Arc::clone(&request));
        tasks.spawn(async move {
            let mut times = Vec::new();
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                if index >= count {
                    return Ok::<_, Failure>(times);
                }
                let (method, path, body) = request(index);
                let kind = if method == "PATCH" { "application/merge-patch+json" } else { "" };
                let start = Instant::now();
                connection.call(method, &path, kind, &body).await?;
                times.push(start.elapsed());
            }
        });
    }
    let mut times = Vec::with_capacity(count);
    while let Some(result) = tasks.join_next().await {
        times.extend(result??);
    }
    Ok((times, begin.elapsed()))
}

async fn creates(target: &Target, what: &str, names: std::ops::Range<usize>, clients: usize) -> Result<(), Failure> {
    let first = names.start;
    let made = move |index: usize| ("POST", PODS.to_owned(), pod(&format!("pod-{:06}", first + index)));
    let (times, whole) = among(target, clients, names.len(), made).await?;
    report(what, times, whole);
    Ok(())
}

async fn gets(target: &Target, what: &str, count: usize, clients: usize) -> Result<(), Failure> {
    let path = |index: usize| ("GET", format!("{PODS}/pod-{:06}", index % 500), String::new());
    among(target, clients, count / 10, path).await?;
    let (times, whole) = among(target, clients, count, path).await?;
    report(what, times, whole);
    Ok(())
}

async fn lists(target: &Target, pods: usize) -> Result<(), Failure> {
    let mut connection = target.connect().await?;
    let mut times = Vec::new();
    let mut size = 0;
    let begin = Instant::now();
    for _ in 0..20 {
        let start = Instant::now();
        size = connection.call("GET", PODS, "", "").await?;
        times.push(start.elapsed());
    }
    report(&format!("list of {pods}, {:.1} MB", size as f64 / 1e6), times, begin.elapsed());
    let mut times = Vec::new();
    let begin = Instant::now();
    for _ in 0..10 {
        let start = Instant::now();
        let mut token = String::new();
        loop {
            connection.call("GET", &format!("{PODS}?limit=500&continue={token}"), "", "").await?;
            let beginning = String::from_utf8_lossy(&connection.beginning);
            let next = beginning.split_once("\"continue\":\"").and_then(|(_, rest)| rest.split_once('"'));
            match next {
                Some((next, _)) => token = next.to_owned(),
                None => break,
            }
        }
        times.push(start.elapsed());
    }
    report("list in pages of 500", times, begin.elapsed());
    Ok(())
}

/// What stands before the time in an event.
const MARK: &[u8] = b"\"annotations\":{\"n\":\"";
/// Bytes after the time that surely belong to the same event.
const SKIPPED: usize = 2500;

/// Counts events, and keeps how old their updates were when they came.
async fn watcher(target: Target, begin: Instant, events: usize) -> Result<Vec<Duration>, Failure> {
    let mut connection = target.connect().await?;
    let path =
        format!("{PODS}?watch=1&sendInitialEvents=false&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=0");
    connection.send("GET", &path, "application/json", "").await?;
    let mut ages = Vec::with_capacity(events);
    let mut kept: Vec<u8> = Vec::new();
    while ages.len() < events {
        let read = connection.stream.read(&mut connection.buffer).await?;
        if read == 0 {
            return Err("a watch ended".into());
        }
        let now = begin.elapsed();
        kept.extend_from_slice(&connection.buffer[..read]);
        let mut at = 0;
        // The annotation is near the beginning of an event, and an event is long: most of it is skipped.
        while let Some(found) = kept.get(at..).and_then(|rest| find(rest, MARK)) {
            let start = at + found + MARK.len();
            let digits = &kept[start..];
            let Some(length) = digits.iter().position(|byte| !byte.is_ascii_digit()) else { break };
            let nanos = digits[..length].iter().fold(0_u64, |sum, digit| sum * 10 + u64::from(digit - b'0'));
            ages.push(now.saturating_sub(Duration::from_nanos(nanos)));
            at = start + SKIPPED;
        }
        kept.drain(..at.max(kept.len().saturating_sub(400)).min(kept.len()));
    }
    Ok(ages)
}

fn update(begin: Instant, index: usize) -> (&'static str, String, String) {
    let now = begin.elapsed().as_nanos();
    (
        "PATCH",
        format!("{PODS}/pod-{:06}", index % 100),
        format!("{{\"metadata\":{{\"annotations\":{{\"n\":\"{now}\"}}}}}}"),
    )
}

async fn watchers(target: &Target, begin: Instant) -> JoinSet<Result<Vec<Duration>, Failure>> {
    let mut tasks = JoinSet::new();
    for _ in 0..WATCHERS {
        tasks.spawn(watcher(target.clone(), begin, UPDATES));
    }
    // Long enough for every handshake and for the streams to begin.
    tokio::time::sleep(Duration::from_secs(1)).await;
    tasks
}

async fn watch_steadily(target: &Target) -> Result<(), Failure> {
    let begin = Instant::now();
    let mut tasks = watchers(target, begin).await;
    let mut connection = target.connect().await?;
    let mut ticks = tokio::time::interval(PAUSE);
    let start = Instant::now();
    for index in 0..UPDATES {
        ticks.tick().await;
        let (method, path, body) = update(begin, index);
        connection.call(method, &path, "application/merge-patch+json", &body).await?;
    }
    let mut ages = Vec::new();
    while let Some(result) = tasks.join_next().await {
        ages.extend(result??);
    }
    report("watch, 50 watchers, 100 updates/s, from before the update to the event", ages, start.elapsed());
    Ok(())
}

async fn watch_burst(target: &Target) -> Result<(), Failure> {
    let begin = Instant::now();
    let mut tasks = watchers(target, begin).await;
    let start = Instant::now();
    among(target, WRITERS, UPDATES, move |index| update(begin, index)).await?;
    let mut events = 0;
    while let Some(result) = tasks.join_next().await {
        events += result??.len();
    }
    println!("watch burst, 50 watchers, 8 writers: {:.0} events/s", events as f64 / start.elapsed().as_secs_f64());
    Ok(())
}
