//! `ANY /podProxy/{namespace}/{pod}/{port}/{path}`: HTTP to a port of a pod, over the virtual network.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use axum::extract::{RawPathParams, Request, State};
use axum::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use axum::http::uri::PathAndQuery;
use axum::http::{Response, StatusCode, Uri};
use bytes::Bytes;
use futures::future::BoxFuture;
use http_body::{Frame, SizeHint};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;

use super::plain;
use crate::agent::Shared;
use crate::pod::PodView;

/// How long a pod may take until it begins to answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(300);

/// Headers that belong to one connection and are not passed on (RFC 9110, section 7.6.1).
const HOP_BY_HOP: [HeaderName; 8] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

type Connection = BoxFuture<'static, Result<(), hyper::Error>>;

pub(super) async fn serve(
    State(shared): State<Arc<Shared>>,
    parameters: RawPathParams,
    request: Request,
) -> Response<Body> {
    let parameter = |name: &str| parameters.iter().find(|(key, _)| *key == name).map_or("", |(_, value)| value);
    let (namespace, pod, port) = (parameter("namespace"), parameter("pod"), parameter("port"));
    let Some(view) = shared.registry.find(namespace, pod) else {
        return plain(StatusCode::NOT_FOUND, format!("pod \"{pod}\" does not exist"));
    };
    let Some(number) = port_number(&view, port) else {
        return plain(StatusCode::BAD_REQUEST, format!("pod \"{pod}\" has no port \"{port}\""));
    };
    let Some(ip) = view.ip() else {
        return plain(StatusCode::SERVICE_UNAVAILABLE, format!("pod \"{pod}\" has no address: it is not running"));
    };
    let address = SocketAddr::new(ip, number);
    let Some(request) = outgoing(request, address) else {
        return plain(StatusCode::BAD_REQUEST, "the path cannot be passed on");
    };
    match tokio::time::timeout(ANSWER_TIMEOUT, forward(&shared, address, request)).await {
        Ok(Ok(response)) => response,
        Ok(Err(ForwardError::Dial(error))) => {
            let text = format!("error trying to reach pod \"{pod}\": {error}");
            plain(StatusCode::SERVICE_UNAVAILABLE, text)
        }
        Ok(Err(ForwardError::Http(error))) => {
            plain(StatusCode::BAD_GATEWAY, format!("pod \"{pod}\" did not answer on port {number}: {error}"))
        }
        Err(_) => plain(StatusCode::GATEWAY_TIMEOUT, format!("pod \"{pod}\" did not answer on port {number} in time")),
    }
}

/// A port by number, or by the name that a container gives it.
fn port_number(view: &PodView, port: &str) -> Option<u16> {
    if let Ok(number) = port.parse::<u16>() {
        return Some(number).filter(|number| *number != 0);
    }
    view.with_life(|life| {
        let containers = life.pod().spec.as_ref().map(|spec| &spec.containers)?;
        let mut ports = containers.iter().flat_map(|container| container.ports.iter().flatten());
        let named = ports.find(|candidate| candidate.name.as_deref() == Some(port))?;
        u16::try_from(named.container_port).ok()
    })
}

/// The request as the pod gets it: the path after the port, without what belongs to the connection it came on.
fn outgoing(request: Request, address: SocketAddr) -> Option<Request> {
    let (mut parts, body) = request.into_parts();
    let whole = parts.uri.path_and_query().map_or("/", PathAndQuery::as_str);
    let mut rest = whole.strip_prefix("/podProxy/")?;
    for _ in 0..3 {
        rest = match rest.find(['/', '?']) {
            Some(end) if rest.as_bytes()[end] == b'/' => &rest[end + 1..],
            Some(end) => &rest[end..],
            None => "",
        };
    }
    parts.uri = format!("/{rest}").parse::<Uri>().ok()?;
    parts.version = axum::http::Version::HTTP_11;
    remove_hop_by_hop(&mut parts.headers);
    parts.headers.insert(header::HOST, HeaderValue::from_str(&address.to_string()).ok()?);
    Some(Request::from_parts(parts, body))
}

fn remove_hop_by_hop(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in named.iter().chain(&HOP_BY_HOP) {
        headers.remove(name);
    }
}

#[derive(Debug, thiserror::Error)]
enum ForwardError {
    #[error(transparent)]
    Dial(coracle_host_network::DialError),
    #[error(transparent)]
    Http(hyper::Error),
}

/// One request over one connection, which lives as long as the answer is being read.
async fn forward(shared: &Shared, address: SocketAddr, request: Request) -> Result<Response<Body>, ForwardError> {
    let stream = shared.network.dial(address).await.map_err(ForwardError::Dial)?;
    let (mut sender, connection): (SendRequest<Body>, _) =
        http1::handshake(TokioIo::new(stream)).await.map_err(ForwardError::Http)?;
    let mut connection: Connection = Box::pin(connection);
    let mut answer = Box::pin(sender.send_request(request));
    let mut open = true;
    // The connection is what moves the bytes of the request: it is polled until the answer begins.
    let answer = poll_fn(|context| {
        if open && connection.as_mut().poll(context).is_ready() {
            open = false;
        }
        answer.as_mut().poll(context)
    });
    let (mut parts, incoming) = answer.await.map_err(ForwardError::Http)?.into_parts();
    remove_hop_by_hop(&mut parts.headers);
    let connection = open.then_some(connection);
    Ok(Response::from_parts(parts, Body::new(Answer { incoming, connection })))
}

/// The body of an answer together with the connection that it comes on: no task is needed, and dropping it closes the
/// connection.
struct Answer {
    incoming: Incoming,
    connection: Option<Connection>,
}

impl http_body::Body for Answer {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        if self.connection.as_mut().is_some_and(|connection| connection.as_mut().poll(context).is_ready()) {
            self.connection = None;
        }
        Pin::new(&mut self.incoming).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}
