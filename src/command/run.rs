//! `coracle run`: one container, no cluster, the process's own standard streams.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use coracle_control_api::quantity::Quantity;
use coracle_host_image::PullPolicy;
use coracle_host_network::{Network, NetworkConfig, PodKey, PodNetwork, PublishedPort};
use coracle_host_sandbox::{
    ContainerConfig, Engine, EngineConfig, ExitReason, ExitReport, Input, Limits, Mount, Output, Program,
};

use crate::cli::RunArguments;
use crate::host;
use crate::system::StopSignals;

/// How long a program may take to end after Ctrl-C.
const STOP_GRACE: Duration = Duration::from_secs(2);

pub(crate) fn execute(arguments: &RunArguments) -> Result<ExitCode> {
    super::start_logging();
    let plan = Plan::new(arguments)?;
    super::runtime()?.block_on(async {
        let engine = Engine::new(EngineConfig::for_one_container()).context("cannot start the sandbox engine")?;
        let images = super::image::open_store(&arguments.data)?;
        let programs = host::open_programs(&arguments.data.resolve()?, images, engine.clone())?;
        let image = image_name(&arguments.program)?;
        let (_, program) = programs.get(&image, PullPolicy::IfNotPresent).await?;
        let report = run(&engine, &program, plan).await?;
        explain(&report);
        Ok(exit_code(&report))
    })
}

/// What the flags ask for, checked.
struct Plan {
    config: ContainerConfig,
    ports: Vec<PortMapping>,
}

#[derive(Clone, Copy)]
struct PortMapping {
    host: u16,
    container: u16,
}

impl Plan {
    fn new(arguments: &RunArguments) -> Result<Self> {
        let program = Path::new(&arguments.program);
        let name = program.file_stem().unwrap_or(program.as_os_str()).to_string_lossy().into_owned();
        let limits = Limits {
            cpu_millis: arguments.cpu.as_deref().map(cpu_millis).transpose()?,
            memory_bytes: arguments.memory.as_deref().map(memory_bytes).transpose()?,
            fuel: arguments.fuel,
        };
        let mut args = vec![name.clone()];
        args.extend(arguments.arguments.iter().cloned());
        let config = ContainerConfig {
            args,
            env: arguments.env.iter().map(|entry| environment(entry)).collect::<Result<Vec<_>>>()?,
            mounts: arguments.volume.iter().map(|volume| mount(volume)).collect::<Result<Vec<_>>>()?,
            stdin: Input::process_stdin(),
            stdout: Output::process_stdout(),
            stderr: Output::process_stderr(),
            limits,
            ..ContainerConfig::new(name)
        };
        let ports = arguments.publish.iter().map(|text| port_mapping(text)).collect::<Result<Vec<_>>>()?;
        Ok(Self { config, ports })
    }
}

async fn run(engine: &Engine, program: &Program, plan: Plan) -> Result<ExitReport> {
    let Plan { mut config, ports } = plan;
    let network = Network::new(NetworkConfig::default());
    let key = PodKey { namespace: "run".to_owned(), name: config.name.clone(), uid: String::new() };
    let pod = network.attach(&key).context("cannot give the program an address")?;
    config.http_port = Some(ports.first().map_or(8080, |mapping| mapping.container));
    config.network = Some(pod.clone());
    let published = publish(&network, &pod, &ports).await?;
    let mut signals = StopSignals::listen()?;
    let container = engine.start(program, config)?;
    let report = tokio::select! {
        // Both arms only wait: nothing is lost when the other one wins.
        report = container.wait() => report,
        () = signals.received() => container.stop(STOP_GRACE).await,
    };
    drop(published);
    Ok(report)
}

async fn publish(network: &Network, pod: &PodNetwork, ports: &[PortMapping]) -> Result<Vec<PublishedPort>> {
    let mut published = Vec::with_capacity(ports.len());
    for mapping in ports {
        let host = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), mapping.host);
        let target = SocketAddr::new(pod.ip(), mapping.container);
        published.push(network.publish(host, target).await.with_context(|| format!("cannot publish {host}"))?);
    }
    Ok(published)
}

/// A path that names a file becomes a `file://` name; everything else is an image's name.
fn image_name(program: &str) -> Result<String> {
    if program.starts_with("file://") {
        return Ok(program.to_owned());
    }
    let path = Path::new(program);
    let looks_like_a_path =
        path.is_file() || path.is_absolute() || program.starts_with('.') || program.ends_with(".wasm");
    if !looks_like_a_path {
        return Ok(program.to_owned());
    }
    let path = std::fs::canonicalize(path).with_context(|| format!("cannot read {program}"))?;
    let path = path.to_str().with_context(|| format!("the path {} is not UTF-8", path.display()))?;
    Ok(format!("file://{path}"))
}

fn environment(entry: &str) -> Result<(String, String)> {
    match entry.split_once('=') {
        Some(("", _)) => bail!("-e {entry}: the variable has no name"),
        Some((name, value)) => Ok((name.to_owned(), value.to_owned())),
        None => Ok((entry.to_owned(), std::env::var(entry).with_context(|| format!("-e {entry}: not set here"))?)),
    }
}

fn mount(volume: &str) -> Result<Mount> {
    let (paths, read_only) = match volume.strip_suffix(":ro") {
        Some(paths) => (paths, true),
        None => (volume.strip_suffix(":rw").unwrap_or(volume), false),
    };
    let Some((host, guest)) = paths.rsplit_once(':').filter(|(host, guest)| !host.is_empty() && !guest.is_empty())
    else {
        bail!("-v {volume}: must be HOSTDIR:GUESTDIR or HOSTDIR:GUESTDIR:ro");
    };
    let host_path = PathBuf::from(host);
    if !host_path.is_dir() {
        bail!("-v {volume}: {host} is not a directory");
    }
    Ok(Mount { host_path, guest_path: guest.to_owned(), read_only })
}

fn port_mapping(text: &str) -> Result<PortMapping> {
    let parse = |port: &str| port.parse::<u16>().ok().filter(|&port| port != 0);
    let mapping = text
        .split_once(':')
        .and_then(|(host, container)| Some(PortMapping { host: parse(host)?, container: parse(container)? }));
    mapping.with_context(|| format!("-p {text}: must be HOSTPORT:CONTAINERPORT, each between 1 and 65535"))
}

fn cpu_millis(text: &str) -> Result<u32> {
    let millis = text.parse::<Quantity>().ok().and_then(|quantity| u32::try_from(quantity.milli_value()).ok());
    millis.filter(|&millis| millis > 0).with_context(|| format!("--cpu {text}: must be a quantity such as 500m or 2"))
}

fn memory_bytes(text: &str) -> Result<u64> {
    let bytes = text.parse::<Quantity>().ok().and_then(|quantity| u64::try_from(quantity.value()).ok());
    bytes.filter(|&bytes| bytes > 0).with_context(|| format!("--memory {text}: must be a quantity such as 64Mi"))
}

/// Names the limit that ended a program. What happened is on standard error already, from the sandbox.
fn explain(report: &ExitReport) {
    if matches!(report.reason, ExitReason::OomKilled | ExitReason::FuelExhausted) {
        eprintln!("coracle: {}", report.kubernetes_reason());
    }
}

fn exit_code(report: &ExitReport) -> ExitCode {
    ExitCode::from(u8::try_from(report.code).unwrap_or(u8::MAX))
}
