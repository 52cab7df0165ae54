//! `POST /exec`, `/attach` and `/portForward`: bytes in both directions at once, in the frames of
//! [`remote_command`](coracle_control_api::remote_command).
//!
//! Everything that a session does is done while its answer is being read: the session is part of the answer's body. So a
//! client that goes away takes the program that it started with it, and no task is left behind.

use std::net::SocketAddr;
use std::sync::Arc;
use std::task::Poll;

use axum::body::{Body, BodyDataStream};
use axum::extract::{Path, Query, RawQuery, State};
use axum::http::{Response, StatusCode, header};
use bytes::Bytes;
use coracle_control_api::remote_command::{
    CONTENT_TYPE, Channel, Frame, FrameDecoder, StreamOptions, encode, encode_close, exit_status, failure_status,
    success_status,
};
use coracle_host_sandbox::{Input, LogReader, Output};
use futures::future::BoxFuture;
use futures::{FutureExt as _, StreamExt as _};
use serde::Deserialize;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use tokio::sync::mpsc;

use super::{logs, plain};
use crate::agent::Shared;
use crate::logs::{LogStream, ReadOptions, read};
use crate::pod::Stdin;
use crate::runtime::{ExecFailure, ExecSpec, Running};

/// Pieces of the answer that wait to be read.
const PIECES_MAX: usize = 8;
/// Bytes that wait in each of a program's streams.
const STREAM_BYTES: usize = 64 * 1024;
/// What a shell answers when it finds no such program.
const NO_PROGRAM_CODE: i32 = 127;

type Refusal = Response<Body>;

/// The frames of a request's body.
struct Frames {
    body: BodyDataStream,
    decoder: FrameDecoder,
}

impl Frames {
    fn of(body: Body) -> Self {
        Self { body: body.into_data_stream(), decoder: FrameDecoder::new() }
    }

    /// The next frame; `None` when the client is gone, or sends what is no frame.
    async fn next(&mut self) -> Option<Frame> {
        loop {
            match self.decoder.next_frame() {
                Ok(Some(frame)) => return Some(frame),
                Ok(None) => self.decoder.push(&self.body.next().await?.ok()?),
                Err(error) => {
                    tracing::debug!(%error, "a stream to a container was broken off");
                    return None;
                }
            }
        }
    }
}

/// An answer whose body is what the session sends, and which ends with the session.
fn answer(session: impl FnOnce(mpsc::Sender<Bytes>) -> BoxFuture<'static, ()>) -> Response<Body> {
    let (sender, mut pieces) = mpsc::channel(PIECES_MAX);
    let mut session = Some(session(sender));
    let body = futures::stream::poll_fn(move |context| {
        if session.as_mut().is_some_and(|session| session.as_mut().poll_unpin(context).is_ready()) {
            session = None;
        }
        match pieces.poll_recv(context) {
            Poll::Ready(piece) => Poll::Ready(piece.map(Ok::<_, std::convert::Infallible>)),
            Poll::Pending => Poll::Pending,
        }
    });
    let mut response = Response::new(Body::from_stream(body));
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static(CONTENT_TYPE));
    response
}

fn options(query: Option<String>) -> Result<StreamOptions, Box<Refusal>> {
    StreamOptions::parse(&query.unwrap_or_default())
        .map_err(|error| Box::new(plain(StatusCode::BAD_REQUEST, error.to_string())))
}

fn no_pod(pod: &str) -> Refusal {
    plain(StatusCode::NOT_FOUND, format!("pod \"{pod}\" does not exist"))
}

fn no_container(container: &str) -> Refusal {
    plain(StatusCode::NOT_FOUND, format!("container not found (\"{container}\")"))
}

/// A program beside a container.
pub(super) async fn exec(
    State(shared): State<Arc<Shared>>,
    Path((namespace, pod, container)): Path<(String, String, String)>,
    RawQuery(query): RawQuery,
    body: Body,
) -> Response<Body> {
    let options = match options(query) {
        Ok(options) => options,
        Err(refusal) => return *refusal,
    };
    let Some(view) = shared.registry.find(&namespace, &pod) else { return no_pod(&pod) };
    let Some((_, running)) = view.running(&container) else { return no_container(&container) };
    if options.command.is_empty() {
        return plain(StatusCode::BAD_REQUEST, "you must specify at least 1 command for the container");
    }
    answer(move |out| exec_session(Frames::of(body), options, running, out).boxed())
}

