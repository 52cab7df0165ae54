//! `coracle demo`: the main job in one go, in a temporary directory, on whatever machine this is.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use futures::FutureExt;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, DynamicObject, LogParams, Patch, PatchParams};
use kube::core::discovery::ApiResource;
use kube::core::gvk::GroupVersionKind;
use kube::runtime::wait::await_condition;
use kube::{Client, ResourceExt};
use serde_json::Value;

use crate::cli::DemoArguments;
use crate::cluster::{Cluster, ClusterConfig};
use crate::defaults::DEMO_STEP_TIMEOUT;
use crate::system::StopSignals;

mod pods_table;

/// One example: a program and the manifest that runs it. `build.rs` makes the list.
struct Example {
    name: &'static str,
    program: Option<&'static [u8]>,
    manifest: &'static str,
}

include!(concat!(env!("OUT_DIR"), "/examples.rs"));

/// The example that answers HTTP, and the one that runs to completion.
const SERVER: &str = "hello-http";
const COMMAND: &str = "word-count";

pub(crate) fn execute(arguments: &DemoArguments) -> Result<ExitCode> {
    super::start_logging();
    if let Some(missing) = EXAMPLES.iter().find(|example| example.program.is_none()) {
        bail!("this binary was built without the example {}; build it with `make demo`", missing.name);
    }
    let directory = tempfile::Builder::new().prefix("coracle-demo-").tempdir().context("cannot make a directory")?;
    let mut config = ClusterConfig::new(directory.path().to_owned());
    config.api_address.set_port(0);
    super::runtime()?.block_on(async {
        let mut signals = StopSignals::listen()?;
        let started = Instant::now();
        let cluster = Cluster::start(config).await?;
        step(&format!("A cluster on {} after {} ms.", cluster.url(), started.elapsed().as_millis()));
        // Boxed: the steps together are a large future.
        let ended = tokio::select! {
            // Dropping the tour half way leaves nothing behind but the temporary directory's content.
            ended = tour(&cluster, arguments.exit).boxed() => ended,
            () = signals.received() => Ok(()),
            failure = cluster.failed() => Err(failure),
        };
        cluster.stop().await;
        ended
    })?;
    Ok(ExitCode::SUCCESS)
}

async fn tour(cluster: &Cluster, exit: bool) -> Result<()> {
    let client = cluster.client();
    load_images(cluster)?;
    let applied = Instant::now();
    for example in EXAMPLES {
        apply(&client, example.manifest).await.with_context(|| format!("cannot apply {}", example.name))?;
    }
    let answer = first_answer(&client).await?;
    let to_answer = applied.elapsed();
    step(&format!("{} ms from apply to the first HTTP answer:", to_answer.as_millis()));
    print_indented(&answer);

    let log = finished_log(&client).await?;
    step(&format!("The log of {COMMAND}, which ran to its end:"));
    print_indented(&log);

    step("kubectl get pods");
    println!("{}", pods_table::render(&client).await?);

    survive_a_kill(cluster, &client).await?;
    step("kubectl get pods");
    println!("{}", pods_table::render(&client).await?);

    if exit {
        step("Done.");
        return Ok(());
    }
    step("It is yours until Ctrl-C. In another terminal:");
    println!("  export KUBECONFIG={}", cluster.kubeconfig().display());
    println!("  kubectl get pods,events");
    println!("  kubectl get --raw /api/v1/namespaces/default/pods/{SERVER}/proxy/");
    std::future::pending().await
}

fn step(text: &str) {
    println!("\n==> {text}");
}

fn print_indented(text: &str) {
    for line in text.lines() {
        println!("    {line}");
    }
}

/// Loads every example under the name that its manifest asks for.
fn load_images(cluster: &Cluster) -> Result<()> {
    let images = cluster.host().context("the demo runs a host")?.images();
    for example in EXAMPLES {
        let program = example.program.context("checked before the start")?;
        images.load(program, &format!("{}:demo", example.name))?;
        step(&format!("coracle image load {0}.wasm -t {0}:demo   ({1} KiB)", example.name, program.len() / 1024));
    }
    Ok(())
}

