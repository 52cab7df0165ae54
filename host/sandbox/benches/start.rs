//! What a sandbox costs: starting, stopping, limiting and serving, beside a bare wasmtime embedding in the same process.
//!
//! `cargo bench -p coracle-host-sandbox --bench start [-- PART...]`, parts: engine, start, first-byte, kill, neighbour, cpu,
//! idle, http.
#![expect(clippy::print_stdout, reason = "the figures are the output")]

use bytes::Bytes;
use coracle_host_network::{Network, NetworkConfig, PodKey};
use coracle_host_sandbox::{Container, ContainerConfig, Engine, EngineConfig, Limits, Output, Program};
use coracle_tests_fixtures as guests;
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;
use wasmtime::component::{Component, Linker};
use wasmtime::{Config, Store};
use wasmtime_wasi::p1::{self, WasiP1Ctx};
use wasmtime_wasi::p2::bindings::CommandPre;
use wasmtime_wasi::{WasiCtxBuilder, WasiView as _};

fn main() -> anyhow::Result<()> {
    let wanted: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    let is_wanted = |part: &str| wanted.is_empty() || wanted.iter().any(|name| name == part);
    // Polls between two looks at timers and sockets; tokio's own default is 61.
    let event_interval = std::env::var("EVENT_INTERVAL").ok().and_then(|text| text.parse().ok()).unwrap_or(61);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .event_interval(event_interval)
        .enable_all()
        .build()?;
    runtime.block_on(async {
        if is_wanted("engine") {
            measure_engine()?;
        }
        let engine = Engine::new(EngineConfig::default())?;
        if is_wanted("start") {
            measure_start(&engine, "wasip1", guests::HELLO_P1, bare_module(guests::HELLO_P1)?).await?;
            measure_start(&engine, "wasip2", guests::HELLO_P2, bare_component(guests::HELLO_P2)?).await?;
        }
        if is_wanted("first-byte") {
            measure_first_byte(&engine).await?;
        }
        if is_wanted("kill") {
            measure_kill(&engine).await?;
        }
        if is_wanted("neighbour") {
            measure_neighbour(&engine).await?;
        }
        if is_wanted("cpu") {
            measure_cpu(&engine).await?;
        }
        if is_wanted("idle") {
            measure_idle(&engine).await?;
        }
        if is_wanted("http") {
            measure_http(&engine).await?;
        }
        Ok(())
    })
}

fn load(engine: &Engine, path: &str) -> anyhow::Result<Program> {
    let file = tempfile::NamedTempFile::new()?;
    std::fs::write(file.path(), engine.compile(&std::fs::read(path)?)?)?;
    Ok(engine.load(file.path())?)
}

fn print_times(what: &str, mut times: Vec<Duration>) {
    times.sort();
    let at = |share: usize| times[(times.len() - 1) * share / 100];
    println!("{what:<44} p50 {:>9.1?}  p99 {:>9.1?}  max {:>9.1?}  n {}", at(50), at(99), at(100), times.len());
}

/// Resident bytes of this process.
fn resident() -> u64 {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: u64 = text.split(' ').nth(1).and_then(|pages| pages.parse().ok()).unwrap_or(0);
    pages * 4096
}

fn measure_engine() -> anyhow::Result<()> {
    for (what, config) in [
        ("engine for a host", EngineConfig::default()),
        ("engine for one container", EngineConfig::for_one_container()),
    ] {
        let mut times = Vec::new();
        let mut grown = 0;
        for _ in 0..20 {
            let (before, resident_before) = (Instant::now(), resident());
            let engine = Engine::new(config.clone())?;
            times.push(before.elapsed());
            grown = grown.max(resident().saturating_sub(resident_before));
            drop(engine);
        }
        print_times(what, times);
        println!("{what:<44} at most {} KiB resident", grown >> 10);
    }
    Ok(())
}

/// From `start` to the report of `wait`, against the same program in a plain embedding.
async fn measure_start(
    engine: &Engine,
    name: &str,
    path: &str,
    bare: impl AsyncFn() -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let program = load(engine, path)?;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for round in 0..2200 {
        let before = Instant::now();
        let container = engine.start(&program, ContainerConfig::new("hello"))?;
        anyhow::ensure!(container.wait().await.code == 0);
        let mine = before.elapsed();
        let before = Instant::now();
        bare().await?;
        if round >= 200 {
            ours.push(mine);
            theirs.push(before.elapsed());
        }
    }
    print_times(&format!("{name} hello, start to report"), ours);
    print_times(&format!("{name} hello, bare wasmtime, on demand, no fuel"), theirs);
    Ok(())
}

