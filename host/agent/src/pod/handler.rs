//! What probes and lifecycle hooks do: run a program in the container, ask over HTTP or gRPC, connect, or sleep.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, Request, Response, Uri, header};
use coracle_host_network::{Network, Stream};
use coracle_host_sandbox::{Input, LogReader, Output};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::TokioIo;
use k8s_openapi::api::core::v1::{
    Container, ExecAction, GRPCAction, HTTPGetAction, LifecycleHandler, Probe, TCPSocketAction,
};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use tokio::task::JoinSet;

use crate::life::ProbeOutcome;
use crate::runtime::{ExecFailure, ExecSpec, Running};

/// Bytes of a program's output or of an answer that are looked at.
const OUTPUT_BYTES_MAX: usize = 10 * 1024;
/// How long a hook over HTTP may take if nothing else bounds it.
const HOOK_TIMEOUT: Duration = Duration::from_secs(30);
const USER_AGENT: &str = "kube-probe/1.34";

/// Where a handler acts.
#[derive(Clone)]
pub(super) struct Surroundings {
    pub(super) network: Network,
    pub(super) ip: IpAddr,
    pub(super) container: Container,
    pub(super) running: Arc<dyn Running>,
}

impl Surroundings {
    /// Makes a probe within its timeout.
    pub(super) async fn probe(&self, probe: &Probe) -> ProbeOutcome {
        let seconds = probe.timeout_seconds.and_then(|seconds| u64::try_from(seconds).ok()).unwrap_or(1).max(1);
        let timeout = Duration::from_secs(seconds);
        let made = async {
            if let Some(action) = &probe.exec {
                return self.exec(action).await;
            }
            if let Some(action) = &probe.http_get {
                return self.http_get(action).await;
            }
            if let Some(action) = &probe.tcp_socket {
                return self.tcp_socket(action).await;
            }
            match &probe.grpc {
                Some(action) => self.grpc(action).await,
                None => ProbeOutcome::Error("missing probe handler".to_owned()),
            }
        };
        match tokio::time::timeout(timeout, made).await {
            Ok(outcome) => outcome,
            Err(_) if probe.exec.is_some() => ProbeOutcome::Failure(format!("command timed out after {seconds}s")),
            Err(_) => ProbeOutcome::Failure(format!("context deadline exceeded: no answer within {seconds}s")),
        }
    }

    /// Does what a lifecycle hook says.
    pub(super) async fn hook(&self, handler: &LifecycleHandler) -> Result<(), String> {
        if let Some(sleep) = &handler.sleep {
            tokio::time::sleep(Duration::from_secs(u64::try_from(sleep.seconds).unwrap_or(0))).await;
            return Ok(());
        }
        let outcome = if let Some(action) = &handler.exec {
            self.exec(action).await
        } else if let Some(action) = &handler.http_get {
            let asked = tokio::time::timeout(HOOK_TIMEOUT, self.http_get(action)).await;
            asked.unwrap_or_else(|_| ProbeOutcome::Failure("the hook was not answered in time".to_owned()))
        } else {
            ProbeOutcome::Error("invalid handler: there is none".to_owned())
        };
        match outcome {
            ProbeOutcome::Success => Ok(()),
            ProbeOutcome::Failure(message) | ProbeOutcome::Error(message) => Err(message),
        }
    }

    async fn exec(&self, action: &ExecAction) -> ProbeOutcome {
        let (output, mut reader) = Output::channel(OUTPUT_BYTES_MAX);
        let spec = ExecSpec {
            command: action.command.clone().unwrap_or_default(),
            stdin: Input::empty(),
            stdout: output.clone(),
            stderr: output,
        };
        let running = match self.running.exec(spec).await {
            Ok(running) => running,
            Err(ExecFailure::NoProgram(message) | ExecFailure::Refused(message)) => {
                return ProbeOutcome::Failure(message);
            }
        };
        let (text, exit) = tokio::join!(beginning(&mut reader), running.wait());
        if exit.code == 0 { ProbeOutcome::Success } else { ProbeOutcome::Failure(text) }
    }

