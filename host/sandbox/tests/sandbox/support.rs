//! How tests make programs and run them.

use coracle_host_network::{Network, NetworkConfig, PodKey, PodNetwork};
use coracle_host_sandbox::{
    CompileError, Container, ContainerConfig, Engine, EngineConfig, ExitReport, LogReader, Output, Program,
};
use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::Path;
use std::time::Duration;

/// Room for what a container prints in a test; more makes it wait.
const LOG_BYTES: usize = 1 << 20;
/// Longer than anything here takes on a busy machine. What takes this long hangs.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) fn engine() -> Engine {
    Engine::new(EngineConfig { containers_max: 16, http_instances_max: 16, ..EngineConfig::default() }).unwrap()
}

/// Loads a program, compiled now or by an earlier test: artifacts are kept by content, since each test is a process.
pub(crate) fn load(engine: &Engine, wasm: &[u8]) -> Program {
    let mut hasher = DefaultHasher::new();
    wasm.hash(&mut hasher);
    let name = format!("{}-{:016x}", engine.compatibility_key(), hasher.finish());
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    if let Ok(program) = engine.load(&path) {
        return program;
    }
    let artifact = engine.compile(wasm).unwrap();
    let unfinished = tempfile::NamedTempFile::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    fs::write(unfinished.path(), artifact).unwrap();
    unfinished.persist(&path).unwrap();
    engine.load(&path).unwrap()
}

pub(crate) fn load_file(engine: &Engine, path: &str) -> Program {
    load(engine, &fs::read(path).unwrap())
}

pub(crate) fn load_text(engine: &Engine, text: &str) -> Program {
    load(engine, &wat::parse_str(text).unwrap())
}

/// What the compiler says about a text.
pub(crate) fn refusal(text: &str) -> CompileError {
    engine().compile(&wat::parse_str(text).unwrap()).unwrap_err()
}

pub(crate) fn strings<const N: usize>(texts: [&str; N]) -> Vec<String> {
    texts.map(str::to_owned).to_vec()
}

/// A container that runs, and what it prints.
pub(crate) struct Running {
    pub(crate) container: Container,
    pub(crate) stdout: LogReader,
    pub(crate) stderr: LogReader,
}

/// A container that has ended, and what it printed.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) report: ExitReport,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

pub(crate) fn start(engine: &Engine, program: &Program, mut config: ContainerConfig) -> Running {
    let (stdout, stdout_reader) = Output::channel(LOG_BYTES);
    let (stderr, stderr_reader) = Output::channel(LOG_BYTES);
    config.stdout = stdout;
    config.stderr = stderr;
    let container = engine.start(program, config).unwrap();
    Running { container, stdout: stdout_reader, stderr: stderr_reader }
}

impl Running {
    /// Waits for the end.
    pub(crate) async fn end(mut self) -> Ran {
        let all = async { tokio::join!(self.container.wait(), self.stdout.read_to_end(), self.stderr.read_to_end()) };
        let (report, stdout, stderr) = tokio::time::timeout(PATIENCE, all).await.expect("the container hangs");
        Ran { report, stdout, stderr }
    }
}

pub(crate) async fn run(engine: &Engine, program: &Program, config: ContainerConfig) -> Ran {
    start(engine, program, config).end().await
}

/// Runs a text with nothing around it.
pub(crate) async fn run_text(text: &str, change: impl FnOnce(&mut ContainerConfig)) -> Ran {
    let engine = engine();
    let mut config = ContainerConfig::new("test");
    change(&mut config);
    run(&engine, &load_text(&engine, text), config).await
}

/// Runs a file with arguments after `argv[0]`.
pub(crate) async fn run_file(path: &str, args: &[&str], change: impl FnOnce(&mut ContainerConfig)) -> Ran {
    let engine = engine();
    let mut config = ContainerConfig::new("test");
    config.args = ["program"].iter().chain(args).map(|arg| (*arg).to_owned()).collect();
    change(&mut config);
    run(&engine, &load_file(&engine, path), config).await
}

/// The network of a pod, on a host of its own.
pub(crate) fn pod() -> PodNetwork {
    let key = PodKey { namespace: "default".into(), name: "pod".into(), uid: "1".into() };
    Network::new(NetworkConfig::default()).attach(&key).unwrap()
}