fn bare_module(path: &str) -> anyhow::Result<impl AsyncFn() -> anyhow::Result<()> + use<>> {
    let engine = wasmtime::Engine::new(&Config::new())?;
    let mut linker = wasmtime::Linker::<WasiP1Ctx>::new(&engine);
    p1::add_to_linker_async(&mut linker, |state| state)?;
    let module = linker.instantiate_pre(&wasmtime::Module::from_file(&engine, path)?)?;
    Ok(async move || {
        let mut store = Store::new(&engine, WasiCtxBuilder::new().arg("hello").build_p1());
        let instance = module.instantiate_async(&mut store).await?;
        instance.get_typed_func::<(), ()>(&mut store, "_start")?.call_async(&mut store, ()).await?;
        Ok(())
    })
}

fn bare_component(path: &str) -> anyhow::Result<impl AsyncFn() -> anyhow::Result<()> + use<>> {
    let engine = wasmtime::Engine::new(&Config::new())?;
    let mut linker = Linker::<WasiP1Ctx>::new(&engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    let command = CommandPre::new(linker.instantiate_pre(&Component::from_file(&engine, path)?)?)?;
    Ok(async move || {
        let mut state = WasiCtxBuilder::new().arg("hello").build_p1();
        state.ctx().table.set_max_capacity(1000);
        let mut store = Store::new(&engine, state);
        let instance = command.instantiate_async(&mut store).await?;
        let result = instance.wasi_cli_run().call_run(&mut store).await?;
        anyhow::ensure!(result.is_ok());
        Ok(())
    })
}

async fn measure_first_byte(engine: &Engine) -> anyhow::Result<()> {
    let program = load(engine, guests::HELLO_P2)?;
    let mut times = Vec::new();
    for _ in 0..2000 {
        let (stdout, mut reader) = Output::channel(64 << 10);
        let before = Instant::now();
        let container = engine.start(&program, ContainerConfig { stdout, ..ContainerConfig::new("hello") })?;
        anyhow::ensure!(reader.next().await.is_some());
        times.push(before.elapsed());
        container.wait().await;
    }
    print_times("wasip2 hello, start to first byte", times);
    Ok(())
}

async fn measure_kill(engine: &Engine) -> anyhow::Result<()> {
    let spin = load(engine, guests::SPIN)?;
    for hogs in [0, 20] {
        let _hogs: Vec<Container> =
            (0..hogs).map(|_| engine.start(&spin, ContainerConfig::new("hog"))).collect::<Result<_, _>>()?;
        let mut times = Vec::new();
        for _ in 0..100 {
            let container = engine.start(&spin, ContainerConfig::new("spin"))?;
            tokio::time::sleep(Duration::from_millis(5)).await;
            let before = Instant::now();
            container.stop(Duration::ZERO).await;
            times.push(before.elapsed());
        }
        print_times(&format!("stop of a spinning program, {hogs} others spin"), times);
    }
    Ok(())
}

/// How late a timer of the host fires while programs spin.
async fn measure_neighbour(engine: &Engine) -> anyhow::Result<()> {
    let spin = load(engine, guests::SPIN)?;
    for (hogs, cpu_millis) in [(0, None), (1, None), (4, None), (20, None), (20, Some(50))] {
        let limits = Limits { cpu_millis, ..Limits::default() };
        let _hogs: Vec<Container> = (0..hogs)
            .map(|_| engine.start(&spin, ContainerConfig { limits, ..ContainerConfig::new("hog") }))
            .collect::<Result<_, _>>()?;
        let mut late = Vec::new();
        let mut timer = JoinSet::new();
        timer.spawn(async move {
            for _ in 0..1000 {
                let before = Instant::now();
                tokio::time::sleep(Duration::from_millis(2)).await;
                late.push(before.elapsed().saturating_sub(Duration::from_millis(2)));
            }
            late
        });
        while let Some(late) = timer.join_next().await {
            print_times(&format!("lateness of a timer, {hogs} spin at {cpu_millis:?}"), late?);
        }
    }
    Ok(())
}

async fn measure_cpu(engine: &Engine) -> anyhow::Result<()> {
    let spin = load(engine, guests::SPIN)?;
    for millis in [50, 100, 250, 500, 1000] {
        let limits = Limits { cpu_millis: Some(millis), ..Limits::default() };
        let container = engine.start(&spin, ContainerConfig { limits, ..ContainerConfig::new("spin") })?;
        // Whole periods, after the first.
        tokio::time::sleep(Duration::from_millis(250)).await;
        let (before, used) = (Instant::now(), container.usage().cpu_time);
        tokio::time::sleep(Duration::from_secs(3)).await;
        let usage = container.usage();
        let share = (usage.cpu_time - used).as_secs_f64() / before.elapsed().as_secs_f64();
        let error = (share * 1000.0 / f64::from(millis) - 1.0) * 100.0;
        println!(
            "cpu limit {millis:>4}m{:<30} used {:>6.1}m  error {error:>5.1} %  throttled {:?}",
            "",
            share * 1000.0,
            usage.throttled_time
        );
        container.stop(Duration::ZERO).await;
    }
    Ok(())
}

async fn measure_idle(engine: &Engine) -> anyhow::Result<()> {
    let sleep = load(engine, guests::SLEEP)?;
    let count = engine.containers_max();
    let (before, start) = (resident(), Instant::now());
    let (mut containers, mut readers) = (Vec::new(), Vec::new());
    for _ in 0..count {
        let (stdout, mut reader) = Output::channel(4096);
        containers.push(engine.start(&sleep, ContainerConfig { stdout, ..ContainerConfig::new("sleep") })?);
        anyhow::ensure!(reader.next().await.is_some());
        readers.push(reader);
    }
    let rate = f64::from(count) / start.elapsed().as_secs_f64();
    let each = (resident() - before) / u64::from(count);
    let mappings = std::fs::read_to_string("/proc/self/maps").map(|maps| maps.lines().count()).unwrap_or(0);
    println!(
        "{count} sleeping containers{:<22} {} KiB each, {mappings} mappings, {rate:.0} started per second",
        "",
        each >> 10
    );
    Ok(())
}

/// The client shares the two threads with the server, so this is a lower bound.
async fn measure_http(engine: &Engine) -> anyhow::Result<()> {
    let program = load(engine, guests::HTTP_HELLO)?;
    let network = Network::new(NetworkConfig::default());
    let pod = network.attach(&PodKey { namespace: "default".into(), name: "web".into(), uid: "1".into() })?;
    let address = SocketAddr::new(pod.ip(), 80);
    let config = ContainerConfig { network: Some(pod), http_port: Some(80), ..ContainerConfig::new("web") };
    let container = engine.start(&program, config)?;
    let served = Arc::new(AtomicU64::new(0));
    for connections in [1, 32] {
        let mut clients = JoinSet::new();
        let end = Instant::now() + Duration::from_secs(4);
        let before = served.load(Ordering::Relaxed);
        for _ in 0..connections {
            clients.spawn(client(network.clone(), address, end, Arc::clone(&served)));
        }
        let mut times = Vec::new();
        while let Some(done) = clients.join_next().await {
            times.extend(done??);
        }
        let rate = (served.load(Ordering::Relaxed) - before) / 4;
        print_times(&format!("http, {connections} connections, {rate} requests per second"), times);
    }
    container.stop(Duration::from_secs(1)).await;
    Ok(())
}

async fn client(
    network: Network,
    address: SocketAddr,
    end: Instant,
    served: Arc<AtomicU64>,
) -> anyhow::Result<Vec<Duration>> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(network.dial(address).await?)).await?;
    let mut tasks = JoinSet::new();
    tasks.spawn(connection);
    let mut times = Vec::new();
    while Instant::now() < end {
        let before = Instant::now();
        sender.ready().await?;
        let request = hyper::Request::get("/").header("host", "web").body(Full::<Bytes>::default())?;
        let response = sender.send_request(request).await?;
        anyhow::ensure!(response.status() == 200);
        response.into_body().collect().await?;
        times.push(before.elapsed());
        served.fetch_add(1, Ordering::Relaxed);
    }
    Ok(times)
}