    async fn tcp_socket(&self, action: &TCPSocketAction) -> ProbeOutcome {
        let address = match self.address(action.host.as_deref(), &action.port) {
            Ok(address) => address,
            Err(message) => return ProbeOutcome::Error(message),
        };
        match self.dial(address).await {
            Ok(_stream) => ProbeOutcome::Success,
            Err(message) => ProbeOutcome::Failure(message),
        }
    }

    async fn http_get(&self, action: &HTTPGetAction) -> ProbeOutcome {
        if action.scheme.as_deref() == Some("HTTPS") {
            return ProbeOutcome::Error("this host makes HTTPS requests to no container".to_owned());
        }
        let address = match self.address(action.host.as_deref(), &action.port) {
            Ok(address) => address,
            Err(message) => return ProbeOutcome::Error(message),
        };
        let path = action.path.as_deref().unwrap_or("/");
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        let Some(request) = request(action, &path, address) else {
            return ProbeOutcome::Error(format!("{path:?} or a header cannot be sent"));
        };
        let asked = async {
            let stream = self.dial(address).await?;
            let (mut sender, connection) =
                http1::handshake(TokioIo::new(stream)).await.map_err(|error| error.to_string())?;
            let answer = async {
                let answer = sender.send_request(request).await.map_err(|error| error.to_string())?;
                Ok::<_, String>(answer.status().as_u16())
            };
            tokio::select! {
                biased;
                answer = answer => answer,
                _ = connection => Err("EOF".to_owned()),
            }
        };
        match asked.await {
            Ok(200..400) => ProbeOutcome::Success,
            Ok(code) => ProbeOutcome::Failure(format!("HTTP probe failed with statuscode: {code}")),
            Err(message) => ProbeOutcome::Failure(format!("Get \"http://{address}{path}\": {message}")),
        }
    }

    /// The health protocol of gRPC: one unary call over HTTP/2 with prior knowledge.
    async fn grpc(&self, action: &GRPCAction) -> ProbeOutcome {
        let Ok(port) = u16::try_from(action.port) else {
            return ProbeOutcome::Error(format!("invalid port {}", action.port));
        };
        let address = SocketAddr::new(self.ip, port);
        let stream = match self.dial(address).await {
            Ok(stream) => stream,
            Err(message) => {
                return ProbeOutcome::Failure(format!("timeout: failed to connect service \"{address}\": {message}"));
            }
        };
        match check(stream, address, action.service.as_deref().unwrap_or_default()).await {
            Ok(1) => ProbeOutcome::Success,
            Ok(status) => {
                let word = match status {
                    2 => "NOT_SERVING",
                    3 => "SERVICE_UNKNOWN",
                    _ => "UNKNOWN",
                };
                ProbeOutcome::Failure(format!("service unhealthy (responded with \"{word}\")"))
            }
            Err(message) => ProbeOutcome::Failure(format!("error: health rpc probe failed: {message}")),
        }
    }

    async fn dial(&self, address: SocketAddr) -> Result<Stream, String> {
        self.network.dial(address).await.map_err(|error| format!("dial tcp {address}: connect: {error}"))
    }

    /// The address that a handler names: the pod's unless it says otherwise, and a port by number or by name.
    fn address(&self, host: Option<&str>, port: &IntOrString) -> Result<SocketAddr, String> {
        let ip = match host.filter(|host| !host.is_empty() && *host != "localhost") {
            None => self.ip,
            Some(host) => match host.parse::<IpAddr>() {
                Ok(ip) if ip.is_loopback() => self.ip,
                Ok(ip) => ip,
                Err(_) => return Err(format!("host {host:?}: only addresses of pods can be asked")),
            },
        };
        let ports = || self.container.ports.iter().flatten();
        let number = match port {
            IntOrString::Int(number) => Some(*number),
            IntOrString::String(name) => {
                let named = ports().find(|port| port.name.as_deref() == Some(name)).map(|port| port.container_port);
                named.or_else(|| name.parse().ok())
            }
        };
        let number = number.and_then(|number| u16::try_from(number).ok()).filter(|number| *number != 0);
        let number = number.ok_or_else(|| format!("couldn't find port: {port:?}"))?;
        Ok(SocketAddr::new(ip, number))
    }
}