async fn exec_session(mut frames: Frames, options: StreamOptions, beside: Arc<dyn Running>, out: mpsc::Sender<Bytes>) {
    let (spec, pipes) = exec_spec(options);
    let running = match beside.exec(spec).await {
        Ok(running) => running,
        Err(ExecFailure::NoProgram(text)) => {
            let _gone = out.send(encode(Channel::Stderr, format!("{text}\n").as_bytes())).await;
            let _gone = out.send(exit_status(NO_PROGRAM_CODE)).await;
            return;
        }
        Err(ExecFailure::Refused(text)) => {
            let _gone = out.send(failure_status(&text)).await;
            return;
        }
    };
    let Pipes { mut stdin, stdout, stderr } = pipes;
    let feed = async {
        while let Some(frame) = frames.next().await {
            if frame.closes() == Some(Channel::Stdin) {
                stdin = None;
            } else if let (Channel::Stdin, Some(writer)) = (frame.channel, &mut stdin)
                && writer.write_all(&frame.payload).await.is_err()
            {
                stdin = None;
            }
        }
    };
    let run = async {
        let outputs = async { tokio::join!(pass(stdout, Channel::Stdout, &out), pass(stderr, Channel::Stderr, &out)) };
        tokio::join!(running.wait(), outputs).0
    };
    // Neither loses anything that matters: a program that has ended reads no more, and one whose client is gone is ended by
    // dropping it.
    let exit = tokio::select! {
        biased;
        exit = run => Some(exit),
        () = feed => None,
    };
    if let Some(exit) = exit {
        let _gone = out.send(exit_status(exit.code)).await;
    }
}

/// The ends of a program's streams that are on this side.
struct Pipes {
    stdin: Option<DuplexStream>,
    stdout: Option<LogReader>,
    stderr: Option<LogReader>,
}

fn exec_spec(options: StreamOptions) -> (ExecSpec, Pipes) {
    let output = |wanted: bool| match wanted {
        true => {
            let (output, reader) = Output::channel(STREAM_BYTES);
            (output, Some(reader))
        }
        false => (Output::null(), None),
    };
    let (stdin, input) = match options.stdin {
        true => {
            let (writer, reader) = tokio::io::duplex(STREAM_BYTES);
            (Some(writer), Input::reader(reader))
        }
        false => (None, Input::empty()),
    };
    let (mut stdout, stdout_reader) = output(options.stdout);
    let (mut stderr, stderr_reader) = output(options.stderr && !options.tty);
    if options.tty {
        // A terminal has one output.
        stdout = stdout.as_terminal();
        stderr = stdout.clone();
    }
    let spec = ExecSpec { command: options.command, stdin: input, stdout, stderr };
    (spec, Pipes { stdin, stdout: stdout_reader, stderr: stderr_reader })
}

/// Sends what a program prints until it has ended.
async fn pass(reader: Option<LogReader>, channel: Channel, out: &mpsc::Sender<Bytes>) {
    let Some(mut reader) = reader else { return };
    while let Some(bytes) = reader.next().await {
        if out.send(encode(channel, &bytes)).await.is_err() {
            return;
        }
    }
}

/// The standard streams of a container that runs already.
pub(super) async fn attach(
    State(shared): State<Arc<Shared>>,
    Path((namespace, pod, container)): Path<(String, String, String)>,
    RawQuery(query): RawQuery,
    body: Body,
) -> Response<Body> {
    let options = match options(query) {
        Ok(options) => options,
        Err(refusal) => return *refusal,
    };
    let Some(view) = shared.registry.find(&namespace, &pod) else { return no_pod(&pod) };
    let Some((index, _)) = view.running(&container) else { return no_container(&container) };
    let restart = match logs::run(&view, &container, false) {
        Ok(restart) => restart,
        Err((status, text)) => return plain(status, text),
    };
    let (store, pod_logs, name) = (shared.logs.clone(), view.logs.clone(), container.clone());
    let found = tokio::task::spawn_blocking(move || store.find(&pod_logs, &name, restart)).await;
    let Ok(Some(log)) = found else { return no_container(&container) };
    let stdin = if options.stdin { view.stdin(index) } else { None };
    let stream = match (options.stdout || options.tty, options.stderr || options.tty) {
        (true, true) => None,
        (false, true) => Some(LogStream::Stderr),
        (true | false, false) => Some(LogStream::Stdout),
    };
    let joined = stream.is_none() && !options.tty;
    answer(move |out| attach_session(Frames::of(body), stdin, log, (stream, joined), out).boxed())
}

