//! One request: a slot, an instance, an answer.

use super::Core;
use crate::ExitReason;
use crate::container::instance::Ended;
use crate::container::tasks::Tasks;
use crate::container::trap::{Ending, report_trap};
use crate::container::turn::Turn;
use crate::program::{Entry, State};
use bytes::Bytes;
use http::{Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use std::convert::Infallible;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, oneshot};
use wasmtime::Store;
use wasmtime::component::Resource;
use wasmtime_wasi_http::WasiHttpView as _;
use wasmtime_wasi_http::p2::bindings::ProxyPre;
use wasmtime_wasi_http::p2::bindings::http::types::{ErrorCode, Scheme};
use wasmtime_wasi_http::p2::body::HyperOutgoingBody;
use wasmtime_wasi_http::p2::types::{HostIncomingRequest, HostResponseOutparam};

/// What the guest gives back through its out-parameter.
type Given = Result<Response<HyperOutgoingBody>, ErrorCode>;

/// Answers requests, each with an instance of its own. Clones are the same.
#[derive(Clone)]
pub(super) struct Requests {
    core: Arc<Core>,
    instances: Tasks,
}

/// The right to one instance.
struct Slot {
    _of_container: OwnedSemaphorePermit,
    _of_engine: OwnedSemaphorePermit,
}

/// A request that has everything that its instance needs.
struct Prepared {
    store: Store<State>,
    request: Resource<HostIncomingRequest>,
    out: Resource<HostResponseOutparam>,
    granted: u64,
    turn: Arc<Turn>,
    /// For the log.
    what: String,
}

/// Why there is no answer from the guest.
enum Failure {
    Handler,
    Crowded,
}

impl Requests {
    pub(super) fn new(core: Arc<Core>, instances: Tasks) -> Self {
        Self { core, instances }
    }

    /// The answer to one request; failures of the guest are answers too.
    pub(super) async fn answer(self, request: Request<Incoming>) -> Result<Response<HyperOutgoingBody>, Infallible> {
        Ok(self.try_answer(request).await.unwrap_or_else(|(status, text)| plain(status, text)))
    }

    async fn try_answer(
        &self,
        request: Request<Incoming>,
    ) -> Result<Response<HyperOutgoingBody>, (StatusCode, &'static str)> {
        let host = request.headers().get(header::HOST).map(|host| host.to_str().is_ok());
        if request.uri().authority().is_none() && host != Some(true) {
            return Err((StatusCode::BAD_REQUEST, "the request has no readable Host header\n"));
        }
        let slot = self.slot().await.ok_or((StatusCode::SERVICE_UNAVAILABLE, "too many requests are waiting\n"))?;
        let (given_sender, given) = oneshot::channel();
        let prepared = self.prepare(request, given_sender).await.map_err(|error| {
            tracing::warn!(container = %self.core.template.name, error = %error, "a request found no instance");
            (StatusCode::INTERNAL_SERVER_ERROR, "the container cannot make an instance\n")
        })?;
        let (failed_sender, failed) = oneshot::channel();
        self.instances.spawn(run(Arc::clone(&self.core), prepared, slot, failed_sender));
        match given.await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(code)) => {
                tracing::debug!(container = %self.core.template.name, ?code, "a handler answered with an error code");
                Err((StatusCode::INTERNAL_SERVER_ERROR, "the handler answered with an error\n"))
            }
            // The out-parameter went with the instance.
            Err(_dropped) => match failed.await {
                Ok(Failure::Crowded) => Err((StatusCode::SERVICE_UNAVAILABLE, "the container is out of memory\n")),
                Ok(Failure::Handler) | Err(_) => {
                    Err((StatusCode::INTERNAL_SERVER_ERROR, "the handler failed: see the container's log\n"))
                }
            },
        }
    }

    /// A slot at once, or after a wait for which there is a bounded number of places.
    async fn slot(&self) -> Option<Slot> {
        let engine = &self.core.template.engine;
        let at_once = Arc::clone(&self.core.slots)
            .try_acquire_owned()
            .and_then(|of_container| Ok((of_container, Arc::clone(&engine.http_instances).try_acquire_owned()?)));
        if let Ok((of_container, of_engine)) = at_once {
            return Some(Slot { _of_container: of_container, _of_engine: of_engine });
        }
        let _place = self.core.waiting.try_acquire().ok()?;
        // Always in this order, and both are given back whenever an instance ends, so nobody waits in a circle.
        let of_container = Arc::clone(&self.core.slots).acquire_owned().await.ok()?;
        let of_engine = Arc::clone(&engine.http_instances).acquire_owned().await.ok()?;
        Some(Slot { _of_container: of_container, _of_engine: of_engine })
    }

    async fn prepare(&self, request: Request<Incoming>, given: oneshot::Sender<Given>) -> wasmtime::Result<Prepared> {
        let template = &self.core.template;
        let account = template.meter.memory.open_account(template.program.memory_bytes_initial()).await;
        let granted = template.meter.fuel.grant();
        let turn = Arc::default();
        let what = format!("{} {}", request.method(), request.uri().path());
        let mut store = template.store(account, granted, &turn)?;
        let request = store.data_mut().http().new_incoming_request(Scheme::Http, request)?;
        let out = store.data_mut().http().new_response_outparam(given)?;
        Ok(Prepared { store, request, out, granted, turn, what })
    }
}

