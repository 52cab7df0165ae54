//! Containers that are not there: what an image does is said by its name.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use coracle_host_image::PullPolicy;
use coracle_host_sandbox::LogSink;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::life::{Exit, FailureKind, StartFailure};
use crate::logs::LogStream;
use crate::runtime::{ContainerSpec, ExecFailure, ExecSpec, Prepared, Running, Runtime};

/// Images: `run` runs until it is stopped, `exit-N` ends at once with code N, `echo` prints its environment and its
/// arguments, `http` serves. `missing` is not there until it is added.
#[derive(Debug, Default)]
pub(super) struct Containers {
    pub(super) added: Mutex<HashSet<String>>,
}

#[async_trait::async_trait]
impl Runtime for Containers {
    async fn prepare(&self, image: &str, _policy: PullPolicy) -> Result<Box<dyn Prepared>, StartFailure> {
        if image == "missing" && !self.added.lock().unwrap().contains(image) {
            return Err(StartFailure { kind: FailureKind::Pull, message: "there is no such image".into() });
        }
        if image == "forever" {
            std::future::pending::<()>().await;
        }
        Ok(Box::new(Image { name: image.to_owned() }))
    }

    fn containers_max(&self) -> u32 {
        500
    }
}

struct Image {
    name: String,
}

impl Prepared for Image {
    fn image_id(&self) -> String {
        format!("{}@sha256:00", self.name)
    }

    fn start(&self, spec: ContainerSpec) -> Result<Arc<dyn Running>, StartFailure> {
        let sink = spec.log.sink(LogStream::Stdout);
        let (exit, _) = watch::channel(None);
        let mut tasks = JoinSet::new();
        match self.name.as_str() {
            "echo" => {
                for (name, value) in &spec.env {
                    print(&sink, &format!("{name}={value}"));
                }
                print(&sink, &format!("{:?} {:?} {:?}", spec.command, spec.args, spec.limits));
                end(&exit, 0);
            }
            "http" => {
                let mut listener = spec.network.listen(spec.http_port).unwrap();
                tasks.spawn(async move {
                    loop {
                        let mut stream = listener.accept().await;
                        let mut request = vec![0; 4096];
                        let count = stream.read(&mut request).await.unwrap();
                        let text = String::from_utf8_lossy(&request[..count]).into_owned();
                        let head = text.lines().next().unwrap_or_default();
                        let answer = format!(
                            "HTTP/1.1 200 OK\r\nconnection: close\r\nkeep-alive: 1\r\ncontent-length: {}\r\n\r\n{head}",
                            head.len()
                        );
                        stream.write_all(answer.as_bytes()).await.unwrap();
                    }
                });
            }
            "grpc" => {
                let mut listener = spec.network.listen(spec.http_port).unwrap();
                tasks.spawn(async move {
                    loop {
                        let stream = hyper_util::rt::TokioIo::new(listener.accept().await);
                        let service = hyper::service::service_fn(health);
                        let server = hyper::server::conn::http2::Builder::new(hyper_util::rt::TokioExecutor::new());
                        let _gone = server.serve_connection(stream, service).await;
                    }
                });
            }
            name => {
                print(&sink, &format!("this is {name}"));
                if let Some(code) = name.strip_prefix("exit-") {
                    end(&exit, code.parse().unwrap());
                }
            }
        }
        Ok(Arc::new(Container { exit, _tasks: tasks, _network: spec.network }))
    }
}

/// The health protocol of gRPC, for a service that is `well` and for others.
async fn health(
    request: axum::http::Request<hyper::body::Incoming>,
) -> Result<axum::http::Response<axum::body::Body>, std::convert::Infallible> {
    assert_eq!(request.uri().path(), "/grpc.health.v1.Health/Check");
    let asked = http_body_util::BodyExt::collect(request.into_body()).await.unwrap().to_bytes();
    let status = if asked.ends_with(b"well") { 1 } else { 2 };
    let mut trailers = axum::http::HeaderMap::new();
    trailers.insert("grpc-status", "0".parse().unwrap());
    let frames = [
        hyper::body::Frame::data(bytes::Bytes::copy_from_slice(&[0, 0, 0, 0, 2, 8, status])),
        hyper::body::Frame::trailers(trailers),
    ];
    let body = http_body_util::StreamBody::new(futures::stream::iter(frames.map(Ok::<_, std::convert::Infallible>)));
    let answer = axum::http::Response::builder().header("content-type", "application/grpc");
    Ok(answer.body(axum::body::Body::new(body)).unwrap())
}

fn print(sink: &Arc<dyn LogSink>, text: &str) {
    sink.write(format!("{text}\n").into()).unwrap();
}

fn end(exit: &watch::Sender<Option<Exit>>, code: i32) {
    let reason = if code == 0 { "Completed" } else { "Error" };
    exit.send_if_modified(|exit| {
        let first = exit.is_none();
        exit.get_or_insert(Exit { code, reason, message: None });
        first
    });
}

struct Container {
    exit: watch::Sender<Option<Exit>>,
    _tasks: JoinSet<()>,
    _network: coracle_host_network::PodNetwork,
}

#[async_trait::async_trait]
impl Running for Container {
    async fn wait(&self) -> Exit {
        let mut exit = self.exit.subscribe();
        exit.wait_for(Option::is_some).await.unwrap().clone().unwrap()
    }

    async fn stop(&self, grace: Duration) -> Exit {
        end(&self.exit, if grace.is_zero() { 137 } else { 143 });
        self.wait().await
    }

    async fn exec(&self, spec: ExecSpec) -> Result<Arc<dyn Running>, ExecFailure> {
        Err(ExecFailure::NoProgram(format!("exec: {:?}: there is nothing", spec.command)))
    }
}