async fn attach_session(
    mut frames: Frames,
    stdin: Option<Stdin>,
    log: Arc<crate::logs::Log>,
    (stream, both): (Option<LogStream>, bool),
    out: mpsc::Sender<Bytes>,
) {
    let feed = async {
        while let Some(frame) = frames.next().await {
            let Some(stdin) = &stdin else { continue };
            if frame.closes() == Some(Channel::Stdin) {
                if stdin.once {
                    stdin.close().await;
                }
            } else if frame.channel == Channel::Stdin {
                stdin.write(&frame.payload).await;
            }
        }
        if let Some(stdin) = stdin.as_ref().filter(|stdin| stdin.once) {
            stdin.close().await;
        }
    };
    let follow = |stream, channel| {
        let options = ReadOptions { tail_lines: Some(0), stream, follow: true, ..ReadOptions::default() };
        let (mut pieces, out) = (read(Arc::clone(&log), options).boxed(), out.clone());
        async move {
            while let Some(Ok(piece)) = pieces.next().await {
                if out.send(encode(channel, &piece)).await.is_err() {
                    return;
                }
            }
        }
    };
    let show = async {
        if both {
            let (stdout, stderr) = (Some(LogStream::Stdout), Some(LogStream::Stderr));
            tokio::join!(follow(stdout, Channel::Stdout), follow(stderr, Channel::Stderr));
        } else {
            let channel = if stream == Some(LogStream::Stderr) { Channel::Stderr } else { Channel::Stdout };
            follow(stream, channel).await;
        }
    };
    // The container goes on whoever leaves; what it prints meanwhile is in its log.
    let ended = tokio::select! {
        biased;
        () = show => true,
        () = feed => false,
    };
    if ended {
        let _gone = out.send(success_status()).await;
    }
}

/// Which port.
#[derive(Debug, Deserialize)]
pub(super) struct PortQuery {
    port: u16,
}

/// One connection to a port of a pod.
pub(super) async fn port_forward(
    State(shared): State<Arc<Shared>>,
    Path((namespace, pod)): Path<(String, String)>,
    Query(query): Query<PortQuery>,
    body: Body,
) -> Response<Body> {
    let Some(view) = shared.registry.find(&namespace, &pod) else { return no_pod(&pod) };
    let Some(ip) = view.ip() else {
        return plain(StatusCode::NOT_FOUND, format!("pod \"{pod}\" has no address: it is not running"));
    };
    let (address, uid) = (SocketAddr::new(ip, query.port), view.key.uid.clone());
    answer(move |out| port_session(shared, address, uid, Frames::of(body), out).boxed())
}

async fn port_session(
    shared: Arc<Shared>,
    address: SocketAddr,
    uid: String,
    mut frames: Frames,
    out: mpsc::Sender<Bytes>,
) {
    let stream = match shared.network.dial(address).await {
        Ok(stream) => stream,
        Err(error) => {
            let text = format!("error forwarding port {} to pod {uid}, uid : {error}", address.port());
            let _gone = out.send(failure_status(&text)).await;
            return;
        }
    };
    let (mut reader, mut writer) = tokio::io::split(stream);
    let down = async {
        let mut buffer = vec![0; 16 * 1024];
        loop {
            match reader.read(&mut buffer).await {
                Ok(0) => break out.send(encode_close(Channel::Stdin)).await.is_ok(),
                Ok(count) => {
                    if out.send(encode(Channel::Stdin, &buffer[..count])).await.is_err() {
                        break false;
                    }
                }
                Err(error) => {
                    let text = format!("error forwarding port {} to pod {uid}, uid : {error}", address.port());
                    let _gone = out.send(failure_status(&text)).await;
                    break false;
                }
            }
        }
    };
    let up = async {
        // False when the client is gone.
        loop {
            let Some(frame) = frames.next().await else { break false };
            if frame.closes() == Some(Channel::Stdin) {
                let _closed_by_the_pod = writer.shutdown().await;
                break true;
            }
            if frame.channel == Channel::Stdin && writer.write_all(&frame.payload).await.is_err() {
                // The pod takes no more; what it has said is still to be passed on.
                break true;
            }
        }
    };
    let (mut down, mut up) = (std::pin::pin!(down), std::pin::pin!(up));
    // A direction that ends in order leaves the other one open; a broken one, or a client that is gone, ends both.
    tokio::select! {
        biased;
        orderly = &mut down => {
            if orderly {
                up.await;
            }
        }
        orderly = &mut up => {
            if orderly {
                down.await;
            }
        }
    }
}
