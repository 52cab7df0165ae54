//! The TLS loop: accepts connections, establishes who is at the other end, and serves HTTP/1.1 and HTTP/2.

use std::convert::Infallible;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use crate::aggregation;
use crate::authentication::certificate_user;
use crate::server::{ServeError, Shared};
use crate::user::UserInfo;

/// Streams that one HTTP/2 connection may have open: every watch of a client is one.
const STREAMS_MAX: u32 = 1000;
/// A connection on which nothing comes is asked this often whether it lives, and given up after as long again.
const PING_INTERVAL: Duration = Duration::from_secs(30);
/// The pause after an error of accept, which is mostly a lack of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// So many errors of accept in a row mean that the listener is of no more use.
const ACCEPT_ERRORS_MAX: u32 = 1000;

/// From where a request comes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer(pub(crate) IpAddr);

/// Serves until `shutdown`, then lets what is open finish within the drain time.
pub(crate) async fn serve(
    shared: Arc<Shared>,
    listener: TcpListener,
    tls: Arc<rustls::ServerConfig>,
    shutdown: CancellationToken,
) -> Result<(), ServeError> {
    let acceptor = TlsAcceptor::from(tls);
    let permits = Arc::new(Semaphore::new(shared.config.connections_max));
    let mut connections = JoinSet::new();
    let mut keeper = JoinSet::new();
    keeper.spawn(aggregation::keep(Arc::clone(&shared), shutdown.clone()));
    let (asking, end) = (Arc::clone(&shared), shutdown.clone());
    keeper.spawn(async move {
        if let Some(oidc) = asking.tokens.oidc() {
            oidc.keep(end).await;
        }
    });
    let mut errors = 0;
    let result = loop {
        while connections.try_join_next().is_some() {}
        let permit = tokio::select! {
            () = shutdown.cancelled() => break Ok(()),
            permit = Arc::clone(&permits).acquire_owned() => permit,
        };
        let accepted = tokio::select! {
            () = shutdown.cancelled() => break Ok(()),
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => {
                errors = 0;
                let connection =
                    Connection { shared: Arc::clone(&shared), acceptor: acceptor.clone(), shutdown: shutdown.clone() };
                connections.spawn(async move {
                    connection.run(stream).await;
                    drop(permit);
                });
            }
            Err(error) if errors < ACCEPT_ERRORS_MAX => {
                errors += 1;
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
            Err(error) => break Err(ServeError::Accept(error)),
        }
    };
    drop(listener);
    shared.shutdown.cancel();
    let drained =
        tokio::time::timeout(shared.config.drain_timeout, async { while connections.join_next().await.is_some() {} });
    if drained.await.is_err() {
        tracing::warn!(open = connections.len(), "connections are cut after the drain time");
    }
    connections.shutdown().await;
    keeper.shutdown().await;
    shared.sessions.cut().await;
    result
}

struct Connection {
    shared: Arc<Shared>,
    acceptor: TlsAcceptor,
    shutdown: CancellationToken,
}

impl Connection {
    async fn run(self, stream: TcpStream) {
        // Small answers must not wait for more; without it a connection is slower but works.
        let _ = stream.set_nodelay(true);
        let handshake = tokio::time::timeout(self.shared.config.handshake_timeout, self.acceptor.accept(stream));
        let stream = match handshake.await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return tracing::debug!(%error, "a TLS handshake failed"),
            Err(_) => return tracing::debug!("a TLS handshake took too long"),
        };
        let peer = stream.get_ref().0.peer_addr().ok().map(|address| Peer(address.ip()));
        let certificates = stream.get_ref().1.peer_certificates();
        let certificate = certificates.and_then(|chain| chain.first());
        let user = certificate.and_then(|certificate| certificate_user(certificate)).map(Arc::new);
        self.serve(TokioIo::new(stream), user, peer).await;
    }

    async fn serve(
        self,
        io: TokioIo<tokio_rustls::server::TlsStream<TcpStream>>,
        user: Option<Arc<UserInfo>>,
        peer: Option<Peer>,
    ) {
        let shared = Arc::clone(&self.shared);
        let service = service_fn(move |request: http::Request<Incoming>| {
            let (shared, user) = (Arc::clone(&shared), user.clone());
            async move {
                let mut request = request.map(Body::new);
                if let Some(peer) = peer {
                    request.extensions_mut().insert(peer);
                }
                Ok::<_, Infallible>(Box::pin(shared.answer_from_outside(request, user)).await)
            }
        });
        let mut builder = Builder::new(TokioExecutor::new());
        builder.http1().timer(TokioTimer::new()).header_read_timeout(self.shared.config.header_timeout);
        builder
            .http2()
            .timer(TokioTimer::new())
            .max_concurrent_streams(STREAMS_MAX)
            .keep_alive_interval(PING_INTERVAL)
            .keep_alive_timeout(PING_INTERVAL);
        let mut connection = pin!(builder.serve_connection_with_upgrades(io, service));
        let served = tokio::select! {
            served = connection.as_mut() => served,
            () = self.shutdown.cancelled() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = served {
            tracing::debug!(error, "a connection ended badly");
        }
    }
}