/// Applies every object of a manifest, as `kubectl apply --server-side` does.
async fn apply(client: &Client, manifest: &str) -> Result<()> {
    let objects: Vec<Value> = serde_saphyr::from_multiple(manifest).context("the manifest is not YAML")?;
    for object in objects.into_iter().filter(|object| !object.is_null()) {
        let object: DynamicObject = serde_json::from_value(object).context("not an object")?;
        let types = object.types.clone().context("an object has no kind")?;
        let resource = ApiResource::from_gvk(&GroupVersionKind::try_from(&types).context("an object has no version")?);
        step(&format!("kubectl apply: {} {}", types.kind, object.name_any()));
        let api: Api<DynamicObject> = Api::default_namespaced_with(client.clone(), &resource);
        let parameters = PatchParams::apply("coracle-demo");
        api.patch(&object.name_any(), &parameters, &Patch::Apply(&object)).await?;
    }
    Ok(())
}

/// Waits until the pod is as the condition says.
async fn wait_for(client: &Client, name: &str, what: &str, condition: fn(Option<&Pod>) -> bool) -> Result<Pod> {
    let pods: Api<Pod> = Api::default_namespaced(client.clone());
    let waiting = tokio::time::timeout(DEMO_STEP_TIMEOUT, await_condition(pods.clone(), name, condition));
    if let Ok(pod) = waiting.await {
        return pod?.context("the pod was deleted");
    }
    let last = pods.get_opt(name).await?.and_then(|pod| pod.status).unwrap_or_default();
    bail!("pod {name} was not {what} after {} s: {}", DEMO_STEP_TIMEOUT.as_secs(), serde_json::to_string(&last)?)
}

async fn first_answer(client: &Client) -> Result<String> {
    wait_for(client, SERVER, "ready", is_ready).await?;
    ask(client).await
}

/// Asks the server through the API's pod proxy, as `kubectl get --raw` does.
async fn ask(client: &Client) -> Result<String> {
    let path = format!("/api/v1/namespaces/default/pods/{SERVER}/proxy/");
    let request = http::Request::get(path).body(Vec::new()).context("a fixed request")?;
    client.request_text(request).await.with_context(|| format!("{SERVER} did not answer"))
}

async fn finished_log(client: &Client) -> Result<String> {
    wait_for(client, COMMAND, "finished", is_finished).await?;
    let pods: Api<Pod> = Api::default_namespaced(client.clone());
    Ok(pods.logs(COMMAND, &LogParams::default()).await?)
}

/// Kills the server's container and waits for the answer of its successor.
async fn survive_a_kill(cluster: &Cluster, client: &Client) -> Result<()> {
    let pod = wait_for(client, SERVER, "ready", is_ready).await?;
    let container = pod.spec.iter().flat_map(|spec| &spec.containers).map(|container| container.name.clone()).next();
    let container = container.context("the pod has a container")?;
    let killed = Instant::now();
    let agent = cluster.host().context("the demo runs a host")?.agent();
    if !agent.kill_container("default", SERVER, &container) {
        bail!("container {container} of {SERVER} is not running");
    }
    wait_for(client, SERVER, "restarted", is_restarted).await?;
    let answer = ask(client).await?;
    step(&format!("Its container was killed, and answers again after {} ms:", millis(killed.elapsed())));
    print_indented(&answer);
    Ok(())
}

fn millis(duration: Duration) -> u128 {
    duration.as_millis()
}

fn is_ready(pod: Option<&Pod>) -> bool {
    let conditions = pod.and_then(|pod| pod.status.as_ref()).and_then(|status| status.conditions.as_ref());
    conditions.into_iter().flatten().any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

fn is_finished(pod: Option<&Pod>) -> bool {
    let phase = pod.and_then(|pod| pod.status.as_ref()).and_then(|status| status.phase.as_deref());
    matches!(phase, Some("Succeeded" | "Failed"))
}

fn is_restarted(pod: Option<&Pod>) -> bool {
    let statuses = pod.and_then(|pod| pod.status.as_ref()).and_then(|status| status.container_statuses.as_ref());
    let restarted = statuses.into_iter().flatten().any(|status| status.restart_count > 0);
    restarted && is_ready(pod)
}
