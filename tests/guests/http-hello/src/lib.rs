//! An HTTP server by way of `wasi:http/incoming-handler`: `/` says hello, `/echo` sends the body back, `/trap` traps,
//! `/spin` burns processor time for ever, `/alloc` takes memory without end, `/env` shows the environment.

use wasip2::exports::http::incoming_handler::Guest;
use wasip2::http::types::{Fields, IncomingRequest, Method, OutgoingBody, OutgoingResponse, ResponseOutparam};
use wasip2::io::streams::StreamError;

struct Server;

wasip2::http::proxy::export!(Server);

impl Guest for Server {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        let path = request.path_with_query().unwrap_or_default();
        match path.as_str() {
            "/echo" => answer(out, 200, &body(&request)),
            "/env" => {
                let lines: Vec<String> = std::env::vars().map(|(name, value)| format!("{name}={value}\n")).collect();
                answer(out, 200, lines.concat().as_bytes());
            }
            "/trap" => panic!("asked to trap"),
            "/spin" => loop {
                std::hint::black_box(0);
            },
            "/alloc" => {
                let mut held = Vec::new();
                loop {
                    held.push(vec![1u8; 1 << 20]);
                    std::hint::black_box(&held);
                }
            }
            "/" if matches!(request.method(), Method::Get | Method::Head) => answer(out, 200, b"hello over http\n"),
            _ => answer(out, 404, b"not found\n"),
        }
    }
}

fn body(request: &IncomingRequest) -> Vec<u8> {
    let Ok(body) = request.consume() else { return Vec::new() };
    let Ok(stream) = body.stream() else { return Vec::new() };
    let mut bytes = Vec::new();
    loop {
        match stream.blocking_read(64 * 1024) {
            Ok(chunk) => bytes.extend(chunk),
            Err(StreamError::Closed) => return bytes,
            Err(StreamError::LastOperationFailed(_)) => panic!("the body broke off"),
        }
    }
}

fn answer(out: ResponseOutparam, status: u16, text: &[u8]) {
    let response = OutgoingResponse::new(Fields::new());
    response.set_status_code(status).expect("a status code");
    let body = response.body().expect("asked for once");
    ResponseOutparam::set(out, Ok(response));
    let stream = body.write().expect("asked for once");
    for chunk in text.chunks(4096) {
        if stream.blocking_write_and_flush(chunk).is_err() {
            return;
        }
    }
    drop(stream);
    let _client_gone = OutgoingBody::finish(body, None);
}