/// Runs the instance of one request to its end.
async fn run(core: Arc<Core>, prepared: Prepared, slot: Slot, failed: oneshot::Sender<Failure>) {
    let Prepared { store, request, out, granted, turn, what } = prepared;
    let program = core.template.program.clone();
    let instance = core.template.meter(granted, turn, async move {
        match program.entry() {
            Entry::HttpHandler(handler) => call(handler, store, request, out).await,
            Entry::Module(_) | Entry::Command(_) => Ended::new(&store, Ok(())),
        }
    });
    let mut ending = Ending::of(instance.await.result);
    if ending.reason == ExitReason::Completed {
        return;
    }
    let failure = if ending.crowded { Failure::Crowded } else { Failure::Handler };
    let _client_gone = failed.send(failure);
    if ending.reason == ExitReason::Error && ending.message.is_none() {
        ending.message = Some(format!("the handler exited with code {} instead of answering", ending.code));
    }
    // With the slot still held, so that reports that wait for the log are as few as instances may be.
    report_trap(&core.template.stderr, &mut ending, Some(&what)).await;
    drop(slot);
    if ends_container(&core, &ending) {
        core.fatal.send_if_modified(|first| {
            let is_first = first.is_none();
            first.get_or_insert(ending);
            is_first
        });
    }
}

/// A trap is the request's own affair, since its instance is. A budget is the container's.
fn ends_container(core: &Core, ending: &Ending) -> bool {
    match ending.reason {
        ExitReason::OomKilled => !ending.crowded,
        ExitReason::FuelExhausted => core.template.meter.fuel.is_exhausted(),
        ExitReason::Completed | ExitReason::Error | ExitReason::Stopped | ExitReason::Trap => false,
    }
}

async fn call(
    handler: &ProxyPre<State>,
    mut store: Store<State>,
    request: Resource<HostIncomingRequest>,
    out: Resource<HostResponseOutparam>,
) -> Ended {
    let result = match handler.instantiate_async(&mut store).await {
        Ok(instance) => instance.wasi_http_incoming_handler().call_handle(&mut store, request, out).await,
        Err(error) => Err(error),
    };
    Ended::new(&store, result)
}

/// An answer of the host's.
fn plain(status: StatusCode, text: &'static str) -> Response<HyperOutgoingBody> {
    let body = Full::new(Bytes::from_static(text.as_bytes())).map_err(|never| match never {}).boxed_unsync();
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}
