//! The same with the real sandbox: small programs in WebAssembly's text form.

use coracle_host_image::{ArtifactCache, ImagePolicy, ImageStore};
use coracle_host_sandbox::{Engine, EngineConfig};

use coracle_tests_fixtures as guests;

use super::*;

/// Prints `hello` and ends with the code that it has as its only constant.
const HELLO: &str = r#"(module
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 1)
  (data (i32.const 8) "hello\n")
  (func (export "_start")
    (i32.store (i32.const 0) (i32.const 8))
    (i32.store (i32.const 4) (i32.const 6))
    (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 20)))
    (call $exit (i32.const 3))))"#;
const SPIN: &str = r#"(module (memory (export "memory") 1) (func (export "_start") (loop (br 0))))"#;
const TRAP: &str =
    r#"(module (memory (export "memory") 1) (func $deep unreachable) (func (export "_start") (call $deep)))"#;
const LIBRARY: &str = r#"(module (memory (export "memory") 1) (func (export "run")))"#;
const STRANGE: &str =
    r#"(module (import "strange" "thing" (func)) (memory (export "memory") 1) (func (export "_start")))"#;

pub(super) struct WasmHost {
    pub(super) api: Api,
    pub(super) agent: Agent,
    directory: tempfile::TempDir,
}

impl WasmHost {
    pub(super) async fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let images = ImageStore::open(&directory.path().join("images"), ImagePolicy { allow_files: true }).unwrap();
        for (name, text) in
            [("hello", HELLO), ("spin", SPIN), ("trap", TRAP), ("library", LIBRARY), ("strange", STRANGE)]
        {
            images.load(&wat::parse_str(text).unwrap(), &format!("{name}:1")).unwrap();
        }
        images.load(b"#!/bin/sh\n", "script:1").unwrap();
        for (name, path) in [
            ("cat", guests::CAT),
            ("exit", guests::EXIT_P1),
            ("printer", guests::PRINTER),
            ("sleep", guests::SLEEP),
            ("http", guests::HTTP_HELLO),
        ] {
            images.load(&std::fs::read(path).unwrap(), &format!("{name}:1")).unwrap();
        }
        let artifacts = ArtifactCache::open(&directory.path().join("code"), 1 << 30).unwrap();
        let engine = Engine::new(EngineConfig { containers_max: 50, ..EngineConfig::default() }).unwrap();
        let programs = ProgramCache::new(images, artifacts, engine);
        let api = Api::new();
        let memory_dir = Some(directory.path().join("memory"));
        let toolbox: &[u8] = Box::leak(std::fs::read(guests::TOOLBOX).unwrap().into_boxed_slice());
        let config = AgentConfig { memory_dir, toolbox: Some(toolbox), ..AgentConfig::new("n1", directory.path()) };
        let network = Network::new(NetworkConfig::default());
        let agent = Agent::start(config, api.client(), programs, network).await.unwrap();
        agent.ready().await;
        Self { api, agent, directory }
    }

    /// The volume `v` of a pod, on the disk.
    pub(super) fn volume(&self, pod: &str) -> std::path::PathBuf {
        self.directory.path().join("pods").join(format!("uid-{pod}")).join("volumes/v")
    }

    async fn logs(&self, pod: &str) -> String {
        let uri = format!("/containerLogs/shop/{pod}/c");
        let request = Request::get(uri).body(Body::empty()).unwrap();
        let response = self.agent.router().oneshot(request).await.unwrap();
        String::from_utf8_lossy(&response.into_body().collect().await.unwrap().to_bytes()).into_owned()
    }
}

fn never(image: &str) -> Value {
    json!({ "restartPolicy": "Never", "containers": [{ "name": "c", "image": image }] })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn programs_run_end_and_are_reported() {
    let host = WasmHost::start().await;
    bind(&host.api, "hello", &never("hello:1"));
    let status = wait_for(&host.api, "hello", |status| status["phase"] == "Failed").await;
    let container = &status["containerStatuses"][0];
    assert_eq!(container["state"]["terminated"]["exitCode"], 3);
    assert!(container["imageID"].as_str().unwrap().starts_with("hello:1@sha256:"), "{container}");
    assert_eq!(host.logs("hello").await, "hello\n");

    bind(&host.api, "trap", &never("trap:1"));
    let status = wait_for(&host.api, "trap", |status| status["phase"] == "Failed").await;
    assert_eq!(status["containerStatuses"][0]["state"]["terminated"]["reason"], "Error");
    assert!(host.logs("trap").await.contains("deep"), "{}", host.logs("trap").await);

    bind(&host.api, "spin", &one("spin:1"));
    wait_for(&host.api, "spin", |status| status["phase"] == "Running").await;
    let begun = Instant::now();
    delete(&host.api, "spin", 30);
    assert!(eventually(|| host.api.get(&path("spin")).is_none()).await);
    assert!(begun.elapsed() < Duration::from_secs(5), "a spinning program is stopped at once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_program_is_named() {
    let host = WasmHost::start().await;
    for (image, reason, text) in [
        ("script:1", "CreateContainerError", "not a WebAssembly file"),
        ("library:1", "CreateContainerError", "_start"),
        ("strange:1", "CreateContainerError", "strange"),
        ("absent:1", "ErrImagePull", "absent:1"),
        ("UPPER:case:x", "InvalidImageName", "couldn't parse image name"),
        ("file:///no/such/file.wasm", "ErrImagePull", "/no/such/file.wasm"),
    ] {
        let name = image.replace(|character: char| !character.is_ascii_alphanumeric(), "-").to_lowercase();
        bind(&host.api, &name, &one(image));
        let status = wait_for(&host.api, &name, |status| {
            status["containerStatuses"][0]["state"]["waiting"]["message"].is_string()
        })
        .await;
        let waiting = &status["containerStatuses"][0]["state"]["waiting"];
        assert_eq!(waiting["reason"], reason, "{image}: {waiting}");
        assert!(waiting["message"].as_str().unwrap().contains(text), "{image}: {waiting}");
        delete(&host.api, &name, 0);
    }
    let mut spec = one("absent:1");
    spec["containers"][0]["imagePullPolicy"] = "Never".into();
    bind(&host.api, "never", &spec);
    wait_for(&host.api, "never", |status| {
        status["containerStatuses"][0]["state"]["waiting"]["reason"] == "ErrImageNeverPull"
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_warm_pod_runs_within_milliseconds() {
    let host = WasmHost::start().await;
    let mut times = Vec::new();
    for index in 0..31 {
        let name = format!("p{index}");
        let begun = Instant::now();
        bind(&host.api, &name, &one("spin:1"));
        wait_for(&host.api, &name, |status| status["phase"] == "Running").await;
        times.push(begun.elapsed());
        delete(&host.api, &name, 0);
        assert!(eventually(|| host.api.get(&path(&name)).is_none()).await);
    }
    times.sort_unstable();
    println!("bound to Running with the sandbox: p50 {:?}, worst {:?}", times[15], times[30]);
}