fn request(action: &HTTPGetAction, path: &str, address: SocketAddr) -> Option<Request<Body>> {
    let mut request = Request::get(path.parse::<Uri>().ok()?)
        .header(header::HOST, address.to_string())
        .header(header::USER_AGENT, USER_AGENT)
        .header(header::ACCEPT, "*/*")
        .header(header::CONNECTION, "close")
        .body(Body::empty())
        .ok()?;
    for header in action.http_headers.iter().flatten() {
        let name: HeaderName = header.name.parse().ok()?;
        request.headers_mut().insert(name, HeaderValue::from_str(&header.value).ok()?);
    }
    Some(request)
}

/// What a program prints first; the rest is read and forgotten, so that the program is not held up.
async fn beginning(reader: &mut LogReader) -> String {
    let mut text = Vec::new();
    while let Some(bytes) = reader.next().await {
        let room = OUTPUT_BYTES_MAX.saturating_sub(text.len());
        text.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }
    String::from_utf8_lossy(&text).trim_end().to_owned()
}

/// Runs what HTTP/2 needs beside a call. Dropped, it ends that.
#[derive(Clone, Default)]
struct Beside(Arc<std::sync::Mutex<JoinSet<()>>>);

impl<F> hyper::rt::Executor<F> for Beside
where
    F: Future + Send + 'static,
{
    fn execute(&self, future: F) {
        let mut tasks = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        tasks.spawn(async move {
            future.await;
        });
    }
}

async fn check(stream: Stream, address: SocketAddr, service: &str) -> Result<u64, String> {
    let tasks = Beside::default();
    let (mut sender, connection) =
        http2::handshake(tasks.clone(), TokioIo::new(stream)).await.map_err(|error| error.to_string())?;
    let call = async {
        let request = Request::post(format!("http://{address}/grpc.health.v1.Health/Check"))
            .header(header::CONTENT_TYPE, "application/grpc")
            .header(header::USER_AGENT, USER_AGENT)
            .header("te", "trailers")
            .body(Body::from(health_request(service)))
            .map_err(|error| error.to_string())?;
        let answer: Response<Incoming> = sender.send_request(request).await.map_err(|error| error.to_string())?;
        health_status(answer).await
    };
    tokio::select! {
        biased;
        status = call => status,
        _ = connection => Err("the connection was closed".to_owned()),
    }
}

/// `HealthCheckRequest { service = 1 }` in a gRPC message that is not compressed.
fn health_request(service: &str) -> Vec<u8> {
    let service = &service.as_bytes()[..service.len().min(127)];
    let mut message = Vec::new();
    if !service.is_empty() {
        message.push(0x0a);
        message.push(u8::try_from(service.len()).unwrap_or(127));
        message.extend_from_slice(service);
    }
    let mut body = vec![0];
    body.extend_from_slice(&u32::try_from(message.len()).unwrap_or(0).to_be_bytes());
    body.extend_from_slice(&message);
    body
}

/// `HealthCheckResponse { status = 1 }`, or the status of the call if it is not OK.
async fn health_status(answer: Response<Incoming>) -> Result<u64, String> {
    let (parts, body) = answer.into_parts();
    let body = http_body_util::Limited::new(body, OUTPUT_BYTES_MAX);
    let collected = body.collect().await.map_err(|error| error.to_string())?;
    let trailers = collected.trailers().cloned().unwrap_or_default();
    let status = trailers.get("grpc-status").or_else(|| parts.headers.get("grpc-status"));
    let status = status.and_then(|status| status.to_str().ok()).unwrap_or("0");
    if status == "12" {
        return Err("this server does not implement the grpc health protocol (grpc.health.v1.Health)".to_owned());
    }
    if status != "0" || !parts.status.is_success() {
        return Err(format!("rpc error: code = {status}, HTTP status {}", parts.status.as_u16()));
    }
    let bytes = collected.to_bytes();
    match bytes.get(5..) {
        // A status of 0 is the default and may not be written at all.
        Some([0x08, status, ..]) => Ok(u64::from(*status)),
        Some(_) => Ok(0),
        None => Err("the answer has no message".to_owned()),
    }
}
