//! A host whose programs and ports are made of a few lines.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, BodyDataStream};
use axum::extract::{Path, State};
use axum::routing::{any, post};
use bytes::Bytes;
use coracle_control_api::remote_command::{
    Channel, Frame, FrameDecoder, StreamOptions, encode, encode_close, exit_status, failure_status,
};
use futures::StreamExt as _;
use http::{Request, Response, Uri};
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinSet;

#[derive(Clone, Default)]
pub(super) struct Host {
    tasks: Arc<Mutex<JoinSet<()>>>,
    gone: Arc<Notify>,
}

struct Frames {
    body: BodyDataStream,
    decoder: FrameDecoder,
}

impl Frames {
    async fn next(&mut self) -> Option<Frame> {
        loop {
            if let Some(frame) = self.decoder.next_frame().unwrap() {
                return Some(frame);
            }
            self.decoder.push(&self.body.next().await?.ok()?);
        }
    }
}

struct Call {
    frames: Frames,
    answer: mpsc::Sender<Bytes>,
    gone: Arc<Notify>,
}

impl Call {
    async fn say(&mut self, frame: Bytes) {
        let _ = self.answer.send(frame).await;
    }
}

impl Host {
    pub(super) fn router(&self) -> Router {
        Router::new()
            .route("/exec/{namespace}/{pod}/{container}", post(exec))
            .route("/attach/{namespace}/{pod}/{container}", post(attach))
            .route("/portForward/{namespace}/{pod}", post(port_forward))
            .route("/podProxy/{*rest}", any(|uri: Uri| async move { format!("proxied {uri}") }))
            .with_state(self.clone())
    }

    /// Waits until a client has gone without having ended its input.
    pub(super) async fn gone(&self) {
        tokio::time::timeout(Duration::from_secs(10), self.gone.notified()).await.expect("the client is still there");
    }

    fn answer<F: Future<Output = ()> + Send + 'static>(
        &self,
        request: Request<Body>,
        program: impl FnOnce(Call) -> F,
    ) -> Response<Body> {
        let (answer, mut queue) = mpsc::channel::<Bytes>(4);
        let frames = Frames { body: request.into_body().into_data_stream(), decoder: FrameDecoder::new() };
        let call = Call { frames, answer, gone: Arc::clone(&self.gone) };
        self.tasks.lock().unwrap().spawn(program(call));
        let body = futures::stream::poll_fn(move |context| queue.poll_recv(context));
        Response::new(Body::from_stream(body.map(Ok::<_, std::convert::Infallible>)))
    }
}

async fn exec(
    State(host): State<Host>,
    Path((_, _, container)): Path<(String, String, String)>,
    request: Request<Body>,
) -> Response<Body> {
    let options = StreamOptions::parse(request.uri().query().unwrap_or_default()).unwrap();
    let words: Vec<&str> = options.command.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["cat"] => host.answer(request, cat),
        ["exit", code] => {
            let code = code.parse().unwrap();
            host.answer(request, async move |mut call| {
                call.say(encode(Channel::Stdout, b"out")).await;
                call.say(encode(Channel::Stderr, b"err")).await;
                call.say(exit_status(code)).await;
            })
        }
        ["size"] => host.answer(request, size),
        _ => {
            let mut refusal = Response::new(Body::from(format!("container not found ({container:?})\n")));
            *refusal.status_mut() = http::StatusCode::NOT_FOUND;
            refusal
        }
    }
}

async fn attach(State(host): State<Host>, request: Request<Body>) -> Response<Body> {
    host.answer(request, async |mut call| {
        call.say(encode(Channel::Stdout, b"attached, ")).await;
        size(call).await;
    })
}

async fn cat(mut call: Call) {
    while let Some(frame) = call.frames.next().await {
        if frame.channel == Channel::Stdin {
            call.say(encode(Channel::Stdout, &frame.payload)).await;
        } else if frame.closes() == Some(Channel::Stdin) {
            return call.say(exit_status(0)).await;
        }
    }
    call.gone.notify_one();
}

/// Prints the first size of its terminal.
async fn size(mut call: Call) {
    while let Some(frame) = call.frames.next().await {
        if frame.channel == Channel::Resize {
            call.say(encode(Channel::Stdout, &frame.payload)).await;
            return call.say(exit_status(0)).await;
        }
    }
}

/// Port 81 is closed; the others answer to what they get with their number before it, and end with the client.
async fn port_forward(State(host): State<Host>, request: Request<Body>) -> Response<Body> {
    let port = request.uri().query().unwrap().strip_prefix("port=").unwrap().to_owned();
    host.answer(request, async move |mut call| {
        if port == "81" {
            return call.say(failure_status("connection refused")).await;
        }
        if port == "8080" {
            return http(call).await;
        }
        while let Some(frame) = call.frames.next().await {
            if frame.channel == Channel::Stdin {
                let text = [port.as_bytes(), b":", &*frame.payload].concat();
                call.say(encode(Channel::Stdin, &text)).await;
                if frame.payload.ends_with(b"\r\n\r\n") {
                    break;
                }
            } else if frame.closes().is_some() {
                break;
            }
        }
        call.say(encode_close(Channel::Stdin)).await;
    })
}

/// Answers one HTTP request with its own head; to an upgrade it agrees, and echoes from then on.
async fn http(mut call: Call) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let Some(frame) = call.frames.next().await else { return };
        head.extend_from_slice(&frame.payload);
    }
    let text = String::from_utf8(head).unwrap().to_lowercase();
    if !text.contains("upgrade: echo") {
        let answer = format!(
            "HTTP/1.1 200 OK\r\nlocation: http://localhost:8080/next\r\nkeep-alive: 1\r\ncontent-length: {}\r\n\r\n{text}",
            text.len()
        );
        return call.say(encode(Channel::Stdin, answer.as_bytes())).await;
    }
    call.say(encode(
        Channel::Stdin,
        b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n",
    ))
    .await;
    while let Some(frame) = call.frames.next().await {
        call.say(encode(Channel::Stdin, &frame.payload)).await;
    }
}
